"""Every naming of ResNet weights against a network that is run by hand from the foreign arrays."""

import numpy as np
import pytest
import torch
import torchvision

from backbones.report import LoadReport
from backbones.resnet import ResNetTrunk
from backbones.resnet_importers import CONVENTIONS, import_resnet
from tests.backbones.foreign_resnet import caffe2_names, detectron2_resnet50, res4

MSRA, TORCHVISION = CONVENTIONS["msra"], CONVENTIONS["torchvision"]


@pytest.fixture(scope="module")
def image() -> torch.Tensor:
    return torch.randn(1, 3, 75, 90, generator=torch.Generator().manual_seed(0))  # odd: the stride's place shows


@pytest.fixture(scope="module")
def foreign() -> dict[str, np.ndarray]:
    return detectron2_resnet50()


def run(arrays, image, **options):
    """(res4 in double precision, report, convention); the trunk takes the convention's stride."""
    state, report, convention = import_resnet(arrays, **options)
    assert report.ok, report.text()
    trunk = ResNetTrunk(50, stride_in_1x1=convention.stride_in_1x1).double().eval()
    trunk.load_imagenet(state)
    with torch.inference_mode():
        return trunk(image.double()), report, convention


def assert_equal(found, expected):
    assert float(expected.std()) > 0.1  # the reference tells networks apart
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5 * float(expected.std()))


@pytest.mark.parametrize("prefix", ["", "backbone.", "backbone.bottom_up."])
def test_detectron2_names(foreign, image, prefix):
    arrays = {prefix + name: array for name, array in foreign.items()}
    superfluous = {f"{prefix}res5.0.conv1.weight", "roi_heads.box_predictor.cls_score.weight",
                   "proposal_generator.anchor_generator.cell_anchors.0"}  # fmt: skip
    arrays |= {name: np.zeros(1, np.float32) for name in superfluous}
    found, report, convention = run(arrays, image)
    assert_equal(found, res4(foreign, image, stride_in_1x1=True))
    assert convention == MSRA
    assert len(report.used) == len(foreign) and set(report.ignored) == superfluous


@pytest.mark.parametrize("words", [("gamma", "beta", "running_mean", "running_var"), ("s", "b", "rm", "riv")])
def test_caffe2_names_with_statistics(foreign, image, words):
    arrays = caffe2_names(foreign, folded=False, words=words)
    arrays |= {name: np.zeros(1, np.float32) for name in ("conv1_b", "fc1000_w", "fc1000_b", "res5_0_branch1_w")}
    found, report, convention = run(arrays, image)
    assert_equal(found, res4(foreign, image, stride_in_1x1=True))
    assert convention == MSRA and len(report.used) == len(foreign)
    assert report.ignored == ["conv1_b", "fc1000_b", "fc1000_w", "res5_0_branch1_w"]


def test_caffe2_names_with_folded_statistics(foreign, image):
    found, report, convention = run(caffe2_names(foreign, folded=True), image)
    assert_equal(found, res4(foreign, image, stride_in_1x1=True))
    assert convention.folded and convention.stride_in_1x1
    assert len(report.used) == 43 * 3  # a kernel, a scale and a shift of 1 + 13 * 3 + 3 convolutions


def test_torchvision_names(image):
    torch.manual_seed(0)
    net = torchvision.models.resnet50().eval()
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.2, 0.2), module.running_var.uniform_(0.5, 1.5)
    found, report, convention = run(net.state_dict(), image)
    net.double()
    with torch.inference_mode():
        stem = net.maxpool(net.relu(net.bn1(net.conv1(image.double()))))
        assert_equal(found, net.layer3(net.layer2(net.layer1(stem))))
    assert convention == TORCHVISION
    assert all(name.startswith(("layer4.", "fc.")) or "num_batches" in name for name in report.ignored)


def test_torchvision_weights_under_detectron2s_names_keep_their_convention(foreign, image):
    arrays = foreign | {"stem.fc.weight": np.zeros((1, 1), np.float32)}
    found, _, convention = run(arrays, image, author="torchvision")
    assert_equal(found, res4(foreign, image, stride_in_1x1=False))
    assert convention == TORCHVISION


