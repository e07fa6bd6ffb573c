"""A clip as one picture: the keyframe is marked, repeated frames are said, boxes are where they belong."""

import numpy as np
import pytest

from detect.video.flow import encode_flow
from detect.video.windows import clip_indices
from detect.visualization.clip_sheet import MARK, REPEATED, ClipView, clip_sheet, flow_colours, stacked
from detect.visualization.drawing import class_colour

CLASSES = ("run", "jump")


def view(length=13, keyframe=20, num_frames=60, boxes=((8, 8, 40, 40),), labels=(1,), flow=None):
    """Frames of 48 x 64, each grey in its own shade."""
    frames = np.stack([np.full((48, 64, 3), 40 + 3 * i, np.uint8) for i in range(length)])
    indices = clip_indices(keyframe, num_frames, length).tolist()
    boxes = np.array(boxes, np.float64).reshape(-1, 4)
    return ClipView(frames, indices, length // 2, boxes, labels, ("title", "more"), flow)


def places(picture, colour):
    """(rows, columns) of the pixels of exactly this colour."""
    return np.nonzero((picture == np.array(colour)).all(-1))


@pytest.mark.parametrize("length", [1, 5, 13, 20, 64])
def test_the_marked_frames_are_the_keyframe(length):
    picture = clip_sheet(view(length, boxes=(), labels=()), CLASSES)
    rows, columns = places(picture, MARK)
    gaps = np.flatnonzero(np.diff(np.unique(columns)) > 1)  # between the large keyframe and the one in the strip
    for left in (np.unique(columns)[0], np.unique(columns)[gaps[-1] + 1]):
        top = rows[columns == left].min()
        inside = picture[top + 5 : top + 100, left + 5 : left + 100]
        assert set(inside.ravel().tolist()) == {40 + 3 * (length // 2)}


@pytest.mark.parametrize("keyframe, repeats", [(20, False), (2, True), (59, True), (6, False), (5, True)])
def test_edge_frames_that_repeat_are_told_apart(keyframe, repeats):
    picture = clip_sheet(view(keyframe=keyframe), CLASSES)
    assert (len(places(picture, REPEATED)[0]) > 0) == repeats  # 13 frames: 6 before the keyframe, 6 after


def test_only_the_occurrence_next_to_the_keyframe_is_the_frame_itself():
    def captions(keyframe):
        rows, columns = places(clip_sheet(view(3, keyframe, 4, (), ()), CLASSES), REPEATED)
        return len(set(columns // 150)) if len(rows) else 0

    assert [captions(k) for k in (0, 1, 2, 3)] == [1, 0, 0, 1]


def test_boxes_on_both_and_on_no_other_frame():
    none = clip_sheet(view(boxes=(), labels=()), CLASSES)
    one = clip_sheet(view(), CLASSES)
    assert none.shape == one.shape and not len(places(none, class_colour(1))[0])
    changed = (none != one).any(-1)
    rows, columns = np.nonzero(changed)
    marked = places(none, MARK)
    for start, stop in ((0, one.shape[1] // 4), (one.shape[1] // 4, one.shape[1])):
        inside = (columns >= start) & (columns < stop)
        edge = (marked[1] >= start) & (marked[1] < stop)
        assert inside.any()
        assert marked[0][edge].min() < rows[inside].min() and rows[inside].max() < marked[0][edge].max()
        assert marked[1][edge].min() < columns[inside].min() and columns[inside].max() < marked[1][edge].max()


def test_flow_stands_below_and_its_colours_are_directions():
    moved = np.zeros((13, 48, 64, 2), np.float32)
    moved[:, :24, :32, 0], moved[:, :24, 32:, 0] = 4.0, -4.0
    stored = encode_flow(moved)
    colours, fastest = flow_colours(stored)
    assert fastest == pytest.approx(4.0, abs=0.1)
    assert colours[6, 5, 5].tolist() == [255, 0, 0]  # to the right: red; to the left: its complement; rest: white
    red, green, blue = colours[6, 5, 60].tolist()
    assert red < 12 and min(green, blue) > 240
    assert colours[6, 40, 5].tolist() == [255, 255, 255]
    with_flow, without = clip_sheet(view(flow=stored), CLASSES), clip_sheet(view(), CLASSES)
    assert with_flow.shape[0] - without.shape[0] > 200 and with_flow.shape[1] == without.shape[1]
    assert (with_flow[: len(without)] == without).all()


def test_flow_at_rest_is_white():
    colours, fastest = flow_colours(np.full((2, 4, 4, 2), 128, np.uint8))
    assert fastest == 0 and (colours == 255).all()


def test_sheets_of_different_widths_below_each_other():
    first, second = clip_sheet(view(13), CLASSES), clip_sheet(view(5), CLASSES)
    both = stacked([first, second])
    assert both.shape[1] == max(first.shape[1], second.shape[1])
    assert (both[: len(first), : first.shape[1]] == first).all()
