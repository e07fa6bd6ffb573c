"""MODEL.BACKBONE.WEIGHTS: Detectron's and Detectron2's files into the trunk and the proposal network."""

import dataclasses
import pickle
import shlex

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from backbones.report import LoadReport
from backbones.resnet import ResNetTrunk
from backbones.resnet_importers import CONVENTIONS
from detect.config_node import ConfigError
from detect.d2 import HAS_DETECTRON2, ImageList, ShapeSpec
from detect.modeling import build_model
from detect.modeling.keyframe import KeyframeResNet
from detect.modeling.keyframe_weights import (
    CELL_ANCHORS,
    RPN,
    check_convention,
    import_rpn_head,
    load_keyframe_weights,
)
from detect.modeling.rpn import KeyframeRPN, RPNHead, cell_anchors
from detect.utils.checkpoint_files import CheckpointError
from detect.utils.errors import explain_errors
from tests.backbones.foreign_resnet import caffe2_names, detectron2_resnet50, res4
from tests.tiny import tiny_cfg

MSRA = [
    "MODEL.RESNETS.STRIDE_IN_1X1", True, "INPUT.FORMAT", "BGR",
    "MODEL.PIXEL_MEAN", [103.53, 116.28, 123.675], "MODEL.PIXEL_STD", [1.0, 1.0, 1.0],
]  # fmt: skip
C4 = [*MSRA, "MODEL.RESNETS.DEPTH", 50, "MODEL.RESNETS.NORM", "FrozenBN", "MODEL.ANCHOR_GENERATOR.SIZES", [[64, 256]]]


def write(path, content, protocol=pickle.HIGHEST_PROTOCOL):
    path.write_bytes(pickle.dumps(content, protocol))
    return str(path)


def c4_head(anchors=15, channels=8) -> dict[str, np.ndarray]:
    """The proposal network in a Detectron2 file."""
    numbers = np.random.default_rng(1)
    arrays = {}
    for name, shape in (("conv", (channels, channels, 3, 3)), ("objectness_logits", (anchors, channels, 1, 1)),
                        ("anchor_deltas", (4 * anchors, channels, 1, 1))):  # fmt: skip
        arrays[f"{RPN}{name}.weight"] = np.float32(numbers.standard_normal(shape) * (0.02 if name == "conv" else 0.001))
        arrays[f"{RPN}{name}.bias"] = np.float32(numbers.standard_normal(shape[0]))
    return arrays


@pytest.fixture(scope="module")
def detector() -> dict[str, np.ndarray]:
    """What a Detectron2 Faster R-CNN R50-C4 file holds, but for most of its res5."""
    return {
        **detectron2_resnet50(prefix="backbone."),
        **c4_head(channels=1024),
        "pixel_mean": np.float32(MSRA[5]).reshape(3, 1, 1),
        "pixel_std": np.ones((3, 1, 1), np.float32),
        "roi_heads.res5.0.conv1.weight": np.zeros((512, 1024, 1, 1), np.float32),
    }


@pytest.fixture(scope="module")
def c4_file(tmp_path_factory, detector) -> str:
    path = tmp_path_factory.mktemp("weights") / "c4.pkl"
    return write(path, {"model": detector, "__author__": "Detectron2 Model Zoo"})


def parts(cfg) -> tuple[ResNetTrunk, KeyframeRPN]:
    trunk = ResNetTrunk(cfg.MODEL.RESNETS.DEPTH, cfg.MODEL.RESNETS.NORM, cfg.MODEL.RESNETS.STRIDE_IN_1X1).eval()
    return trunk, KeyframeRPN(cfg, KeyframeResNet(trunk).output_shape()).eval()


def loaded(path, *overrides) -> tuple[ResNetTrunk, KeyframeRPN]:
    cfg = tiny_cfg(*C4, "MODEL.BACKBONE.WEIGHTS", path, *overrides)
    trunk, rpn = parts(cfg)
    load_keyframe_weights(cfg, trunk, rpn)
    return trunk, rpn


def test_imagenet_pickle_fills_the_trunk(tmp_path):
    foreign = detectron2_resnet50()
    x = torch.randn(1, 3, 70, 90, generator=torch.Generator().manual_seed(0))
    expected = res4(foreign, x, stride_in_1x1=True)
    files = {
        "msra": {**caffe2_names(foreign, folded=False), "fc1000_b": np.zeros(1000), "conv1_b": np.zeros(64)},
        "detectron": {
            "blobs": {**caffe2_names(foreign, folded=True), "conv1_w_momentum": np.zeros(1), "lr": np.ones(1)}
        },
    }
    for name, content in files.items():
        trunk, _ = loaded(write(tmp_path / f"{name}.pkl", content))
        with torch.inference_mode():
            found = trunk.double()(x.double())
            torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5 * float(expected.std()))


