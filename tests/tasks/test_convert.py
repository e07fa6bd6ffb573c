"""tools/convert_weights.py and what reads its checkpoints."""

import numpy as np
import pytest
import torch
import torchvision

import backbones
from detect.modeling.context import build_context_networks
from detect.modeling.context_weights import config_lines, load_context_weights
from detect.tasks.convert import convert, parse_fields
from detect.utils.checkpoint_files import CheckpointError, read_arrays
from tests.running import run_tool
from tests.tiny import tiny_cfg


@pytest.fixture(scope="module")
def s3d():
    torch.manual_seed(0)
    return torchvision.models.video.s3d(weights=None, num_classes=7).eval()


@pytest.fixture(scope="module")
def converted(s3d, tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    torch.save({"state_dict": s3d.state_dict()}, folder / "in.pth")
    run(folder / "in.pth", folder / "out.pth")
    return folder / "out.pth"


def run(source_file, output, source="torchvision", **options):
    convert(str(source_file), str(output), source=source, **options)


def test_a_converted_file_is_the_source_network(s3d, converted):
    net = backbones.load_network(converted)
    x = torch.randn(1, 3, 9, 65, 71)
    with torch.no_grad():
        ours, theirs = net.endpoints(x, ("mixed_5c",))["mixed_5c"], s3d.features(x)
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4 * float(theirs.std()))
    # torchvision's S3D_Weights: mean (0.43216, 0.394666, 0.37645), std (0.22803, 0.22145, 0.216989) of 0..1 values
    np.testing.assert_allclose(net.preprocessing.mean, 255 * np.array([0.43216, 0.394666, 0.37645]))
    np.testing.assert_allclose(net.preprocessing.std, 255 * np.array([0.22803, 0.22145, 0.216989]))
    assert net.preprocessing.channel_order == "RGB" and not net.training


def test_saving_and_loading_is_the_same_network(tmp_path):
    net = backbones.build("s3dg", width=0.125, num_classes=3, in_channels=2, stem_kernel=3, padding="even_pools").eval()
    torch.save(backbones.network_state(net), tmp_path / "n.pth")
    again = backbones.load_network(tmp_path / "n.pth")
    x = torch.randn(1, 2, 5, 33, 40)
    assert again.spec == net.spec and again.preprocessing == net.preprocessing
    with torch.no_grad():
        assert torch.equal(again(x), net(x))


def test_other_classes_and_channels(converted):
    rgb, flow = backbones.load_network(converted), backbones.load_network(converted, num_classes=5, in_channels=2)
    first = "stages.conv2d_1a_7x7.spatial.conv.weight"
    expected = rgb.state_dict()[first].mean(1)  # over R, G, B
    assert all(torch.equal(flow.state_dict()[first][:, channel], expected) for channel in range(2))
    assert flow.logits.out_channels == 5 and flow.preprocessing == backbones.Preprocessing.default(2)
    assert torch.equal(
        flow.stages.mixed_5c.branch_0.spatial.conv.weight, rgb.stages.mixed_5c.branch_0.spatial.conv.weight
    )


def test_the_detector_wants_the_files_network_and_normalisation(converted):
    with pytest.raises(CheckpointError, match="differs from .*all_branches") as caught:
        build_context_networks(tiny_cfg("MODEL.CONTEXT.WEIGHTS", str(converted), "MODEL.CONTEXT.WIDTH", 1.0))
    assert "MODEL.CONTEXT.NAME torchvision_s3d" in str(caught.value)
    facts = torch.load(converted, weights_only=True)
    net = backbones.load_network(converted)
    words = []
    for key, text in config_lines(net.spec, net.preprocessing, net.width).items():  # the lines that the error names
        words += [key, text.strip('"')]
    cfg = tiny_cfg(
        "MODEL.CONTEXT.WIDTH", 1.0, "MODEL.CONTEXT.OVERRIDES", {}, "MODEL.CONTEXT.WEIGHTS", str(converted), *words
    )
    trunk = build_context_networks(cfg).trunks["rgb"]
    name = "mixed_4e.branch_1.1.temporal.conv.weight"
    assert torch.equal(trunk.state_dict()[name], facts["model"][f"stages.{name}"])


def test_lines_describe_any_network():
    for name in ("i3d", "slim_s3dg", "top_heavy_s3d_4"):
        net = backbones.build(name, width=0.25, bn_eps=0.1)
        lines = config_lines(net.spec, net.preprocessing, net.width)
        assert lines["MODEL.CONTEXT.NAME"] == name and lines["MODEL.CONTEXT.OVERRIDES.bn_eps"] == "0.1"
        assert lines["MODEL.CONTEXT.WIDTH"] == "0.25"


def test_weights_of_rgb_start_a_network_of_flow(tmp_path):
    rgb = backbones.build("i3d", width=0.125, num_classes=2)
    torch.save(backbones.network_state(rgb), tmp_path / "rgb.pth")
    flow = backbones.build("i3d", width=0.125, num_classes=4, in_channels=2)
    load_context_weights(flow, str(tmp_path / "rgb.pth"))
    kernel = rgb.stages.conv2d_1a_7x7.spatial.conv.weight.mean(1)
    assert torch.equal(flow.stages.conv2d_1a_7x7.spatial.conv.weight[:, 1], kernel)


def test_what_cannot_be_converted_writes_nothing(s3d, tmp_path):
    state = {k: v for k, v in s3d.state_dict().items() if k != "features.2.0.weight"}
    torch.save({**state, "stranger": torch.zeros(1)}, tmp_path / "in.pth")
    result = run_tool("convert_weights", "--weights", tmp_path / "in.pth", "--output", tmp_path / "o.pth")
    assert result.returncode == 2
    assert "1 missing: features.2.0.weight" in result.stderr and "1 unexpected: stranger" in result.stderr
    assert not (tmp_path / "o.pth").exists()


def test_files_of_arrays(tmp_path):
    np.savez(tmp_path / "a.npz", **{"InceptionV1/x/weights": np.ones(3)})
    arrays, author = read_arrays(tmp_path / "a.npz")
    assert list(arrays) == ["InceptionV1/x/weights"] and author == ""
    np.savez(tmp_path / "b.npz", x=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="b.npz: x.npy holds object; only numbers and text are read"):
        read_arrays(tmp_path / "b.npz")
    (tmp_path / "model.ckpt.index").touch()
    with pytest.raises(CheckpointError, match="pip install tensorflow"):
        read_arrays(tmp_path / "model.ckpt")


def test_a_file_that_does_not_say_its_network(tmp_path):
    torch.save({"model": backbones.build("i2d", width=0.125).state_dict()}, tmp_path / "n.pth")
    with pytest.raises(ValueError, match="does not say which network"):
        backbones.load_network(tmp_path / "n.pth")


def test_inflated_with_fields(tmp_path):
    googlenet = torchvision.models.googlenet(weights=None, init_weights=False, num_classes=3)
    torch.save(googlenet.state_dict(), tmp_path / "in.pth")
    run(tmp_path / "in.pth", tmp_path / "out.pth", "googlenet", network="s3d", fields=["stem_kernel=3"])
    net = backbones.load_network(tmp_path / "out.pth")
    assert net.spec.stem_kernel == 3 and net.spec.padding == "ceil_pools" and net.spec.separable
    assert parse_fields(["a=(1, 2)", "b=same"]) == {"a": (1, 2), "b": "same"}
    with pytest.raises(ValueError, match="FIELD=VALUE"):
        parse_fields(["a"])
