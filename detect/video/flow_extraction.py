"""Optical flow of one video, from its frames to its folder of images."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from detect.utils.errors import UserError
from detect.video.flow import META, write_flow
from detect.video.readers import FrameReadError, iter_frames

METHODS = ("tvl1", "dis")
NOTES = {"dis": "not TV-L1, which the published networks were trained on: 0.7 to 1.1 pixels from it on real pairs"}
NO_CONTRIB = (
    "this OpenCV has no TV-L1 (cv2.optflow); it is in the contrib packages: pip uninstall -y opencv-python "
    "opencv-python-headless opencv-contrib-python, then pip install --force-reinstall opencv-contrib-python-headless; "
    "or take --method dis, which gives other flow"
)


@dataclass(frozen=True)
class FlowSettings:
    """`method` of METHODS; `short_side` in pixels that frames are resized to before, None as they are; JPEG quality."""

    method: str = "tvl1"
    short_side: int | None = None
    quality: int = 95

    def __post_init__(self) -> None:
        if self.method not in METHODS or (self.short_side or 16) < 16 or not 1 <= self.quality <= 100:
            raise UserError(f"{self}: method one of {METHODS}, short_side at least 16, quality 1 to 100")

    def describe(self) -> dict[str, Any]:
        """What meta.json says of how the flow was made, the algorithm's parameters as OpenCV reports them."""
        algorithm = flow_algorithm(self.method)
        getters = [name for name in dir(algorithm) if name.startswith("get") and name != "getDefaultName"]
        parameters = {name[3:]: getattr(algorithm, name)() for name in getters}
        note = {"note": NOTES[self.method]} if self.method in NOTES else {}
        return {"method": self.method, **note, "parameters": parameters, "short_side": self.short_side,
                "opencv": cv2.__version__}  # fmt: skip

    def made(self, meta: Mapping[str, Any]) -> bool:
        """Whether a video with this meta.json was made with these settings."""
        found = (meta.get("method"), meta.get("short_side"), meta.get("jpeg_quality"))
        return found == (self.method, self.short_side, self.quality)


def flow_algorithm(method: str) -> cv2.DenseOpticalFlow:
    """OpenCV's, with its defaults (DIS: the medium preset). UserError for another than METHODS, or where OpenCV lacks
    it."""
    if method not in METHODS:
        raise UserError(f"flow by {method!r}; legal methods are {', '.join(METHODS)}")
    if method == "dis":
        return cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    if not hasattr(cv2, "optflow"):
        raise UserError(NO_CONTRIB)
    return cv2.optflow.DualTVL1OpticalFlow_create()


def extract_video(source: Path, destination: Path, settings: FlowSettings) -> int:
    """Flow of one video file or frame folder; the number of flows. FrameReadError if it cannot be read to its end."""
    if destination.exists():
        raise FrameReadError(f"{destination} exists without {META}, so it is no finished flow; move it out of the way")
    meta = {"source": str(source), **settings.describe()}
    return write_flow(destination, _flows(source, settings), meta, settings.quality)


def _flows(source: Path, settings: FlowSettings) -> Iterator[np.ndarray]:
    algorithm, previous, count = flow_algorithm(settings.method), None, 0
    for frame in iter_frames(source, one_size=True):
        grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        if settings.short_side:
            scale = settings.short_side / min(grey.shape)
            size = (round(grey.shape[1] * scale), round(grey.shape[0] * scale))
            grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
        if previous is not None:
            yield algorithm.calc(previous, grey, None)
        previous, count = grey, count + 1
    if count == 1:
        raise FrameReadError(f"{source}: has 1 frame; flow needs two")
