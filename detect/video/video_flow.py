"""The flow beside a video's frames: which flow belongs to which frame, and what is there of it."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from detect.video.flow import REST, checked_flow_length, encode_flow, flow_files, load_flow
from detect.video.flow_extraction import flow_algorithm
from detect.video.readers import FrameReadError
from detect.video.transforms import resize

MAX_ASPECT_CHANGE = 0.02  # of a flow image against the frame it is laid over
Flow = np.ndarray  # (height, width, 2) uint8, x then y


class VideoFlow:
    """The flow images of one video of `num_frames` frames.

    Flow k belongs to frame k. N frames have N - 1 flows, or N where a tool repeats the last one (brox-images); the last
    frame takes the last flow, and a video of one frame is at rest and needs no folder. `count`: how many images there
    are. `usable`: how many frames have flow. Raises FrameReadError for a folder that is not there or holds no flow.
    """

    def __init__(self, folder: str | Path, num_frames: int):
        self.folder, self.num_frames = folder, num_frames
        self._files = [] if num_frames == 1 else _checked_files(folder)
        self.count = len(self._files)
        self.usable = min(num_frames, self.count + 1)

    @property
    def mismatch(self) -> bool:
        return self.num_frames > 1 and self.count not in (self.num_frames - 1, self.num_frames)

    def too_few(self, frame: int) -> str:
        """What to say where `frame` has no flow."""
        return f"{self.folder}: frame {frame} has no flow, {self.count} images are there; see tools/extract_flow.py"

    def at(self, frame: int, size: tuple[int, int]) -> Flow:
        """The flow of one frame, at its `size` (height, width). Values are as stored, whatever the image's size."""
        if not self._files:
            return at_rest(size)
        files = self._files[min(frame, self.count - 1)]
        flow = load_flow(files)
        if flow.shape[:2] == size:
            return flow
        change = flow.shape[1] * size[0] / (flow.shape[0] * size[1]) - 1
        if abs(change) > MAX_ASPECT_CHANGE:
            shown = f"{flow.shape[1]} x {flow.shape[0]} pixels, its frame {size[1]} x {size[0]}"
            raise FrameReadError(f"{files[0]}: the flow has another shape than the video: it is {shown}")
        return resize(flow, size)

    def read(self, frames: Sequence[int], size: tuple[int, int]) -> list[Flow]:
        return [self.at(int(frame), size) for frame in frames]


def at_rest(size: tuple[int, int]) -> Flow:
    """No motion, at `size` (height, width)."""
    return np.full((*size, 2), REST, np.uint8)


def _checked_files(folder: str | Path) -> list[tuple[Path, ...]]:
    checked_flow_length(str(folder))  # flow, and not other images: once a process
    return flow_files(Path(folder))


def flow_as_frames_arrive(frames: Iterable[np.ndarray], method: str) -> Iterator[tuple[np.ndarray, Flow]]:
    """(frame, its flow as stored flow has it) for each frame, one frame late; nothing is stored.

    method: see `detect.video.flow_extraction`. Where the size changes the flow is at rest.
    """
    algorithm, held, grey, flow = flow_algorithm(method), None, None, None
    for frame in frames:
        now = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        if held is not None:
            same = grey.shape == now.shape
            flow = encode_flow(algorithm.calc(grey, now, None)) if same else at_rest(grey.shape)
            yield held, flow
        held, grey = frame, now
    if held is not None:
        fits = flow is not None and flow.shape[:2] == grey.shape
        yield held, flow if fits else at_rest(grey.shape)
