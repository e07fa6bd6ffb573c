"""Labels that cannot be learned: one for everything, or two for what looks the same."""

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import cv2
import numpy as np

from detect.data.records import ActionDataset, VideoRecord, meeting
from detect.utils.iou import pairwise_iou
from detect.video.readers import FrameReadError, read_frames
from detect.video.windows import clip_indices

SAME_PLACE = 0.9  # IoU from which two boxes are of one actor
SAME_CLIP = 1.0  # mean difference, in grey levels, of small copies of two clips; compression makes less
SIDE, LOOKS = 32, 5  # pixels of a small copy; frames of a clip that are compared


class Clash(NamedTuple):
    """Two boxes that the network sees alike, with different labels."""

    first: str
    second: str
    labels: tuple[int, int]


def first_difference(found: Sequence[str], wanted: Sequence[str], here: str, there: str) -> str:
    """`class 5 is 'pushing' <here> and 'push' <there>`, of two lists of classes that differ; "" where they do not."""
    for number, (ours, theirs) in enumerate(zip(found, wanted, strict=False)):
        if ours != theirs:
            return f"class {number} is {ours!r} {here} and {theirs!r} {there}"
    return "" if len(found) == len(wanted) else f"there are {len(found)} classes {here} and {len(wanted)} {there}"


def only_class(dataset: ActionDataset) -> int | None:
    """The one label of all tubes, where the set has more classes; else None."""
    labels = {tube.label for video in dataset.videos for tube in video.tubes}
    return labels.pop() if len(labels) == 1 and len(dataset.classes) > 1 else None


def twice_labelled(dataset: ActionDataset) -> list[Clash]:
    """Actors that have two labels at once, as pairs of tubes in one place."""
    found = []
    for video in dataset.videos:
        for i, j in meeting(video.tubes):
            a, b = video.tubes[i], video.tubes[j]
            frames, of_a, of_b = np.intersect1d(a.frames, b.frames, return_indices=True)
            if (
                a.label != b.label
                and len(frames)
                and np.median(pairwise_iou(a.boxes[of_a], b.boxes[of_b])) >= SAME_PLACE
            ):
                place = f"{video.name} frame {frames[0]}"
                found.append(Clash(place, place, (a.label, b.label)))
    return found


def same_clip(places: Sequence[tuple[VideoRecord, int]], length: int) -> list[Clash]:
    """Keyframes, (video, frame), whose clips of `length` frames look the same, with a box that has another label."""
    clips = [(video, frame, small) for video, frame in places if (small := _small(video, frame, length)) is not None]
    found = []
    for (a, k, small_a), (b, m, small_b) in combinations(clips, 2):
        if np.abs(small_a - small_b).mean() <= SAME_CLIP:
            found += _clashes(a, k, b, m)
    return found


def _clashes(a: VideoRecord, k: int, b: VideoRecord, m: int) -> list[Clash]:
    boxes_a, labels_a = a.boxes_at(k)
    boxes_b, labels_b = b.boxes_at(m)
    pairs = [(i, j) for i in range(len(boxes_a)) for j in range(len(boxes_b)) if labels_a[i] != labels_b[j]]
    if not pairs:
        return []
    of_a, of_b = np.array(pairs).T
    alike = pairwise_iou(boxes_a[of_a], boxes_b[of_b]) >= SAME_PLACE
    names = f"{a.name} frame {k}", f"{b.name} frame {m}"
    both = zip(labels_a[of_a[alike]].tolist(), labels_b[of_b[alike]].tolist(), strict=True)
    return [Clash(*names, labels) for labels in both]


def _small(video: VideoRecord, keyframe: int, length: int) -> np.ndarray | None:
    """Some frames of a clip, small and grey, or None where they cannot be read."""
    frames = clip_indices(keyframe, video.num_frames, length)[:: max(1, length // LOOKS)]

    def prepare(frame: np.ndarray) -> np.ndarray:
        grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        return cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA)[..., None]

    try:
        return read_frames(video.path, frames, prepare).astype(np.float64)
    except FrameReadError:  # said by whoever needs the video
        return None
