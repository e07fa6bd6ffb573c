"""What is not wholly a source's network is refused with a report that names every array."""

import numpy as np
import pytest
import torch
from foreign import Weights
from foreign_tensorflow import DeepMind, Slim
from foreign_torch import HowTo100M, Kylemin

from backbones.importers import SOURCES, WeightsError, import_weights, load


@pytest.fixture(scope="module")
def arrays() -> dict[str, dict[str, np.ndarray]]:
    """Of small classifiers, read-only by custom: tests copy before they change."""
    made = {}
    for source, cls in (("slim", Slim), ("kylemin", Kylemin), ("deepmind", DeepMind)):
        reference = cls(made.setdefault(source, Weights()))
        reference.classes = 5
        with torch.no_grad():
            reference(torch.randn(1, 3, 8, 32, 32, dtype=torch.float64))
    return made


FIRST = {
    "slim": "InceptionV1/Conv2d_1a_7x7/weights",
    "kylemin": "base.0.conv_s.weight",
    "deepmind": "Conv3d_1a_7x7/conv_3d/w",
}
MISSING = [
    ("slim", "InceptionV1/Conv2d_1a_7x7/weights"),
    ("slim", "InceptionV1/Logits/Conv2d_0c_1x1/biases"),
    ("slim", "InceptionV1/Mixed_4c/Branch_1/Conv2d_0b_3x3/weights"),
    ("slim", "InceptionV1/Mixed_4c/Branch_1/Conv2d_0b_3x3/temporal/weights"),
    ("slim", "InceptionV1/Mixed_4c/Branch_1/Conv2d_0b_3x3/self_gating/transformer_W/weights"),
    ("slim", "InceptionV1/Mixed_5c/Branch_3/Conv2d_0b_1x1/BatchNorm/moving_mean"),
    ("kylemin", "base.0.conv_s.weight"),
    ("kylemin", "base.5.branch1.1.bn_t.running_var"),
    ("kylemin", "fc.0.bias"),
    ("deepmind", "Mixed_5b/Branch_2/Conv3d_0a_3x3/conv_3d/w"),
]


@pytest.mark.parametrize("source, name", MISSING)
def test_missing_array(arrays, source, name):
    partial = {k: v for k, v in arrays[source].items() if k != name}
    with pytest.raises(WeightsError, match="missing") as error:
        load(source, partial)
    assert error.value.report.missing == [name] and name in str(error.value)


def test_all_missing_and_all_unexpected_ones_are_listed(arrays):
    changed = {k.replace("Mixed_4b", "Mixed_9z"): v for k, v in arrays["slim"].items()}
    with pytest.raises(WeightsError) as error:
        load("slim", changed)
    moved = [k for k in changed if "Mixed_9z" in k]
    report = error.value.report
    assert set(report.unexpected) == set(moved) and not report.wrong_shape
    # without any of its arrays the block counts as 2D and has no gates: the rest of it is missed by name
    assert set(report.missing) <= {k.replace("Mixed_9z", "Mixed_4b") for k in moved} and len(report.missing) == 24


@pytest.mark.parametrize("source", FIRST)
def test_unexpected_array(arrays, source):
    with pytest.raises(WeightsError, match="unexpected") as error:
        load(source, {**arrays[source], "surprise": np.zeros(3, np.float32)})
    assert error.value.report.unexpected == ["surprise"] and not error.value.report.missing


@pytest.mark.parametrize(
    "source, name, shape",
    [
        ("slim", "InceptionV1/Conv2d_2b_1x1/weights", (64, 1, 1, 1, 64)),
        ("slim", "InceptionV1/Conv2d_2b_1x1/BatchNorm/beta", (8, 8)),
        ("slim", "InceptionV1/Conv2d_2b_1x1/weights", (4096,)),
        ("slim", "InceptionV1/Conv2d_1a_7x7/weights", (9408,)),
        ("slim", "InceptionV1/Conv2d_1a_7x7/weights", ()),
        ("slim", "InceptionV1/Logits/Conv2d_0c_1x1/weights", (5,)),
        ("kylemin", "base.2.conv.weight", (64, 64, 2, 1)),
        ("kylemin", "base.2.bn.weight", (65,)),
        ("kylemin", "base.2.bn.weight", (2, 32)),
        ("kylemin", "base.0.conv_s.weight", (64, 147)),
        ("kylemin", "base.0.conv_s.weight", (64,)),
        ("deepmind", "Conv3d_2b_1x1/batch_norm/beta", (1, 1, 1, 1, 63)),
    ],
)
def test_wrong_shape(arrays, source, name, shape):
    with pytest.raises(WeightsError, match="wrong shape") as error:
        load(source, {**arrays[source], name: np.zeros(shape, np.float32)})
    [line] = error.value.report.wrong_shape
    assert line.startswith(f"{name}: {shape}, not ")


def test_weights_of_another_source(arrays):
    for source in SOURCES:
        if source != "slim":
            with pytest.raises(WeightsError, match=f"not .*{source}") as error:
                load(source, arrays["slim"])
            assert error.value.report.missing
    with pytest.raises(WeightsError, match="missing"):
        load("slim", {})


def test_unknown_source_lists_the_legal_ones():
    with pytest.raises(ValueError, match="unknown source 'caffe'") as error:
        load("caffe", {})
    assert all(source in str(error.value) for source in SOURCES)


def test_network_is_for_image_sources(arrays):
    with pytest.raises(ValueError, match="2D sources"):
        load("slim", arrays["slim"], network="s3d")


def test_names_of_parallel_and_graph_forms_are_the_same(arrays):
    plain = load("kylemin", arrays["kylemin"]).state_dict()
    parallel = {f"module.{k}": torch.from_numpy(np.asarray(v)) for k, v in arrays["kylemin"].items()}
    assert all(torch.equal(v, plain[k]) for k, v in load("kylemin", parallel).state_dict().items())
    plain = load("deepmind", arrays["deepmind"]).state_dict()
    graph = {f"RGB/inception_i3d/{k}:0": v for k, v in arrays["deepmind"].items()}
    assert all(torch.equal(v, plain[k]) for k, v in load("deepmind", graph).state_dict().items())


def test_two_networks_in_one_file_are_refused(arrays):
    both = {f"{stream}/inception_i3d/{k}": v for k, v in arrays["deepmind"].items() for stream in ("RGB", "Flow")}
    with pytest.raises(WeightsError, match="twice"):
        load("deepmind", both)


def test_what_training_leaves_behind_is_ignored_by_name(arrays):
    kernel = "InceptionV1/Conv2d_2b_1x1/weights"
    slots = {f"{kernel}/{slot}": np.zeros(3) for slot in ("Momentum", "RMSProp_1", "Adam")}
    extra = {"global_step": np.int64(9), **slots}
    report = import_weights("slim", {**arrays["slim"], **extra})[1]
    assert report.ok and set(report.ignored) == set(extra) and set(report.used) == set(arrays["slim"])
    report = import_weights("kylemin", arrays["kylemin"])[1]
    assert set(report.ignored) == {k for k in arrays["kylemin"] if k.endswith("num_batches_tracked")}


def test_text_module_is_ignored_by_name():
    reference = HowTo100M(Weights())
    with torch.no_grad():
        reference(torch.randn(1, 3, 8, 32, 32, dtype=torch.float64))
    text = {"text_module.word_embd.weight": np.zeros((4, 3)), "text_module.fc1.bias": np.zeros(2)}
    report = import_weights("howto100m", {**reference.w, **text})[1]
    assert set(text) < set(report.ignored) and "ignored on purpose" in report.text()
