"""Spans: several keyframes of which the trunk makes one map."""

import pytest
import torch

import backbones
from backbones.layers import Gate, sliding_mean
from backbones.padding import PADDINGS
from backbones.variants import VARIANTS
from detect.d2 import Boxes, Instances
from detect.modeling.context import build_context_networks
from detect.modeling.roi_head import parts
from detect.modeling.sharing import shared_endpoint, span_plan, window_maps
from tests.tiny import BOTH, built, clip_item, tiny_cfg, with_flow


def random_spans(length, count, channels=3):
    torch.manual_seed(1)
    return torch.randn(count, length, 48, 64, channels).permute(0, 4, 1, 2, 3)


@pytest.mark.parametrize("name", ["fast_s3d", "i2d", "top_heavy_s3d_3", "top_heavy_i3d_7", "top_heavy_i3d_1"])
@pytest.mark.parametrize("window", [8, 13, 20])
@torch.no_grad()
def test_sharing_of_per_frame_layers_is_exact(name, window):
    cfg = tiny_cfg("MODEL.CONTEXT.NAME", name, "INPUT.NUM_FRAMES", window)
    shared, plan = shared_endpoint(cfg), span_plan(cfg, is_train=False)
    assert plan.shares and plan.stride == backbones.temporal_stride(shared) == 2
    trunk = build_context_networks(cfg).trunks["rgb"].eval()
    x = random_spans(window + 10, 2)
    offsets = [[0, 2, 6, 10], [4, 8]]
    maps = window_maps(trunk, x, shared, window, offsets)
    expected = [trunk(x[n : n + 1, :, o : o + window]) for n, found in enumerate(offsets) for o in found]
    torch.testing.assert_close(maps, torch.cat(expected), rtol=1e-5, atol=1e-5 * float(maps.abs().max()))
    assert maps.is_contiguous(memory_format=torch.channels_last_3d)


def test_per_frame_layers():
    """By hand from the layer table: the stem, 2c, 3b, 3c are units 0 to 3; MaxPool_4a has a temporal kernel of 3."""
    expected = {
        "s3dg": None, "i3d": None, "s3d": None, "bottom_heavy_i3d_4": None, "top_heavy_s3d_1": "conv2d_2b_1x1",
        "top_heavy_i3d_2": "maxpool_3a_3x3", "top_heavy_s3d_3": "mixed_3b", "fast_s3d": "mixed_3c", "i2d": "mixed_3c",
        "slim_i3d": None, "howto100m_s3dg": None,
    }  # fmt: skip
    assert {name: backbones.per_frame_endpoint(VARIANTS[name]) for name in expected} == expected
    strides = {"conv2d_1a_7x7": 2, "mixed_3c": 2, "maxpool_4a_3x3": 4, "mixed_4e": 4, "maxpool_5a_2x2": 8}
    assert {name: backbones.temporal_stride(name) for name in strides} == strides
    info = backbones.build("i3d", width=0.125).stages.feature_info
    assert all(backbones.temporal_stride(name) == facts["stride"][0] for name, facts in info.items())


