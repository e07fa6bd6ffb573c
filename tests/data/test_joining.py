"""Boxes without ids joined to tubes, and the records made of rows."""

import numpy as np
import pytest
from dialect_set import table
from hypothesis import given, settings
from hypothesis import strategies as st

from detect.data.checks import AnnotationError, Notes
from detect.data.dialects import joining
from detect.data.dialects.joining import join_boxes
from detect.data.dialects.rows import make_rows, records_of_rows
from detect.data.dialects.video_facts import KnownFacts, VideoFacts
from detect.data.records import ActionDataset
from detect.utils.errors import UserError


def join(rows, min_iou=0.2):
    """Rows of video, frame, label, x0, y0, x1, y1 -> tube of each."""
    rows = np.array(rows, np.float64).reshape(-1, 7)
    return join_boxes(*rows[:, :3].astype(np.int64).T, rows[:, 3:], min_iou).tolist()


def test_two_actors_that_pass_each_other():
    left, right = (0, 0, 10, 10), (8, 0, 18, 10)  # IoU of both 2 / 18
    rows = [(0, f, 0, *box) for f in range(3) for box in (left, right)]
    assert join(rows, 0.1) == [0, 1, 0, 1, 0, 1]
    assert join(rows[::-1], 0.1) == [0, 1, 0, 1, 0, 1] or len(set(join(rows[::-1], 0.1))) == 2


def test_the_best_overlap_goes_first_and_each_box_has_one_partner():
    """b overlaps a by 8 / 12, c by 10 / 10: c takes a, and b begins a tube."""
    a, b = (0, 0, 10, 10), (2, 0, 12, 10)
    assert join([(0, 0, 0, *a), (0, 1, 0, *b), (0, 1, 0, *a)]) == [0, 1, 0]
    assert join([(0, 0, 0, *a), (0, 0, 0, *b), (0, 1, 0, *a)]) == [0, 1, 0]


@pytest.mark.parametrize("other", [(1, 1, 0), (0, 1, 1), (0, 3, 0)])
def test_neither_videos_nor_labels_nor_gaps_are_bridged(other):
    box = (0, 0, 10, 10)
    steady = [(0, f, 0, *box) for f in (0, 5, 6)]  # frames are annotated one by one
    assert join([(0, 0, 0, *box), (*other, *box), *steady[1:]])[:2] == [0, 1]


def test_sparse_keyframes_are_neighbours():
    box = (0, 0, 10, 10)
    assert join([(0, f, 0, *box) for f in (0, 30, 60, 120)]) == [0, 0, 0, 3]  # 90 is not annotated


def test_the_threshold_is_reached_not_passed():
    rows = [(0, 0, 0, 0, 0, 10, 10), (0, 1, 0, 0, 0, 10, 5)]  # IoU 0.5
    assert join(rows, 0.5) == [0, 0] and join(rows, 0.51) == [0, 1]
    with pytest.raises(UserError, match="the IoU to join boxes by is 1.5; legal values are from 0 to 1"):
        join(rows, 1.5)


def test_none_and_one():
    assert join([]) == [] and join([(0, 0, 0, 0, 0, 1, 1)]) == [0]


def test_a_crowd_beyond_measure_is_refused(monkeypatch):
    monkeypatch.setattr(joining, "MAX_PAIRS", 3)
    with pytest.raises(UserError, match="too many boxes to join: 4 pairs, most in frame 7; give the boxes track ids"):
        join([(0, f, 0, 0, 0, 1, 1) for f in (7, 7, 8, 8)])


boxes = st.tuples(st.integers(0, 1), st.integers(0, 5), st.integers(0, 1), *[st.integers(0, 9)] * 2)


@settings(max_examples=60, deadline=None)
@given(st.lists(boxes, max_size=20))
def test_a_tube_has_a_video_a_label_and_a_box_a_frame(rows):
    rows = [(*row, row[3] + 4, row[4] + 4) for row in rows]
    tubes = join(rows)
    for tube in set(tubes):
        of_tube = [row for row, number in zip(rows, tubes, strict=True) if number == tube]
        assert len({row[:1] + row[2:3] for row in of_tube}) == 1
        assert len({row[1] for row in of_tube}) == len(of_tube) and tubes[tube] == tube


def records(rows, tracks, num_frames=9, **options):
    video, frame, label, *corners = np.array(rows).T
    made = make_rows(["a", "b"], (video, frame, label, tracks), np.stack(corners, axis=1))
    known = KnownFacts("", {}, VideoFacts(320, 240, num_frames))
    notes = Notes()
    videos = records_of_rows(made, ("x", "y"), known, notes, **options)
    return ActionDataset("made", ("x", "y"), videos, ""), notes.lines()


def test_tracks_are_tubes_whatever_their_boxes_are():
    rows = [(0, 0, 0, 0, 0, 5, 5), (0, 1, 0, 100, 100, 105, 105), (0, 1, 1, 0, 0, 5, 5), (1, 1, 0, 0, 0, 5, 5)]
    made, _ = records(rows, [4, 4, 4, 4])
    assert [(t.label, t.frames.tolist()) for t in made.videos[0].tubes] == [(0, [0, 1]), (1, [1])]
    assert len(made.videos[1].tubes) == 1 and made.videos[0].labelled.tolist() == [0, 1]
    free, _ = records(rows, [-1] * 4)
    assert table(free) == table(made) and len(free.videos[0].tubes) == 3
    with pytest.raises(AnnotationError, match=r"a: a track of the class 0 has two boxes in frame 1 \(from 0\)"):
        records([(0, 1, 0, 0, 0, 5, 5)] * 2, [1, 1])


def test_bad_boxes_are_noted_and_frames_beyond_counting_refused():
    bad = [(0, 0, 0, 5, 0, 0, 5), (0, 1, 0, 0, 0, np.nan, 5), (0, 20, 0, 0, 0, 5, 5), (0, 2, 0, -1, 0, 5, 5)]
    made, notes = records(bad, [1, 2, 3, 4])
    assert table(made) == [("a", 2, 0, 0, 0, 5, 5)]
    assert "1 boxes dropped, no area inside the image: a frame 0 [5.0, 0.0, 0.0, 5.0] in 320 x 240" in notes
    assert any(note.startswith("1 boxes dropped, not finite: a frame 1") for note in notes)
    late = "1 boxes dropped, on frames that the video does not have: a frame 20 [0.0, 0.0, 5.0, 5.0] in 9 frames"
    assert late in notes
    with pytest.raises(AnnotationError, match="a: a box in frame 100000000000; legal values are up to 10000000"):
        records([(0, 10**11, 0, 0, 0, 5, 5)], [1])


def test_labelled_frames():
    rows = [(0, 1, 0, 0, 0, 5, 5), (1, 0, 0, 0, 0, 5, 5)]
    made, _ = records(rows, [1, 1], labelled=[np.array([0, 1, 4]), np.arange(9)])
    assert made.videos[0].labelled.tolist() == [0, 1, 4] and made.videos[1].labelled is None
