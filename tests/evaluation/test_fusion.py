"""Late fusion by hand."""

import numpy as np
import pytest

from detect.evaluation.files.formats import read_detections, write_table
from detect.evaluation.fusion import fuse, same_boxes
from detect.evaluation.tables import Detections
from detect.utils.errors import UserError
from tests.running import run_tool


def table(*rows):
    """Rows (video, frame, label, score, box)."""
    columns = list(zip(*rows, strict=True)) if rows else [[], [], [], [], []]
    video, frame, label = (np.array(column, np.int64) for column in columns[:3])
    return Detections(video, frame, label, np.array(columns[3], np.float64), np.array(columns[4], float).reshape(-1, 4))


BOX, APART = [0, 0, 10, 10], [50, 50, 60, 60]


def rows(found):
    return [
        (v, f, k, pytest.approx(s), pytest.approx(b))
        for v, f, k, s, b in zip(found.video, found.frame, found.label, found.score, found.boxes.tolist(), strict=True)
    ]


def test_scores_of_the_same_boxes_are_averaged():
    one = table((0, 3, 1, 0.9, BOX), (0, 3, 2, 0.1, BOX), (1, 0, 1, 0.4, APART))
    other = table((1, 0, 1, 0.8, APART), (0, 3, 2, 0.7, BOX), (0, 3, 1, 0.2, BOX))  # in another order
    assert same_boxes([one, other])
    assert rows(fuse([one, other])) == [(0, 3, 1, 0.55, BOX), (0, 3, 2, 0.4, BOX), (1, 0, 1, 0.6, APART)]
    assert fuse([one, other], [3, 1]).score == pytest.approx([0.9 * 0.75 + 0.05, 0.25, 0.5])


def test_boxes_that_differ_are_fused():
    """(0,0,10,10) at 0.8 and (2,0,12,10) at 0.4: IoU 8/12 = 0.67. Weighted by score 2 : 1 the box is (2/3, 0, 10 2/3,
    10), its score (0.8 + 0.4) / 2. A box of one detector alone has half of its score."""
    one = table((0, 0, 1, 0.8, BOX), (0, 0, 1, 0.6, APART))
    other = table((0, 0, 1, 0.4, [2, 0, 12, 10]))
    assert not same_boxes([one, other])
    assert rows(fuse([one, other])) == [(0, 0, 1, 0.6, [2 / 3, 0, 32 / 3, 10]), (0, 0, 1, 0.3, APART)]
    apart = rows(fuse([one, other], iou=0.7))  # below the threshold: three boxes, each of one detector
    assert apart == [(0, 0, 1, 0.4, BOX), (0, 0, 1, 0.3, APART), (0, 0, 1, 0.2, [2, 0, 12, 10])]


def test_classes_frames_and_videos_do_not_mix():
    one = table((0, 0, 1, 0.8, BOX))
    for place in ((1, 0, 1), (0, 1, 1), (0, 0, 2)):
        assert len(fuse([one, table((*place, 0.8, BOX))])) == 2
    assert len(fuse([one, table()])) == 1 and len(fuse([table(), table()])) == 0


def test_shares_weigh_detectors():
    one, other = table((0, 0, 0, 0.8, BOX)), table((0, 0, 0, 0.4, [2, 0, 12, 10]))
    found = fuse([one, other], [1, 3])  # box weights 0.8 * 0.25 and 0.4 * 0.75: 2 : 3
    assert rows(found) == [(0, 0, 0, 0.8 * 0.25 + 0.4 * 0.75, [1.2, 0, 11.2, 10])]
    for wrong in ([1], [1, -1], [0, 0], [float("nan"), 1]):
        with pytest.raises(UserError, match="shares"):
            fuse([one, other], wrong)
    with pytest.raises(UserError, match="IoU of 0"):
        fuse([one, other], iou=0)


def test_fusing_a_table_with_itself_changes_nothing():
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 80, (200, 2))
    boxes = np.hstack([corners, corners + rng.uniform(5, 60, (200, 2))])
    numbers = rng.integers(0, 4, (3, 200))
    one = Detections(*numbers, rng.random(200), boxes)
    found = fuse([one, one])
    order = np.lexsort((-one.score, one.frame, one.video))
    np.testing.assert_allclose(found.score, one.score[order])
    np.testing.assert_allclose(found.boxes, one.boxes[order])


def test_the_tool(tmp_path):
    write_table(tmp_path / "a.csv.gz", table((0, 0, 1, 0.8, BOX), (1, 2, 1, 0.5, BOX)), ["x", "y"])
    write_table(tmp_path / "b.csv", table((0, 2, 1, 0.4, [2, 0, 12, 10])), ["y"])
    done = run_tool("fuse_detections", tmp_path / "a.csv.gz", tmp_path / "b.csv", "--output", tmp_path / "c.csv.gz")
    assert done.returncode == 0 and "2 + 1 detections: boxes fused from IoU 0.55 up" in done.stdout
    (found,), names = read_detections([tmp_path / "c.csv.gz"])
    assert names == ["x", "y"] and found.score == pytest.approx([0.4, 0.45])
    alone = run_tool("fuse_detections", tmp_path / "b.csv", "--output", tmp_path / "d.csv")
    assert alone.returncode == 2 and "has nothing to be fused with" in alone.stderr
    uneven = run_tool("fuse_detections", *[tmp_path / "b.csv"] * 2, "--output", tmp_path / "d.csv", "--shares", 1)
    assert uneven.returncode == 2 and "--shares has 1 values for 2 files" in uneven.stderr
