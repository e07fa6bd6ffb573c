"""Boxes against what moves: right ones raise no suspicion, wrong ones do, and where nothing moves nothing is said."""

import json
from dataclasses import replace

import numpy as np
import pytest

from detect.data.motion_fit import READINGS, Fit, MovingVideo, best_reading, best_shift, correlation, moving_videos
from detect.data.records import Tube, VideoRecord
from detect.data.ucf24 import load_ucf24
from tests.tasks.moving_squares import write_squares


@pytest.fixture(scope="module")
def squares(tmp_path_factory):
    return load_ucf24(write_squares(tmp_path_factory.mktemp("squares")), "train").videos


def with_boxes(video, change=lambda boxes: boxes, frames_later=0):
    tubes = []
    for tube in video.tubes:
        frames, boxes = tube.frames + frames_later, change(tube.boxes.astype(np.float64))
        boxes = boxes.clip(0, [video.width, video.height] * 2).astype(np.float32)
        keep = (frames >= 0) & (frames < video.num_frames) & (boxes[:, 2:] > boxes[:, :2]).all(1)
        tubes += [Tube(tube.label, frames[keep], boxes[keep])] if keep.any() else []
    return replace(video, tubes=tuple(tubes))


def test_right_boxes_fit_best(squares):
    moving = moving_videos(squares)
    assert len(moving) == 6 and min(video.fit() for video in moving) > 0.6
    assert not best_reading(moving).is_certain("reading") and not best_shift(moving).is_certain("shift")
    assert best_reading(moving).gain < 0 and best_shift(moving).gain < 0


@pytest.mark.parametrize("shift", [-5, -3, -2, 2, 3, 6])
def test_a_shift_is_found(squares, shift):
    fit = best_shift(moving_videos([with_boxes(video, frames_later=shift) for video in squares]))
    assert fit.is_certain("shift") and fit.shift == shift  # what belongs to frame k stands at k + shift
    assert f"better in {len(fit.other)} of {len(fit.other)} videos" in fit.evidence()


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda b: b / 2, "in pixels of a picture 0.5 times as large"),
        (lambda b: b * 0.75, "in pixels of a picture 0.75 times as large"),
        (lambda b: b[:, [1, 0, 3, 2]], "y before x"),
        (lambda b: np.stack([64 - b[:, 2], b[:, 1], 64 - b[:, 0], b[:, 3]], 1), "mirrored left and right"),
        (lambda b: b / [64, 48, 64, 48], "shares of the frame, not pixels"),
        (lambda b: b + np.tile((b[:, 2:] - b[:, :2]) / 2, 2), "a centre read as a corner"),
    ],
)
def test_another_reading_is_found(squares, change, found):
    fit = best_reading(moving_videos([with_boxes(video, change) for video in squares]))
    assert fit.name == found and fit.is_certain("reading")


def test_every_reading_undoes_its_error():
    """`right` of a reading, of boxes that were read wrong in that way, gives the boxes that were meant."""
    meant, names = np.array([[10.0, 20.0, 30.0, 44.0]]), {reading.what: reading.right for reading in READINGS}
    size = np.hstack([meant[:, :2], meant[:, 2:] - meant[:, :2]])
    assert names["x, y, width, height read as two corners"](size, 64, 48).tolist() == meant.tolist()
    added = np.hstack([meant[:, :2], meant[:, :2] + meant[:, 2:]])
    assert names["two corners read as x, y, width, height"](added, 64, 48).tolist() == meant.tolist()
    assert names["in pixels of a picture 2 times as large"](meant * 2, 64, 48).tolist() == meant.tolist()
    assert names["y counted from below"](np.array([[10.0, 4.0, 30.0, 28.0]]), 64, 48).tolist() == meant.tolist()


def test_where_nothing_moves_nothing_is_said(squares):
    assert moving_videos([replace(video, tubes=()) for video in squares]) == []  # no boxes
    assert not best_shift([]).is_certain("shift") and best_shift([]).gain == 0
    fit = Fit(np.full(6, 0.05), np.full(6, 0.18), "x")  # much better, and still no fit
    assert not fit.is_certain("reading") and fit.gain == pytest.approx(0.13)


def test_certainty_needs_many_videos_that_agree():
    def fit(gains):
        return Fit(np.full(len(gains), 0.3), 0.3 + np.array(gains), "x")

    assert fit([0.2, 0.25, 0.2, 0.22]).is_certain("reading")
    assert not fit([0.2, 0.25, 0.2]).is_certain("reading")  # three videos
    assert not fit([0.05] * 8).is_certain("reading") and fit([0.05, 0.06] * 4).is_certain("shift")
    assert not fit([0.9, -0.1, 0.8, -0.1, -0.1, 0.7]).is_certain("reading")  # half of them disagree


def test_correlation():
    moving = np.zeros((4, 8), np.float32)
    moving[1:3, 2:6] = 1.0
    assert correlation(moving, np.array([[2.0, 1.0, 6.0, 3.0]])) == pytest.approx(1)
    assert correlation(moving, np.array([[2.0, 1.0, 4.0, 3.0], [4.0, 1.0, 6.0, 3.0]])) == pytest.approx(1)  # together
    # 8 of 32 pixels move; a box over 4 of them and 4 others: (4 - 8 * 8 / 32) / (32 * 3 / 16) = 2 / 6
    assert correlation(moving, np.array([[0.0, 1.0, 4.0, 3.0]])) == pytest.approx(1 / 3)
    for boxes in ([[0.0, 0.0, 8.0, 4.0]], [[20.0, 1.0, 30.0, 3.0]], np.empty((0, 4))):
        assert correlation(moving, np.array(boxes)) == 0
    assert correlation(np.ones((4, 8)), np.array([[2.0, 1.0, 6.0, 3.0]])) == 0


def test_a_video_that_cannot_be_read_or_is_too_short_is_left_out(squares):
    gone = replace(squares[0], path="/gone.avi")
    short = replace(squares[1], num_frames=5)
    assert moving_videos([gone, short]) == [] and MovingVideo(squares[0]).maps.keys() <= set(range(3, 13))


@pytest.fixture(scope="module")
def people(real_data):
    """Ten clips of UT-Interaction with boxes of both people, which nobody drew by hand."""
    folder = real_data / "real_people" / "ut_interaction"
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    videos = []
    for name, about in list(json.loads((folder / "boxes.json").read_text()).items())[:10]:
        persons = about["persons"]
        tubes = []
        for side in (0, 1):
            frames = [k for k, pair in enumerate(persons) if pair and pair[side] and about["ok"][k]]
            tubes += [Tube(0, np.array(frames), np.float32([persons[k][side] for k in frames]))] if frames else []
        width, height = about["size"]
        videos.append(VideoRecord(name, str(folder / name), about["frames"], height, width, tuple(tubes)))
    return videos


@pytest.mark.parametrize(
    ("change", "later", "found"),
    [
        (lambda b: b, 0, ""),
        (lambda b: b / 2, 0, "in pixels of a picture 0.5 times as large"),
        (lambda b: b[:, [1, 0, 3, 2]], 0, "y before x"),
        (lambda b: b, 5, "late"),
    ],
)
def test_real_people(people, change, later, found):
    moving = moving_videos([with_boxes(video, change, later) for video in people])
    reading, shift = best_reading(moving), best_shift(moving)
    assert reading.is_certain("reading") == (found not in ("", "late"))
    assert reading.name == found or found in ("", "late")
    if later:
        assert shift.is_certain("shift") and abs(shift.shift - later) <= 1
    elif not found:
        assert not shift.is_certain("shift")