def test_pixel_statistics_in_the_file_decide(foreign):
    def convention(mean, std):
        pixels = {"pixel_mean": np.float32(mean).reshape(3, 1, 1), "pixel_std": np.float32(std).reshape(3, 1, 1)}
        return import_resnet(foreign | pixels)[2]

    assert convention(MSRA.pixel_mean, MSRA.pixel_std) == MSRA
    assert convention(TORCHVISION.pixel_mean, TORCHVISION.pixel_std) == TORCHVISION
    blue_first = convention(TORCHVISION.pixel_mean[::-1], TORCHVISION.pixel_std[::-1])
    assert blue_first.input_format == "BGR" and not blue_first.stride_in_1x1


def test_what_does_not_fit_is_reported_by_name(foreign):
    arrays = dict(foreign)
    del arrays["res2.1.conv3.norm.bias"]
    arrays["res4.5.conv2.weight"] = np.zeros((256, 256, 1, 1), np.float32)
    arrays["res3.0.conv2_offset.weight"] = np.zeros(1, np.float32)  # a deformable network
    state, report, _ = import_resnet(arrays)
    assert not report.ok
    assert report.missing == ["res2.1.conv3.norm.bias"]
    assert report.wrong_shape == ["res4.5.conv2.weight: (256, 256, 1, 1), not (256, 256, 3, 3)"]
    assert report.unexpected == ["res3.0.conv2_offset.weight"]
    assert "layer1.1.bn3.bias" not in state and "layer3.5.conv2.weight" not in state
    assert "   1 missing: res2.1.conv3.norm.bias" in report.text()


def test_another_depth_does_not_fit(foreign):
    report = import_resnet(foreign, depth=101)[1]
    assert len(report.missing) == 17 * 15 and report.missing[0] == "res4.6.conv1.weight"  # res4 has 23 blocks, not 6
    report = import_resnet(torchvision.models.resnet18().state_dict(), depth=50)[1]
    assert report.missing and report.wrong_shape


def test_a_torchvision_file_without_statistics_is_not_taken_for_folded():
    state = {k: v for k, v in torchvision.models.resnet18().state_dict().items() if "running" not in k}
    report = import_resnet(state, depth=18)[1]
    assert len(report.missing) == 2 * 15 and not report.ok  # mean and variance of 15 convolutions to layer3


def test_other_networks_are_refused():
    for arrays in ({}, {"features.0.weight": np.zeros(1)}):
        with pytest.raises(ValueError, match=r"no ResNet: none of conv1.weight \(torchvision\)"):
            import_resnet(arrays)


def test_the_report_counts_and_names():
    assert LoadReport().ok and LoadReport().text() == ""
    report = LoadReport(used=[f"w{i}" for i in range(7)], ignored=["fc"], missing=["b"])
    assert report.text().splitlines() == [
        "   7 used: w0, w1, w2, w3, w4, ...", "   1 ignored on purpose: fc", "   1 missing: b",
    ]  # fmt: skip
    assert not report.ok
    assert not LoadReport(wrong_shape=["a"]).ok and not LoadReport(unexpected=["a"]).ok


@pytest.mark.parametrize("depth", [18, 50])
@pytest.mark.parametrize("norm", ["FrozenBN", "BN"])
def test_a_folded_trunk_gives_the_same(image, depth, norm):
    torch.manual_seed(0)
    trunk = ResNetTrunk(depth, norm).double().eval()
    for name, value in trunk.state_dict().items():  # statistics and scales that are not neutral
        if any(part in name for part in ("bn", "downsample.1")) and value.is_floating_point():
            value.copy_(0.5 + torch.rand_like(value))
    with torch.inference_mode():
        before = trunk(image.double())
        after = trunk.fold()(image.double())
    torch.testing.assert_close(after, before, rtol=1e-9, atol=1e-9 * float(before.abs().max()))
    assert not any("bn" in name or "running" in name for name in trunk.state_dict())
