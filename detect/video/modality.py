"""The two kinds of input, RGB and flow, as rows of one table."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from detect.utils.errors import UserError
from detect.video.flow import checked_flow_length, flip_flow, read_flow
from detect.video.readers import expected_length, iter_frames, read_frames

Prepare = Callable[[np.ndarray], np.ndarray]  # of one frame (height, width, channels) uint8, such as a resize
FLOW_BLOCK = 32  # flow images held at their stored size while a whole video is read


class Modality(NamedTuple):
    """How frames (height, width, channels) uint8 of one kind are found, read and mirrored."""

    channels: int
    length: Callable[[str], int]  # how many frames there are, which reading may correct
    read: Callable[[str, Sequence[int], Prepare], np.ndarray]
    stream: Callable[[str], Iterator[np.ndarray]]  # every frame once, in order
    mirror: Callable[[np.ndarray], np.ndarray]  # of a clip (T, H, W, channels), left and right exchanged


def mirror_rgb(clip: np.ndarray) -> np.ndarray:
    return clip[:, :, ::-1]


def _read_flow(path: str, indices: Sequence[int], prepare: Prepare) -> np.ndarray:
    distinct, rows = np.unique(np.asarray(indices, np.int64), return_inverse=True)
    return np.stack([prepare(image) for image in read_flow(path, distinct)])[rows]


def _stream_flow(path: str) -> Iterator[np.ndarray]:
    length = checked_flow_length(path)
    for start in range(0, length, FLOW_BLOCK):
        yield from read_flow(path, range(start, min(start + FLOW_BLOCK, length)))


MODALITIES = {
    "rgb": Modality(3, expected_length, read_frames, iter_frames, mirror_rgb),
    "flow": Modality(2, checked_flow_length, _read_flow, _stream_flow, flip_flow),
}


def modality(name: str) -> Modality:
    """The row of that name; UserError for another than "rgb" or "flow"."""
    if name not in MODALITIES:
        raise UserError(f"INPUT.MODALITY is {name!r}; it must be one of {', '.join(MODALITIES)}")
    return MODALITIES[name]
