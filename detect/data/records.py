"""What every reader produces: videos with tubes of boxes; and the keyframe samples made of them.

Frames are 0-based. Boxes are x0 y0 x1 y1 in pixels of the original frame.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from detect.utils.errors import UserError
from detect.utils.names import repeated
from detect.video.windows import SpanPlan

XYXY_ABS = 0  # Detectron2's BoxMode.XYXY_ABS


@dataclass(frozen=True, eq=False)
class Tube:
    """One actor doing one action: a box on each of some frames, gaps allowed."""

    label: int
    frames: np.ndarray  # (n,) int64, increasing
    boxes: np.ndarray  # (n, 4) float32


def meeting(tubes: Sequence[Tube]) -> Iterator[tuple[int, int]]:
    """The places (i, j), i < j, of tubes that have frames of one stretch of time, sorted."""
    pairs, there = [], []
    for j in sorted((k for k, tube in enumerate(tubes) if len(tube.frames)), key=lambda k: int(tubes[k].frames[0])):
        there = [i for i in there if tubes[i].frames[-1] >= tubes[j].frames[0]]
        pairs += [(min(i, j), max(i, j)) for i in there]
        there.append(j)
    yield from sorted(pairs)


@dataclass(frozen=True, eq=False)
class VideoRecord:
    """One video with its annotation. `path` is a video file or a folder of frames, `flow` the folder of its flow
    images; they need not exist until read. `labelled`: (n,) int64 increasing, the frames that annotators looked at,
    where these are not all; a box elsewhere is neither right nor wrong. `fps` is 0 where it is not known. `group` names
    the recording or people that a video shares with others, "" where nothing is said of them: no split parts a group.
    """

    name: str
    path: str
    num_frames: int
    height: int
    width: int
    tubes: tuple[Tube, ...]
    flow: str = ""
    fps: float = 0.0
    labelled: np.ndarray | None = None
    group: str = ""

    def labelled_frames(self) -> np.ndarray:
        """Frames of which the annotation says where the boxes are, or that there are none, sorted (n,) int64."""
        return np.arange(self.num_frames) if self.labelled is None else self.labelled

    def boxes_at(self, frame: int) -> tuple[np.ndarray, np.ndarray]:
        """Boxes (n, 4) float32 and labels (n,) int64 of one frame, in the order of the tubes."""
        boxes, labels = [], []
        for tube in self.tubes:
            row = int(np.searchsorted(tube.frames, frame))
            if row < len(tube.frames) and tube.frames[row] == frame:
                boxes.append(tube.boxes[row])
                labels.append(tube.label)
        return np.array(boxes, np.float32).reshape(-1, 4), np.array(labels, np.int64)

    def annotated_frames(self) -> np.ndarray:
        """Frames with at least one box, sorted (n,) int64."""
        return np.unique(np.concatenate([np.empty(0, np.int64), *(tube.frames for tube in self.tubes)]))


@dataclass(frozen=True, eq=False)
class ActionDataset:
    """The train or test videos of a dataset. `annotation_hash` is the sha256 of what it was read from; `notes` say what
    was left out.
    """

    name: str
    classes: tuple[str, ...]
    videos: tuple[VideoRecord, ...]
    annotation_hash: str
    notes: tuple[str, ...] = ()

    def __post_init__(self):
        if (name := repeated(video.name for video in self.videos)) is not None:
            raise UserError(f"{self.name}: the video {name} occurs twice")

    @property
    def num_frames(self) -> int:
        return sum(video.num_frames for video in self.videos)

    @property
    def num_labelled(self) -> int:
        """Frames that count where all do: see `VideoRecord.labelled`."""
        return sum(len(video.labelled_frames()) for video in self.videos)

    def ground_truth_table(self) -> dict[str, np.ndarray]:
        """Every box as columns `video` (index in `videos`), `frame`, `label` (n,) int64, `boxes` (n, 4)
        float64.

        Sorted by video, then frame, then tube.
        """
        return {name: column for name, column in self._boxes().items() if name != "tube"}

    def tube_of_boxes(self) -> np.ndarray:
        """(n,) int64, for each row of `ground_truth_table` its tube, counted over all videos."""
        return self._boxes()["tube"]

    def _boxes(self) -> dict[str, np.ndarray]:
        tubes = [(index, tube) for index, video in enumerate(self.videos) for tube in video.tubes]
        lengths = [len(tube.frames) for _, tube in tubes]

        def column(values) -> np.ndarray:
            return np.repeat(np.array(values, np.int64), lengths)

        video = column([index for index, _ in tubes])
        frame = np.concatenate([np.empty(0, np.int64), *(tube.frames for _, tube in tubes)])
        boxes = np.concatenate([np.empty((0, 4)), *(tube.boxes for _, tube in tubes)])
        order = np.lexsort((frame, video))
        columns = {"video": video, "frame": frame, "label": column([tube.label for _, tube in tubes])}
        columns |= {"tube": column(range(len(tubes))), "boxes": boxes}
        return {name: values[order] for name, values in columns.items()}


class KeyframeDataset(Sequence):
    """The keyframes of a dataset as Detectron2 dataset dicts, made when asked for.

    `frames`: "annotated" for frames with at least one box, "all" for every labelled frame. Order: by video, then by
    frame. A dict has `file_name` (path of the video), `flow_folder`, `video`, `frame_index` (0-based), `image_id`
    "video#frame", `height`, `width`, `num_frames` (of the video) and `annotations`, a list of {bbox,
    bbox_mode, category_id}.
    """

    def __init__(self, dataset: ActionDataset, frames: Literal["annotated", "all"] = "annotated"):
        if frames not in ("annotated", "all"):
            raise UserError(f"frames is {frames!r}; legal values are 'annotated' and 'all'")
        self.dataset = dataset
        self.keyframes = [
            video.annotated_frames() if frames == "annotated" else video.labelled_frames()
            for video in dataset.videos
        ]

    def at(self, keyframes: Sequence[np.ndarray]) -> "KeyframeDataset":
        """The same videos with other keyframes, (n,) int64 for each."""
        other = KeyframeDataset(self.dataset)
        other.keyframes = list(keyframes)
        return other

    @property
    def name(self) -> str:
        return self.dataset.name

    @property
    def classes(self) -> tuple[str, ...]:
        return self.dataset.classes

    @property
    def annotation_hash(self) -> str:
        return self.dataset.annotation_hash

    @cached_property
    def _starts(self) -> np.ndarray:  # (videos + 1,) where each video's keyframes start
        return np.cumsum([0, *map(len, self.keyframes)])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, index):
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        return self.sample(*self.place(index))

    def place(self, index: int) -> tuple[int, int]:
        """The video's index and the frame of the keyframe at `index`."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"keyframe {index} of {len(self)} in {self.dataset.name}")
        index = int(index) % len(self)
        video = int(np.searchsorted(self._starts, index, side="right")) - 1
        return video, int(self.keyframes[video][index - self._starts[video]])

    def sample(self, video_index: int, frame: int) -> dict[str, Any]:
        """The dataset dict of one frame of the video at `video_index`."""
        video = self.dataset.videos[video_index]
        return {
            "file_name": video.path,
            "flow_folder": video.flow,
            "video": video.name,
            "frame_index": frame,
            "image_id": f"{video.name}#{frame}",
            "height": video.height,
            "width": video.width,
            "num_frames": video.num_frames,
            "annotations": _annotations(video, frame),
        }


def _annotations(video: VideoRecord, frame: int) -> list[dict[str, Any]]:
    boxes, labels = video.boxes_at(frame)
    return [
        {"bbox": box, "bbox_mode": XYXY_ABS, "category_id": label}
        for box, label in zip(boxes.tolist(), labels.tolist(), strict=True)
    ]


class WithNeighbours(Sequence):
    """The samples of a `KeyframeDataset`, each with `neighbours`: (frame, annotations) of the video's other keyframes
    that a span of `plan` may share with it.
    """

    def __init__(self, dataset: KeyframeDataset, plan: SpanPlan):
        self.dataset, self.plan = dataset, plan

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> dict[str, Any]:
        video_index, frame = self.dataset.place(index)
        video, keyframes = self.dataset.dataset.videos[video_index], self.dataset.keyframes[video_index]
        apart = keyframes - frame
        shared = keyframes[(abs(apart) <= self.plan.reach) & (apart % self.plan.stride == 0) & (apart != 0)]
        neighbours = [(k, _annotations(video, k)) for k in shared.tolist()]
        return {**self.dataset.sample(video_index, frame), "neighbours": neighbours}
