"""The classifier's loss as a hand computation in double precision gives it, and as a literal."""

import pytest

import backbones
from detect.classification.model import ActionClassifier
from detect.d2 import EventStorage
from tests.golden import cross_entropy, fill, pixels

CLASSES, LABELS = 5, (3, 0, 4, 3)
# Label smoothing: loss. Printed by this test (torch 2.14, CPU); the parameters and pixels do not depend on torch. In
# double precision they are 2.76859 and 2.70377.
GOLDEN = {0.0: 2.7685, 0.1: 2.7037}


@pytest.mark.parametrize("smoothing", GOLDEN)
def test_loss_is_the_mean_cross_entropy(smoothing):
    """With smoothing s and K classes a target is 1 - s + s / K for the label and s / K for each other class."""
    network = fill(backbones.build("s3dg", num_classes=CLASSES, width=0.125, dropout=0.0))
    network.logits.weight.data.mul_(10)  # else all classes are nearly as likely
    model = ActionClassifier(network, [127.5] * 3, [127.5] * 3, smoothing).train()
    outputs = []
    network.register_forward_hook(lambda module, inputs, output: outputs.append(output.detach().double().tolist()))
    batch = [{"clip": pixels(8, 64, 64, 3, seed=i), "label": label} for i, label in enumerate(LABELS)]
    with EventStorage() as storage:
        loss = float(model(batch)["loss_cls"].detach())
        top1 = storage.latest()["train_top1"][0]
    (logits,) = outputs
    each = []
    for row, label in zip(logits, LABELS, strict=True):
        target = [smoothing / CLASSES + (1 - smoothing if k == label else 0) for k in range(CLASSES)]
        each.append(cross_entropy(row, target))
    assert loss == pytest.approx(sum(each) / len(each), rel=1e-6)
    assert top1 == sum(row.index(max(row)) == label for row, label in zip(logits, LABELS, strict=True)) / len(LABELS)
    assert loss == pytest.approx(GOLDEN[smoothing], rel=1e-3)