def test_windows_lie_on_the_grid_of_the_span():
    """Where a span is longer than a window by whole strides, every layer with a temporal stride begins as many frames
    before both, whatever the padding, so that its steps fall on the same frames."""
    for padding in PADDINGS.values():
        for window in range(3, 34):
            for extra in range(0, 48, 4):
                sizes = window, window + extra
                stride = 1
                for rule, kernel in ((padding.conv[0], 7), (padding.pool[0], 3)):  # the stem, MaxPool_4a
                    stride *= 2
                    before = [rule(n, kernel, 2)[0] for n in sizes]
                    assert before[0] == before[1]
                    sizes = tuple((n + sum(rule(n, kernel, 2)) - kernel) // 2 + 1 for n in sizes)
                    assert sizes[1] - sizes[0] == extra // stride


@torch.no_grad()
def test_the_middle_of_a_long_span_is_the_middle_of_a_long_window():
    """Far from the ends of both, a window cut from a span has the values of its own pass, not of one beside it."""
    for name, tap in (("i3d", "conv2d_2c_3x3"), ("s3d", "mixed_3b")):
        cfg = tiny_cfg("MODEL.CONTEXT.NAME", name, "MODEL.CONTEXT.TAP", tap, "INPUT.SPAN_FRAMES", 99)
        trunk = build_context_networks(cfg).trunks["rgb"].eval().double()
        x, window = random_spans(44, 1).double(), 32
        span, alone = window_maps(trunk, x, tap, window, [[6]]), trunk(x[:, :, 6 : 6 + window])
        middle = slice(5, 11)  # of 16 steps; the temporal kernels reach four
        torch.testing.assert_close(span[:, :, middle], alone[:, :, middle], rtol=1e-9, atol=1e-12)
        assert not torch.allclose(span[:, :, 0], alone[:, :, 0], rtol=1e-3)  # zeros against real frames


def test_sliding_mean():
    x = torch.arange(10, dtype=torch.float64).reshape(1, 1, 10) ** 2
    for window in (1, 2, 5, 9):
        expected = [x[0, 0, max(t - (window - 1) // 2, 0) : t + window // 2 + 1].mean() for t in range(10)]
        torch.testing.assert_close(sliding_mean(x, window)[0, 0], torch.stack(expected))


def test_a_gate_over_a_span_slides_and_over_a_window_does_not():
    torch.manual_seed(0)
    gate, x = Gate(4).double(), torch.randn(1, 4, 9, 3, 3, dtype=torch.float64)
    plain = gate(x)
    gate.window = 9
    assert torch.equal(gate(x), plain)
    gate.window = 5
    y = gate(x)
    weight = torch.sigmoid(gate.fc(x[:, :, 2:7].mean((2, 3, 4))))  # around step 4
    torch.testing.assert_close(y[:, :, 4], x[:, :, 4] * weight[:, :, None, None])
    with torch.no_grad():
        torch.testing.assert_close(gate(x.clone()), y)
    assert torch.autograd.gradcheck(gate, torch.randn(1, 4, 7, 1, 2, dtype=torch.float64).requires_grad_())


def span_item(cfg, length, offsets, seed=0, boxes=((8.0, 8.0, 40.0, 40.0),)):
    """A span with a keyframe in the middle of each window."""
    item = clip_item(tiny_cfg("INPUT.NUM_FRAMES", length, "INPUT.SIZE", cfg.INPUT.SIZE), seed=seed)
    h, w = cfg.INPUT.SIZE
    truth = Instances((h, w), gt_boxes=Boxes(torch.tensor(boxes)), gt_classes=torch.ones(len(boxes), dtype=torch.int64))
    middle = cfg.INPUT.NUM_FRAMES // 2
    return {
        **item, "positions": [o + middle for o in offsets], "offsets": list(offsets),
        "instances": [truth] * len(offsets),
        "samples": [{"height": 96, "width": 128, "frame_index": o} for o in offsets],
    }  # fmt: skip


@pytest.mark.parametrize("name", ["fast_s3d", "i2d"])
def test_a_detector_of_per_frame_layers_finds_the_same_in_spans(name):
    cfg, model = built("MODEL.CONTEXT.NAME", name)
    span = span_item(cfg, 14, [0, 2, 6])
    windows = [{**span["samples"][i], "clip": span["clip"][o : o + 8]} for i, o in enumerate(span["offsets"])]
    with torch.no_grad():
        shared, alone = model.eval()([span]), model(windows)
    assert len(shared) == 3
    for a, b in zip(shared, alone, strict=True):
        torch.testing.assert_close(a["proposals"].proposal_boxes.tensor, b["proposals"].proposal_boxes.tensor)
        for field in ("scores", "pred_classes"):
            torch.testing.assert_close(a["instances"].get(field), b["instances"].get(field), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(
            a["instances"].pred_boxes.tensor, b["instances"].pred_boxes.tensor, rtol=1e-4, atol=1e-3
        )


@pytest.mark.parametrize("name", ["s3dg", "i3d", "fast_s3d"])
@pytest.mark.parametrize("streams", [("rgb",), ("rgb", "flow")])
def test_training_on_spans(name, streams):
    cfg, model = built("MODEL.CONTEXT.NAME", name, "INPUT.SPAN_FRAMES", 24, "MODEL.STREAMS", streams)
    batch = [with_flow(span_item(cfg, 24, [0, 4, 8, 16], seed)) for seed in (0, 1)]
    losses = model(batch)
    assert losses.keys() == {"loss_rpn_cls", "loss_rpn_loc", "loss_cls", "loss_box_reg"}
    assert abs(float(losses["loss_cls"].detach()) - 1.386) < 0.15  # log 4, untrained, whatever the number of keyframes
    sum(losses.values()).backward()
    assert not [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]


def test_a_span_of_one_window_is_the_window():
    cfg, model = built("INPUT.SPAN_FRAMES", 24)
    span = span_item(cfg, 8, [0])
    plain = {k: v for k, v in span.items() if k not in ("positions", "offsets", "samples")}
    with torch.no_grad():
        (a,), (b,) = model.eval()([span]), model([plain])
    assert torch.equal(a["instances"].scores, b["instances"].scores)
    assert torch.equal(a["instances"].pred_boxes.tensor, b["instances"].pred_boxes.tensor)


@pytest.mark.parametrize("name", ["i3d", "s3dg"])
def test_sharing_less_differs_less(name):
    """Of spans and windows: the zeros at the ends of a window are those of the shared layers only."""
    windows = tiny_cfg("MODEL.CONTEXT.NAME", name, "INPUT.NUM_FRAMES", 20)
    torch.manual_seed(0)
    trunk = build_context_networks(windows).trunks["rgb"].eval()
    x = random_spans(36, 1)
    alone = torch.cat([trunk(x[:, :, o : o + 20]) for o in (4, 8, 12)])
    errors = []
    for shared in ("conv2d_1a_7x7", "maxpool_3a_3x3", "mixed_3c", "mixed_4e"):
        cfg = tiny_cfg("INPUT.SPAN_FRAMES", 99, "MODEL.CONTEXT.SHARE_UP_TO", shared)
        assert shared_endpoint(cfg) == shared
        with torch.no_grad():
            one_by_one = window_maps(trunk, x, shared, 20, [[4, 8, 12]])
        together = window_maps(trunk, x, shared, 20, [[4, 8, 12]])  # as in training
        torch.testing.assert_close(one_by_one, together, rtol=1e-4, atol=1e-5)
        errors.append(float((one_by_one - alone.detach()).abs().mean() / alone.detach().abs().mean()))
    assert max(errors[:3]) < 0.6 * errors[3], errors


def test_plans():
    assert span_plan(tiny_cfg(), is_train=True).length == 0 and not span_plan(tiny_cfg(), is_train=False).shares
    spans = tiny_cfg("INPUT.SPAN_FRAMES", 30, "TEST.SPAN_PHASES", 2)
    for is_train in (True, False):
        plan = span_plan(spans, is_train=is_train)
        assert (plan.window, plan.stride, plan.reach) == (8, 4, 20)
    fast = tiny_cfg("MODEL.CONTEXT.NAME", "fast_s3d")
    assert not span_plan(fast, is_train=True).shares  # in training batch normalisation sees what it is given
    assert span_plan(fast, is_train=False).phases == 0 and shared_endpoint(fast) == "mixed_3c"
    low = tiny_cfg("MODEL.CONTEXT.NAME", "fast_s3d", "MODEL.CONTEXT.TAP", "mixed_3b")
    assert shared_endpoint(low) == "mixed_3b"
    two = tiny_cfg(*BOTH, "MODEL.CONTEXT.NAME", "fast_s3d", "MODEL.FLOW.NAME", "s3d")
    assert shared_endpoint(two) is None  # sharing is exact for one of them only


def test_parts_of_a_batch():
    assert list(parts([300, 300, 20], 320)) == [slice(0, 1), slice(1, 3)]
    assert list(parts([500, 0, 0], 320)) == [slice(0, 1), slice(1, 3)]
    assert list(parts([20] * 8, 320)) == [slice(0, 8)] and list(parts([], 320)) == []


def test_regions_in_parts_are_those_of_one_pass(monkeypatch):
    cfg, model = built()
    items = [clip_item(cfg, seed=seed) for seed in range(3)]
    with torch.no_grad():
        whole = model.eval()(items)
        monkeypatch.setattr("detect.modeling.roi_head.REGIONS_AT_ONCE", 1)
        cut = model(items)
    for a, b in zip(whole, cut, strict=True):
        torch.testing.assert_close(a["instances"].scores, b["instances"].scores, rtol=1e-4, atol=1e-6)


def test_fewer_regions_at_test():
    for overrides, most in (
        (("MODEL.RPN.POST_NMS_TOPK_TEST", 5), 5),
        (("MODEL.RPN.SCORE_THRESH_TEST", 1.0), 1),  # never none
    ):
        cfg, model = built(*overrides)
        with torch.no_grad():
            (output,) = model.eval()([clip_item(cfg)])
        assert len(output["proposals"]) == most, overrides
    counts = []
    for threshold in (0.7, 0.3):
        cfg, model = built("MODEL.RPN.NMS_THRESH_TEST", threshold, "MODEL.RPN.POST_NMS_TOPK_TEST", 60)
        with torch.no_grad():
            counts.append(len(model.eval()([clip_item(cfg)])[0]["proposals"]))
    assert counts[0] > counts[1]
