"""MODEL.COMPILE: torch.compile's networks give what the others give. Traced, with a backend that makes no code."""

import copy
from functools import partial

import pytest
import torch

from detect.classification.model import build_classifier
from detect.classification.model import inference_copy as classifier_copy
from detect.modeling import build_model, inference_copy
from detect.modeling.precision import inference_options
from tests.tiny import clip_item, tiny_cfg


@pytest.fixture(autouse=True)
def compiled(monkeypatch):
    """The sizes of the inputs for which torch.compile was asked to make code."""
    sizes = []

    def backend(graph, inputs):
        sizes.append(tuple(inputs[-1].shape))
        return graph.forward

    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=backend))
    torch.compiler.reset()
    return sizes


def test_a_compiled_detector_finds_the_same_in_every_mode_and_size(compiled):
    cfg = tiny_cfg("MODEL.COMPILE", True)
    model = build_model(cfg).eval()
    fast, plain = inference_copy(model, **inference_options(cfg)), inference_copy(model)
    for count, mode in ((1, torch.inference_mode), (1, torch.no_grad), (2, torch.inference_mode)):
        made = len(compiled)
        batch = [clip_item(cfg, seed=seed) for seed in range(count)]
        with mode():
            for ours, theirs in zip(fast(batch), plain(batch), strict=True):
                ours, theirs = ours["instances"], theirs["instances"]
                assert len(ours) and torch.equal(ours.pred_classes, theirs.pred_classes)
                torch.testing.assert_close(ours.scores, theirs.scores)
                torch.testing.assert_close(ours.pred_boxes.tensor, theirs.pred_boxes.tensor)
        assert (len(compiled) > made) == (mode is torch.inference_mode)  # no new code for the other mode


def test_with_gradients_and_in_a_copy_nothing_is_shared(compiled):
    cfg = tiny_cfg("MODEL.COMPILE", True)
    fast = inference_copy(build_model(cfg), **inference_options(cfg))
    copied, x = copy.deepcopy(fast), torch.randn(1, 3, 8, 32, 32)
    with torch.no_grad():
        before = fast.context(x)
        for parameter in copied.context.parameters():
            parameter.zero_()
        assert torch.equal(fast.context(x), before)
        assert not torch.equal(copied.context(x), before)
    made = len(compiled)
    assert fast.context(x.requires_grad_()).requires_grad and len(compiled) == made


def test_a_compiled_classifier_gives_the_same_scores(compiled):
    cfg = tiny_cfg("MODEL.COMPILE", True, "MODEL.META_ARCHITECTURE", "ActionClassifier")
    model = build_classifier(cfg, ("a", "b", "c"), initial_weights=False)
    item = {"clip": torch.randint(0, 256, (8, 32, 32, 3), dtype=torch.uint8)}
    with torch.inference_mode():
        expected = classifier_copy(model)([item])
        found = classifier_copy(model, **inference_options(cfg))([item])
    assert compiled
    torch.testing.assert_close(found, expected)
