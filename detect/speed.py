"""Watch presets: how much of the paper's way is kept when a video is watched or evaluated.

The lines were chosen by `tools/benchmark.py video`; the figures stand in docs/performance.md.
"""

from typing import Any

from detect.utils.errors import UserError

SPEEDS: dict[str, tuple[Any, ...]] = {
    # every frame a keyframe with a window of its own, unless the config says otherwise
    "exact": (),
    # every eighth frame a keyframe; boxes move along linked detections between them
    "balanced": ("TEST.KEYFRAME_STRIDE", 8, "MODEL.RPN.POST_NMS_TOPK_TEST", 50),
    # the same, the trunk running once over the video, and few regions
    "fast": ("INPUT.SPAN_FRAMES", 64, "TEST.KEYFRAME_STRIDE", 8, "MODEL.RPN.POST_NMS_TOPK_TEST", 20),
}


def speed_lines(speed: str) -> list[Any]:
    """KEY, VALUE, ... of a preset; UserError for another than `SPEEDS`."""
    if speed not in SPEEDS:
        raise UserError(f"the speed {speed!r} is not known; legal are {', '.join(SPEEDS)}")
    return list(SPEEDS[speed])
