"""What keyframes share: the part of the context networks that runs once for a span of frames.

In a window of its own each keyframe has the paper's detector, and each frame is looked at NUM_FRAMES times. In a span
the map is made once, and each keyframe takes the steps of its window from it. Three things then differ: at the ends of
a window its network sees zeros, here real frames; gates are a mean over the window, here over as many steps around each
step; and windows lie on the grid of the map's steps (`SpanPlan.phases`). The less of the trunk is shared
(MODEL.CONTEXT.SHARE_UP_TO), the less differs; what comes after it runs on each window's steps. Nothing differs where
the shared part has no temporal extent, as in the lower layers of Top-Heavy networks and Fast-S3D: there sharing is used
unasked.
"""

import torch
from torch import Tensor

import backbones
from backbones import ENDPOINTS
from backbones.stages import Stages
from detect.d2 import CfgNode
from detect.modeling.context import stream_options
from detect.utils.errors import UserError
from detect.video.windows import SpanPlan

EXACT_SPAN = 64  # frames, and a window, of a span whose sharing changes nothing: long, within the memory of a window


def shared_endpoint(cfg: CfgNode) -> str | None:
    """The endpoint up to which a span's map is shared: MODEL.CONTEXT.SHARE_UP_TO, or MODEL.CONTEXT.TAP, with
    INPUT.SPAN_FRAMES; without, as far as it is exact; None where nothing is.
    """
    tap = cfg.MODEL.CONTEXT.TAP
    if cfg.INPUT.SPAN_FRAMES:
        return min(tap, cfg.MODEL.CONTEXT.SHARE_UP_TO or tap, key=ENDPOINTS.index)
    sections = [stream_options(cfg, stream) for stream in cfg.MODEL.STREAMS]
    found = [backbones.per_frame_endpoint(backbones.variant(o.NAME, **o.OVERRIDES)) for o in sections]
    return None if None in found else min([tap, *found], key=ENDPOINTS.index)


def span_plan(cfg: CfgNode, *, is_train: bool) -> SpanPlan:
    """How the keyframes of a loader share frames: windows, or spans of at most INPUT.SPAN_FRAMES frames."""
    window, length, step = cfg.INPUT.NUM_FRAMES, cfg.INPUT.SPAN_FRAMES, cfg.INPUT.FRAME_STEP
    if step > 1 and length:
        raise UserError(f"INPUT.SPAN_FRAMES is {length} and INPUT.FRAME_STEP {step}; a span has all frames, set one")
    endpoint = None if step > 1 or (is_train and not length) else shared_endpoint(cfg)
    if endpoint is None:
        return SpanPlan.stepped(window, step)
    if not length:
        return SpanPlan(window, backbones.temporal_stride(endpoint), window + EXACT_SPAN)
    return SpanPlan(window, backbones.temporal_stride(endpoint), length, cfg.TEST.SPAN_PHASES)


def window_maps(trunk: Stages, x: Tensor, shared: str, window: int, offsets: list[list[int]]) -> Tensor:
    """The trunk's map of each window (K, C, T', H', W') of the spans x (N, C, T, H, W), made once up to `shared`.

    offsets: for each span where its windows of `window` frames begin, in frames, multiples of the stride at `shared`.
    """
    below, above = trunk.split(shared)
    maps, steps, stride = below(x), below.steps(window), below.feature_info[shared]["stride"][0]
    places = [(row, offset // stride) for row, found in enumerate(offsets) for offset in found]
    windows = [maps[row : row + 1, :, first : first + steps] for row, first in places]
    if len(above) and not torch.is_grad_enabled():  # one by one they need no copy, and little memory
        return torch.cat([above(window) for window in windows])
    cut = torch.cat(windows).contiguous(memory_format=torch.channels_last_3d)
    return above(cut) if len(above) else cut