def test_a_detector_fills_trunk_and_proposals(c4_file, detector):
    trunk, rpn = loaded(c4_file)
    x = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    feature = res4(detector, x, True, prefix="backbone.").float()
    weights = {name.removeprefix(RPN): torch.from_numpy(a) for name, a in detector.items() if name.startswith(RPN)}
    hidden = F.relu(F.conv2d(feature, weights["conv.weight"], weights["conv.bias"], padding=1))
    logits = F.conv2d(hidden, weights["objectness_logits.weight"], weights["objectness_logits.bias"])  # (1, 15, 4, 6)
    deltas = F.conv2d(hidden, weights["anchor_deltas.weight"], weights["anchor_deltas.bias"])  # (1, 60, 4, 6)
    # sizes 32, 64, 128, 256, 512 with three ratios each: 64 has the rows 3 to 5, 256 the rows 9 to 11
    rows = [3, 4, 5, 9, 10, 11]
    expected = logits[0, rows].permute(1, 2, 0).flatten()
    with torch.inference_mode():
        features = {"res4": trunk(x)}
        found_logits, found_deltas = rpn.rpn_head(features["res4"])
        proposals = rpn(ImageList(x, [(64, 96)]), features)[0][0]
    torch.testing.assert_close(found_logits[0], expected, rtol=1e-4, atol=1e-5 * float(expected.std()))
    wanted = deltas.reshape(15, 4, 4, 6)[rows].permute(2, 3, 0, 1).reshape(-1, 4)
    torch.testing.assert_close(found_deltas[0], wanted, rtol=1e-4, atol=1e-5 * float(wanted.std()))
    kept = proposals.objectness_logits
    assert len(kept) and (kept[:, None] - expected).abs().amin(1).max() < 1e-4 * float(expected.std())


def test_the_model_takes_the_file(tmp_path, c4_file, detector):
    model = build_model(tiny_cfg(*C4, "MODEL.BACKBONE.WEIGHTS", c4_file))
    head = model.proposal_generator.rpn_head
    assert torch.equal(
        head.objectness_logits.bias, torch.from_numpy(detector[f"{RPN}objectness_logits.bias"])[[3, 4, 5, 9, 10, 11]]
    )
    assert torch.equal(model.backbone.trunk.conv1.weight, torch.from_numpy(detector["backbone.stem.conv1.weight"]))
    tensors = {name: torch.from_numpy(array) for name, array in detector.items()}  # of Detectron2's own training
    torch.save({"model": tensors, "iteration": 89999}, tmp_path / "c4.pth")
    _, rpn = loaded(str(tmp_path / "c4.pth"))
    assert torch.equal(rpn.rpn_head.anchor_deltas.weight, head.anchor_deltas.weight)


def test_a_pyramids_proposals_are_left_out(tmp_path, detector):
    arrays = {name.replace("backbone.", "backbone.bottom_up."): array for name, array in detector.items()}
    arrays["backbone.fpn_lateral4.weight"] = np.zeros((256, 1024, 1, 1), np.float32)
    cfg = tiny_cfg(*C4, "MODEL.BACKBONE.WEIGHTS", write(tmp_path / "fpn.pkl", {"model": arrays}))
    trunk, rpn = parts(cfg)
    before = rpn.rpn_head.conv.weight.clone()
    load_keyframe_weights(cfg, trunk, rpn)
    assert torch.equal(rpn.rpn_head.conv.weight, before)
    assert torch.equal(trunk.conv1.weight, torch.from_numpy(detector["backbone.stem.conv1.weight"]))


def head_of(arrays, *overrides) -> tuple[dict[str, torch.Tensor], LoadReport]:
    """What `import_rpn_head` makes of a file for a map of 8 channels."""
    cfg = tiny_cfg("MODEL.BACKBONE.WEIGHTS", "c4.pkl", *overrides)
    options = cfg.MODEL.ANCHOR_GENERATOR
    report = LoadReport(ignored=list(arrays))
    head = RPNHead(8, len(options.SIZES[0]) * len(options.ASPECT_RATIOS[0]))
    return import_rpn_head(arrays, head, cfg, report), report


