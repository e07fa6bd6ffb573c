"""A video that stands still through an inflated network gives what the image gives through the 2D network.

Exact at every step where only identities act over time; with joint kernels, which the zeros before and after the clip
reach, exact only away from its ends. Everything in float64.
"""

import numpy as np
import pytest
import torch
import torchvision
from foreign import Weights
from foreign_tensorflow import SlimInceptionV1
from torch import Tensor, nn

import backbones
from backbones import ENDPOINTS, InceptionNet
from backbones.importers import import_weights, load
from backbones.inflate import load_inflated
from backbones.layers import BatchNorm, Gate

SIZE = (44, 61)  # odd, not square
CLASSES = 5


def image_network(**overrides) -> InceptionNet:
    """A 2D network of quarter width with weights and statistics that are not neutral, in float64."""
    torch.manual_seed(0)
    net = backbones.build("i2d", width=0.25, num_classes=CLASSES, conv_std=0, **overrides).double()
    for module in net.modules():
        if isinstance(module, BatchNorm):
            for tensor in (module.weight, module.bias, module.running_mean, module.running_var):
                tensor.data.add_(0.1 * torch.randn_like(tensor))
    return net.eval()


def inflated(image_net: InceptionNet, name: str, **overrides) -> InceptionNet:
    net = backbones.build(name, width=0.25, num_classes=CLASSES, **overrides).double()
    load_inflated(net, image_net)
    return net.eval()


def picture() -> Tensor:
    return torch.randn(1, 3, 1, *SIZE, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def endpoints_of_both(net: InceptionNet, image_net: InceptionNet, frames: int, names=None) -> tuple[dict, dict]:
    """Of the standing video through `net`, and of the one image through `image_net`."""
    image = picture()
    return net.endpoints(image.expand(-1, -1, frames, -1, -1), names), image_net.endpoints(image, names)


def assert_equal_at(steps: slice, video: Tensor, image: Tensor) -> None:
    """To 1e-10 of the image's standard deviation."""
    part = video[:, :, steps]
    assert part.shape[2] > 0
    torch.testing.assert_close(part, image.expand_as(part), rtol=0, atol=1e-10 * float(image.std()))


@pytest.mark.parametrize("frames", [8, 17])
@pytest.mark.parametrize("name", ["s3d", "fast_s3d", "bottom_heavy_s3d_3", "top_heavy_s3d_4"])
def test_separable_networks_are_exact_at_every_step(name, frames):
    image_net = image_network()
    video, image = endpoints_of_both(inflated(image_net, name), image_net, frames)
    assert tuple(video) == (*ENDPOINTS, "logits")
    for endpoint in video:
        assert_equal_at(slice(None), video[endpoint], image[endpoint])


def test_temporal_batch_norm_starts_neutral():
    image_net = image_network()
    video, image = endpoints_of_both(inflated(image_net, "s3d", temporal_bn=True, all_branches=False), image_net, 8)
    for endpoint in video:
        assert_equal_at(slice(None), video[endpoint], image[endpoint])


# As far as kernels see zeros of the padding, steps are inexact. With even lengths, step j of the 7 x 7 x 7 stem with
# stride 2 sees frames 2j - 2 .. 2j + 4; a 3 x 3 x 3 convolution or pool loses one step at either end; step j of the
# pools with stride 2 sees 2j .. 2j + 2 (kernel 3) or 2j, 2j + 1 (kernel 2). So with 128 frames these are exact:
# stem 1 .. 61 of 64, 2c 2 .. 60, 3b 3 .. 59, 3c 4 .. 58; pool 4a 2 .. 28 of 32, 4b to 4f 7 .. 23; pool 5a 4 .. 11 of
# 16, 5b and 5c 6 .. 9.
@pytest.mark.parametrize(
    "endpoint, frames, steps, first, last",
    [
        ("conv2d_1a_7x7", 16, 8, 1, 5),
        ("conv2d_2c_3x3", 16, 8, 2, 4),
        ("mixed_3b", 16, 8, 3, 3),
        ("mixed_3c", 24, 12, 4, 6),
        ("mixed_5c", 128, 16, 6, 9),
    ],
)
def test_joint_kernels_are_exact_away_from_the_ends(endpoint, frames, steps, first, last):
    image_net = image_network()
    found = endpoints_of_both(inflated(image_net, "i3d"), image_net, frames, (endpoint,))
    video, image = (endpoints[endpoint] for endpoints in found)
    assert video.shape[2] == steps
    assert_equal_at(slice(first, last + 1), video, image)
    for step in (first - 1, last + 1):  # and no farther: the ranges are tight
        assert float((video[:, :, step] - image[:, :, 0]).abs().max()) > 1e-8 * float(image.std()), step


def test_kernels_are_repeated_and_divided():
    image_net = image_network()
    net = inflated(image_net, "i3d")
    kernel = net.stages.conv2d_1a_7x7.spatial.conv.weight
    image = image_net.stages.conv2d_1a_7x7.spatial.conv.weight[:, :, 0]
    assert kernel.shape[2] == 7
    for offset in range(7):
        torch.testing.assert_close(kernel[:, :, offset] * 7, image)


def test_gates_stay_as_initialised_and_only_scale():
    image_net = image_network()
    net = backbones.build("s3dg", width=0.25, num_classes=CLASSES, gate_init=3.0).double().eval()
    before = {name: value.clone() for name, value in net.state_dict().items() if ".gate." in name}
    assert before
    load_inflated(net, image_net)
    assert all(torch.equal(net.state_dict()[name], value) for name, value in before.items())
    for gate in (module for module in net.modules() if isinstance(module, Gate)):
        nn.init.zeros_(gate.fc.weight)
    video, image = endpoints_of_both(net, image_net, 8, ("conv2d_1a_7x7",))
    scale = torch.sigmoid(torch.tensor(3.0, dtype=torch.float64))  # of gates with neither weight nor input
    assert_equal_at(slice(None), video["conv2d_1a_7x7"], image["conv2d_1a_7x7"] * scale)


@torch.no_grad()
def test_the_2d_network_is_the_image_network_on_every_frame():
    net = image_network()
    frames = torch.randn(1, 3, 5, *SIZE, dtype=torch.float64)
    before_time_is_pooled = ENDPOINTS[: ENDPOINTS.index("mixed_3c") + 1]
    video = net.endpoints(frames, before_time_is_pooled)
    # the stem keeps frames 0, 2, 4 (temporal stride 2, kernel 1)
    for step, frame in enumerate(range(0, 5, 2)):
        image = net.endpoints(frames[:, :, frame : frame + 1], before_time_is_pooled)
        for name in before_time_is_pooled:
            torch.testing.assert_close(video[name][:, :, step], image[name][:, :, 0], rtol=0, atol=1e-11)


@pytest.mark.parametrize(
    "overrides, name",
    [({"width": 0.5}, "conv2d_1a_7x7"), ({"in_channels": 2}, "conv2d_1a_7x7"), ({"num_classes": 6}, "logits")],
)
def test_mismatch_names_the_layer_and_both_shapes(overrides, name):
    image_net = image_network()
    net = backbones.build("s3d", **{"width": 0.25, "num_classes": CLASSES, **overrides})
    before = {k: v.clone() for k, v in net.state_dict().items()}
    with pytest.raises(ValueError, match=rf"{name}.* in the image network, .* in the video network"):
        load_inflated(net, image_net)
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())  # nothing half-loaded


