"""Datasets to write and read back, and what must be the same afterwards."""

import hypothesis.strategies as st
import numpy as np
import pytest

from detect.data.annotation_files import read_annotations
from detect.data.records import ActionDataset, Tube, VideoRecord
from detect.utils.errors import UserError

CLASSES = ("wave", "long jump", "push(up)")


def video(name="wave/a", num_frames=6, tubes=(), size=(240, 320), **facts) -> VideoRecord:
    return VideoRecord(name, name, num_frames, *size, tuple(tubes), **facts)


def tube(label=0, frames=(1, 2, 3), box=(10, 20, 60, 120)) -> Tube:
    """A box that moves by a pixel a frame."""
    frames = np.array(frames, np.int64)
    return Tube(label, frames, np.array(box, np.float32) + frames[:, None].astype(np.float32))


def dataset(*videos, classes=CLASSES, name="made") -> ActionDataset:
    return ActionDataset(name, classes, videos, "0" * 64)


def table(made: ActionDataset) -> list[tuple]:
    """Every box as (video, frame, label, x0, y0, x1, y1), sorted."""
    columns = made.ground_truth_table()
    names = [made.videos[index].name for index in columns["video"]]
    frames, labels = columns["frame"].tolist(), columns["label"].tolist()
    return sorted(zip(names, frames, labels, *columns["boxes"].T.tolist(), strict=True))


def facts(made: ActionDataset) -> list[tuple]:
    return [(v.name, v.num_frames, v.height, v.width) for v in made.videos]


def labelled(made: ActionDataset) -> list[list[int]]:
    return [v.labelled_frames().tolist() for v in made.videos]


NAMES = ("wave/a", "wave/b b", "c", "d/e/f!", "labels/g")


@st.composite
def datasets(draw) -> ActionDataset:
    """Some videos of up to three tubes, which may have gaps, as the labelled frames may."""
    made = []
    for name in draw(st.lists(st.sampled_from(NAMES), min_size=1, unique=True)):
        num_frames = draw(st.integers(1, 12))
        height, width = draw(st.sampled_from([(240, 320), (24, 32), (33, 1920)]))
        frames = st.lists(st.integers(0, num_frames - 1), min_size=1, unique=True).map(sorted)
        x, y = (st.integers(0, side) | st.floats(0, side, width=32) for side in (width, height))
        corners = st.tuples(x, y, x, y).map(np.float32)
        solid = corners.filter(lambda box: box[0] < box[2] and box[1] < box[3])
        tubes = []
        for on in draw(st.lists(frames, max_size=3)):
            rows = draw(st.lists(solid, min_size=len(on), max_size=len(on)))
            tubes.append(Tube(draw(st.integers(0, 2)), np.array(on, np.int64), np.stack(rows)))
        seen = draw(st.none() | frames)
        if seen is not None:
            seen = np.unique(np.concatenate([seen, *(t.frames for t in tubes)])).astype(np.int64)
        rate = draw(st.sampled_from([0.0, 25.0, 29.97]))
        made.append(video(name, num_frames, tubes, (height, width), fps=rate, labelled=seen))
    return dataset(*made)


def refused(path, message, **options):
    """Reading the file ends in a message that names it."""
    with pytest.raises(UserError, match=message) as caught:
        read_annotations(path, **options)
    assert path.name in str(caught.value)
