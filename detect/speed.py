"""Watch presets: how much of the paper's way is kept when a video is watched or evaluated.

The lines were chosen by `tools/benchmark.py video`; the figures stand in docs/performance.md.
"""

from typing import Any

from detect.utils.errors import UserError

SPEEDS: dict[str, tuple[Any, ...]] = {
    # as the config says: without spans in it every frame is a keyframe with a window of its own
    "exact": (),
    # every fourth frame a keyframe, boxes moving along linked detections between them; the lower layers run once; bf16
    # where it is faster
    "balanced": (
        "INPUT.SPAN_FRAMES", 96, "MODEL.CONTEXT.SHARE_UP_TO", "maxpool_3a_3x3",
        "TEST.KEYFRAME_STRIDE", 4, "MODEL.RPN.POST_NMS_TOPK_TEST", 20, "MODEL.PRECISION", "auto",
    ),
    # every eighth frame, the whole trunk run once, and few regions
    "fast": (
        "INPUT.SPAN_FRAMES", 96, "MODEL.CONTEXT.SHARE_UP_TO", "",
        "TEST.KEYFRAME_STRIDE", 8, "MODEL.RPN.POST_NMS_TOPK_TEST", 20, "MODEL.PRECISION", "auto",
    ),
}  # fmt: skip


def speed_lines(speed: str) -> list[Any]:
    """KEY, VALUE, ... of a preset; UserError for another than `SPEEDS`."""
    if speed not in SPEEDS:
        raise UserError(f"the speed {speed!r} is not known; legal are {', '.join(SPEEDS)}")
    return list(SPEEDS[speed])