@pytest.mark.parametrize("name, bn_gamma", [("slim_s3d", True), ("s3d", False)])
def test_scales_are_not_dropped_nor_made_up(name, bn_gamma):
    net = backbones.build(name, width=0.25, num_classes=CLASSES)
    with pytest.raises(ValueError, match="bn_gamma"):
        load_inflated(net, image_network(bn_gamma=bn_gamma))


# From the public image weights -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def inception_v1() -> Weights:
    reference = SlimInceptionV1(Weights())
    reference.classes = CLASSES
    with torch.no_grad():
        reference(torch.randn(2, 3, 1, 40, 56, dtype=torch.float64))
    return reference.w


@torch.no_grad()
def test_from_slim_inception_v1(inception_v1):
    reference = SlimInceptionV1(inception_v1)
    reference.classes = CLASSES
    image = reference(picture())
    net, report = import_weights("slim_inception_v1", inception_v1, network="s3d")
    assert report.ok and net.spec.temporal_units == backbones.variants.ALL_UNITS and not net.training
    video = net.double().endpoints(picture().expand(-1, -1, 8, -1, -1))
    for endpoint in ENDPOINTS:
        expected = image[endpoint].expand_as(video[endpoint])
        assert float((video[endpoint] - expected).abs().max()) < 1e-9 * float(expected.std()), endpoint
    torch.testing.assert_close(video["logits"][:, :, 0, 0, 0], image["logits"], rtol=1e-9, atol=1e-9)


@torch.no_grad()
def test_from_torchvision_googlenet():
    theirs = torchvision.models.googlenet(num_classes=CLASSES, init_weights=False).eval()
    net = load("googlenet", theirs.state_dict(), network="s3d").double()
    assert net.spec.padding == "ceil_pools"  # the picture is padded as there
    expected = theirs.double()(picture()[:, :, 0])
    torch.testing.assert_close(net(picture().expand(-1, -1, 12, -1, -1)), expected, rtol=1e-9, atol=1e-9)


def test_fields_of_the_row_may_be_changed(inception_v1):
    own = load("slim_inception_v1", inception_v1)
    changed = load("slim_inception_v1", inception_v1, bn_momentum=0.5)
    assert changed.spec.bn_momentum == 0.5 and changed.spec.head_window == own.spec.head_window == (1, 7)
    gated = load("slim_inception_v1", inception_v1, network="s3dg", gate_init=2.0)
    assert np.isclose(float(gated.stages.mixed_3b.branch_0.gate.fc.bias.mean().detach()), 2.0)
    with pytest.raises(ValueError, match="unknown field"):
        load("slim_inception_v1", inception_v1, network="s3d", colour=1)