def test_every_array_of_a_head_is_used():
    arrays = c4_head()
    state, report = head_of(arrays, "MODEL.ANCHOR_GENERATOR.SIZES", [[32, 64, 128, 256, 512]])
    assert report.ok and not report.ignored and sorted(report.used) == sorted(arrays)
    for name, value in state.items():
        assert torch.equal(value, torch.from_numpy(arrays[RPN + name]))


def test_anchors_that_the_file_has_not_are_refused():
    lists = r"sizes \[32.0, 64.0, 128.0, 256.0, 512.0\] and aspect ratios \[0.5, 1.0, 2.0\]"
    with pytest.raises(ConfigError, match=rf"c4.pkl has .* {lists}; MODEL.ANCHOR_GENERATOR.SIZES is \[\[64, 100\]\]"):
        head_of(c4_head(), "MODEL.ANCHOR_GENERATOR.SIZES", [[64, 100]])
    with pytest.raises(ConfigError, match=r"ASPECT_RATIOS \[\[3.0\]\]"):
        head_of(c4_head(), "MODEL.ANCHOR_GENERATOR.SIZES", [[64]], "MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS", [[3.0]])
    with pytest.raises(ConfigError, match="5 anchors a cell and does not say which; the config has 6"):
        head_of(c4_head(anchors=5))


def test_anchors_are_those_that_the_file_says():
    arrays = c4_head(anchors=3)
    bias = torch.from_numpy(arrays[f"{RPN}objectness_logits.bias"])
    deltas = torch.from_numpy(arrays[f"{RPN}anchor_deltas.bias"])
    square = ("MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS", [[1.0]])
    anchors = {CELL_ANCHORS: cell_anchors([20, 40, 80], [1.0]).numpy()}
    state, _ = head_of(arrays | anchors, "MODEL.ANCHOR_GENERATOR.SIZES", [[80, 40]], *square)  # in the config's order
    assert torch.equal(state["objectness_logits.bias"], bias[[2, 1]])
    assert torch.equal(state["anchor_deltas.bias"], torch.cat([deltas[8:12], deltas[4:8]]))
    # a file that does not say: as many as the config's are taken for these
    state, _ = head_of(arrays, "MODEL.ANCHOR_GENERATOR.SIZES", [[16, 32, 64]], *square)
    assert torch.equal(state["objectness_logits.bias"], bias)


def test_a_head_of_another_shape_is_reported():
    arrays = c4_head()
    arrays[f"{RPN}conv.weight"] = np.zeros((9, 9, 3, 3), np.float32)
    arrays[f"{RPN}anchor_deltas.weight"] = np.zeros((75, 8, 1, 1), np.float32)  # five numbers: rotated boxes
    report = head_of(arrays, "MODEL.ANCHOR_GENERATOR.SIZES", [[64, 128]])[1]
    assert report.wrong_shape == [
        f"{RPN}conv.weight: (9, 9, 3, 3), not (8, 8, 3, 3)",
        f"{RPN}anchor_deltas.weight: (75, 8, 1, 1), not (60, 8, 1, 1)",
    ]


def test_another_stride_or_preprocessing_names_the_lines_to_set(c4_file):
    cfg = tiny_cfg("MODEL.RESNETS.DEPTH", 50, "MODEL.ANCHOR_GENERATOR.SIZES", [[64]])
    cfg.MODEL.BACKBONE.WEIGHTS = c4_file
    with pytest.raises(ConfigError) as error:
        build_model(cfg)
    lines = str(error.value).splitlines()[1]
    assert lines.strip() == (
        'INPUT.FORMAT "BGR" MODEL.PIXEL_MEAN "[103.53, 116.28, 123.675]" MODEL.PIXEL_STD "[1.0, 1.0, 1.0]" '
        'MODEL.RESNETS.STRIDE_IN_1X1 "True"'
    )
    cfg.merge_from_list(shlex.split(lines))  # as on a command line
    check_convention(cfg, CONVENTIONS["msra"])


def test_every_line_is_checked():
    check_convention(tiny_cfg(), CONVENTIONS["torchvision"])  # the default
    cfg = tiny_cfg(*C4)
    check_convention(cfg, CONVENTIONS["msra"])
    with pytest.raises(ConfigError, match='INPUT.FORMAT "RGB".*58.395.*STRIDE_IN_1X1 "False"'):
        check_convention(cfg, CONVENTIONS["torchvision"])
    for key, value in zip(MSRA[::2], (False, "RGB", [103, 116, 123], [1.0, 1.0, 58.0]), strict=True):
        with pytest.raises(ConfigError, match=rf"set\n +{key} \"[^\"]+\"\n"):
            check_convention(tiny_cfg(*C4, key, value), CONVENTIONS["msra"])
    # without bottlenecks there is no 1x1 convolution to stride in
    check_convention(tiny_cfg(*MSRA, "MODEL.RESNETS.STRIDE_IN_1X1", False), CONVENTIONS["msra"])


