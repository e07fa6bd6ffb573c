"""Key frames made dense: the arithmetic, which gaps are filled, and what counts as labelled afterwards."""

import numpy as np
import pytest

from detect.data.interpolate import interpolate_tubes
from detect.data.records import ActionDataset, Tube, VideoRecord
from detect.utils.errors import UserError


def dataset(*tubes, labelled=None, num_frames=30):
    made = tuple(Tube(label, np.array(frames), np.array(boxes, np.float32)) for label, frames, boxes in tubes)
    labelled = None if labelled is None else np.array(labelled)
    video = VideoRecord("v", "v.mp4", num_frames, 99, 99, made, labelled=labelled)
    return ActionDataset("d", ("a", "b"), (video,), "h")


def box(x):
    return [x, 0, x + 10, 20]


def test_sides_move_linearly_between_annotated_frames():
    # from frame 2 to 6 x0 goes from 0 to 8: 2 a frame; from 6 to 8 it stays, and x1 widens by 5 a frame
    found = interpolate_tubes(dataset((1, [2, 6, 8], [box(0), box(8), [8, 0, 28, 20]]), labelled=[0, 2, 6, 8]))
    (tube,) = found.videos[0].tubes
    assert tube.label == 1 and tube.frames.tolist() == [2, 3, 4, 5, 6, 7, 8] and tube.boxes.dtype == np.float32
    assert tube.boxes[:, 0].tolist() == [0, 2, 4, 6, 8, 8, 8]
    assert tube.boxes[:, 2].tolist() == [10, 12, 14, 16, 18, 23, 28]
    assert found.videos[0].labelled.tolist() == [0, 2, 3, 4, 5, 6, 7, 8]  # frame 1 is still not known
    assert found.notes == ("1 tubes completed by linear interpolation: v tube 1, 4 boxes",)


def test_annotated_boxes_stay_bit_by_bit_and_dense_tubes_too():
    boxes = np.random.default_rng(0).uniform(0, 99, (3, 4)).astype(np.float32)
    before = dataset((0, [4, 9, 10], boxes), (0, [0, 1], boxes[:2]), labelled=[0, 1, 4, 9, 10])
    after = interpolate_tubes(before).videos[0].tubes
    np.testing.assert_array_equal(after[0].boxes[[0, 5, 6]], boxes)
    np.testing.assert_array_equal(after[1].boxes, boxes[:2])


def test_a_wide_gap_stays_open_and_is_noted():
    found = interpolate_tubes(dataset((0, [0, 5, 16], [box(0)] * 3), labelled=[0, 5, 10, 16]), max_gap=10)
    assert found.videos[0].tubes[0].frames.tolist() == [0, 1, 2, 3, 4, 5, 16]
    assert found.videos[0].labelled.tolist() == [0, 1, 2, 3, 4, 5, 10, 16]
    assert "1 gaps left open, of more than 10 frames: v tube 1 frames 5 to 16" in found.notes


def test_a_gap_with_a_labelled_frame_in_it_is_noted():
    found = interpolate_tubes(dataset((0, [0, 4], [box(0)] * 2)))  # every frame was looked at
    assert found.videos[0].labelled is None and len(found.videos[0].tubes[0].frames) == 5
    assert any("in which a labelled frame has no box" in note for note in found.notes)


def test_nothing_to_do_and_a_wrong_gap():
    found = interpolate_tubes(dataset(labelled=[0, 3]))
    assert found.videos[0].tubes == () and found.videos[0].labelled.tolist() == [0, 3] and found.notes == ()
    with pytest.raises(UserError, match="max_gap is 0; it must be 1 or more"):
        interpolate_tubes(dataset(), 0)
