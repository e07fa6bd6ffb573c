"""Two streams, RGB and flow."""

import pytest
import torch

import backbones
from detect.config import check_read
from detect.modeling.context import build_context_networks
from detect.utils.checkpoint_files import CheckpointError
from detect.utils.errors import UserError
from tests.tiny import BOTH, built, clip_item, tiny_cfg, with_flow


@pytest.mark.parametrize("streams", [("rgb",), ("flow",), ("rgb", "flow")])
def test_every_choice_of_streams_trains_and_detects(streams):
    cfg, model = built("MODEL.STREAMS", streams)
    assert (model.context is None, model.flow is None) == ("rgb" not in streams, "flow" not in streams)
    losses = model([with_flow(clip_item(cfg)), with_flow(clip_item(cfg, seed=1), 1)])
    sum(losses.values()).backward()
    assert not [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    with torch.no_grad():
        (output,) = model.eval()([with_flow(clip_item(cfg))])
    assert len(output["instances"]) > 0
    wanted = {"rgb": ("context", 3, "RGB"), "flow": ("flow", 2, "XY")}
    found = model.preprocessing()
    assert found.keys() == {"keyframe", *(wanted[stream][0] for stream in streams)}
    for branch, channels, order in (wanted[stream] for stream in streams):
        assert len(found[branch]["mean"]) == channels and found[branch]["channel_order"] == order


def test_the_maps_are_averaged_before_pooling():
    cfg, model = built(*BOTH)
    item = with_flow(clip_item(cfg))
    with torch.no_grad():
        model.eval()
        rgb = model.context(item["clip"][None].float().permute(0, 4, 1, 2, 3) / 127.5 - 1)
        flow = model.flow(item["flow"][None].float().permute(0, 4, 1, 2, 3) / 127.5 - 1)
        both = model.context_maps(item["clip"][None], [item])
    torch.testing.assert_close(both, (rgb + flow) / 2, rtol=1e-4, atol=1e-5)
    assert both.is_contiguous(memory_format=torch.channels_last_3d)
    assert not torch.allclose(rgb, flow, atol=1e-3)


def test_with_one_weight_and_one_picture_two_streams_are_one():
    """RGB with three equal channels and flow with two of them, first kernels 1/3 and 1/2 of one: equal maps."""
    _, model = built(*BOTH)
    model.flow.load_state_dict(
        {k: v if v.ndim != 5 or v.shape[1] != 3 else v.mean(1, keepdim=True).expand(-1, 2, -1, -1, -1) * 1.5
         for k, v in model.context.state_dict().items()}
    )  # fmt: skip
    model.context.conv2d_1a_7x7.spatial.conv.weight.data[:] = model.context.conv2d_1a_7x7.spatial.conv.weight.mean(
        1, keepdim=True
    )
    grey = torch.randint(0, 256, (1, 8, 48, 64, 1), dtype=torch.uint8)
    clip, flow = grey.expand(-1, -1, -1, -1, 3), grey.expand(-1, -1, -1, -1, 2)
    with torch.no_grad():
        model.eval()
        maps = [getattr(model, b)(model.normalised(x, b)) for b, x in (("context", clip), ("flow", flow))]
    torch.testing.assert_close(*maps, rtol=1e-3, atol=1e-4)


def test_the_flow_section_changes_what_it_names():
    i3d = (*BOTH, "MODEL.CONTEXT.NAME", "i3d", "MODEL.CONTEXT.FREEZE_AT", "mixed_3b")
    cfg = tiny_cfg(*i3d, "MODEL.FLOW.NORM", "FrozenBN")
    networks = build_context_networks(cfg)
    assert list(networks.trunks) == ["rgb", "flow"]
    names = {stream: set(trunk.state_dict()) for stream, trunk in networks.trunks.items()}
    assert names["rgb"] == names["flow"]  # the same network, unless another is named
    assert networks.trunks["flow"].conv2d_1a_7x7.spatial.conv.weight.shape[1] == 2
    norms = [t.mixed_4b.branch_0.spatial.bn.frozen for t in networks.trunks.values()]
    assert norms == [False, True]
    unfrozen = build_context_networks(
        tiny_cfg(*BOTH, "MODEL.CONTEXT.FREEZE_AT", "mixed_3b", "MODEL.FLOW.FREEZE_AT", "''")
    ).trunks["flow"]
    assert all(p.requires_grad for p in unfrozen.parameters())
    other = build_context_networks(tiny_cfg(*BOTH, "MODEL.CONTEXT.NAME", "s3dg", "MODEL.FLOW.NAME", "i3d"))
    assert set(other.trunks["flow"].state_dict()) == names["flow"]
    with pytest.raises(UserError, match="the maps of the two streams have"):
        build_context_networks(tiny_cfg(*BOTH, "MODEL.FLOW.WIDTH", 0.25))


def test_each_stream_has_its_weights(tmp_path):
    torch.manual_seed(3)
    args = {"width": 0.125, "conv_std": 0.0}
    nets = {
        "rgb": backbones.build("s3dg", num_classes=4, **args),
        "flow": backbones.build("s3dg", num_classes=5, in_channels=2, **args),
    }
    for name, net in nets.items():
        torch.save(backbones.network_state(net), tmp_path / f"{name}.pth")
    rgb, flow = ("MODEL.CONTEXT.WEIGHTS", str(tmp_path / "rgb.pth")), ("MODEL.FLOW.WEIGHTS", str(tmp_path / "flow.pth"))
    networks = build_context_networks(tiny_cfg(*BOTH, *rgb, *flow))
    first = "conv2d_1a_7x7.spatial.conv.weight"
    for name, net in nets.items():
        assert torch.equal(networks.trunks[name].state_dict()[first], net.stages.state_dict()[first])
    # one tail, of the RGB network; of the flow network where that is the only one
    last = "mixed_5c.branch_0.spatial.conv.weight"
    assert torch.equal(networks.tail.state_dict()[last], nets["rgb"].stages.state_dict()[last])
    alone = build_context_networks(tiny_cfg("MODEL.STREAMS", ("flow",), *flow))
    assert torch.equal(alone.tail.state_dict()[last], nets["flow"].stages.state_dict()[last])
    # an RGB file for the flow stream: its first kernel is averaged over the channels
    averaged = build_context_networks(tiny_cfg(*BOTH, *rgb, "MODEL.FLOW.WEIGHTS", str(tmp_path / "rgb.pth")))
    expected = nets["rgb"].stages.state_dict()[first].mean(1)
    assert torch.equal(averaged.trunks["flow"].state_dict()[first][:, 1], expected)
    with pytest.raises(CheckpointError, match="set\n    MODEL.FLOW.NAME s3dg"):
        build_context_networks(tiny_cfg(*BOTH, *flow, "MODEL.FLOW.NAME", "i3d"))


def test_one_key_changes_the_streams_of_one_config():
    for streams in (("rgb",), ("flow",), ("rgb", "flow")):
        cfg = tiny_cfg("MODEL.STREAMS", streams, "MODEL.FLOW.WEIGHTS", "flow.pth", "MODEL.FLOW.NORM", "BN")
        check_read(cfg, "detector")