def test_folded_statistics_cannot_be_trained_on():
    folded = dataclasses.replace(CONVENTIONS["msra"], folded=True)
    check_convention(tiny_cfg(*C4), folded)
    with pytest.raises(ConfigError, match='set\n *MODEL.RESNETS.NORM "FrozenBN"\n'):
        check_convention(tiny_cfg(*C4, "MODEL.RESNETS.NORM", "BN"), folded)


def test_nothing_is_loaded_by_halves(tmp_path, detector, capsys):
    lacking = f"{RPN}anchor_deltas.bias"  # checked after the trunk
    arrays = {name: array for name, array in detector.items() if name != lacking}
    cfg = tiny_cfg(*C4, "MODEL.BACKBONE.WEIGHTS", write(tmp_path / "cut.pkl", {"model": arrays}))
    trunk, rpn = parts(cfg)
    before = [value.clone() for module in (trunk, rpn) for value in module.state_dict().values()]
    with pytest.raises(CheckpointError, match=rf"cut.pkl does not fit(.|\n)*   1 missing: {lacking}"):
        load_keyframe_weights(cfg, trunk, rpn)
    after = [value for module in (trunk, rpn) for value in module.state_dict().values()]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    with pytest.raises(SystemExit) as stop, explain_errors():
        build_model(cfg)
    assert stop.value.code == 2 and f"1 missing: {lacking}" in capsys.readouterr().err


def test_another_networks_file_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="a.pkl: no ResNet: none of conv1.weight"):
        loaded(write(tmp_path / "a.pkl", {"w": np.zeros(1)}))


@pytest.mark.skipif(not HAS_DETECTRON2, reason="Detectron2 is not installed")
@pytest.mark.parametrize("stride_in_1x1", [True, False])
def test_detectron2s_own_networks(tmp_path, stride_in_1x1):
    from detectron2.modeling import build_backbone, build_proposal_generator

    cfg = tiny_cfg(
        *C4, "MODEL.BACKBONE.NAME", "build_resnet_backbone", "MODEL.PROPOSAL_GENERATOR.NAME", "RPN",
        "MODEL.ANCHOR_GENERATOR.SIZES", [[32, 64, 128, 256, 512]], "MODEL.RESNETS.STRIDE_IN_1X1", stride_in_1x1,
        *([] if stride_in_1x1 else ["MODEL.PIXEL_STD", [57.375, 57.12, 58.395]]),
    )  # fmt: skip
    torch.manual_seed(0)
    backbone, rpn = build_backbone(cfg).eval(), None
    for name, value in backbone.state_dict().items():
        if ".norm." in name:
            value.uniform_(0.5, 1.5) if "var" in name or "weight" in name else value.uniform_(-0.2, 0.2)
    rpn = build_proposal_generator(cfg, {"res4": ShapeSpec(channels=1024, stride=16)}).eval()
    state = {f"backbone.{k}": v.numpy() for k, v in backbone.state_dict().items()}
    state |= {f"proposal_generator.{k}": v.numpy() for k, v in rpn.state_dict().items()}
    state |= {"pixel_mean": np.float32(cfg.MODEL.PIXEL_MEAN), "pixel_std": np.float32(cfg.MODEL.PIXEL_STD)}
    path = write(tmp_path / "theirs.pkl", {"model": state, "__author__": "us"})
    cfg.MODEL.BACKBONE.WEIGHTS, cfg.MODEL.PROPOSAL_GENERATOR.NAME = path, "KeyframeRPN"
    trunk, ours = parts(cfg)
    load_keyframe_weights(cfg, trunk, ours)
    x = torch.randn(1, 3, 70, 90) * 50
    with torch.inference_mode():
        expected, found = backbone(x), {"res4": trunk(x)}
        scale = float(expected["res4"].std())
        torch.testing.assert_close(found["res4"], expected["res4"], rtol=1e-4, atol=1e-4 * scale)
        logits, deltas = ours.rpn_head(found["res4"])
        their_logits, their_deltas = rpn.rpn_head([expected["res4"]])
        torch.testing.assert_close(logits[0], their_logits[0][0].permute(1, 2, 0).flatten(), rtol=1e-3, atol=1e-3)
        wanted = their_deltas[0][0].permute(1, 2, 0).reshape(-1, 4)
        torch.testing.assert_close(deltas[0], wanted, rtol=1e-3, atol=1e-3)
