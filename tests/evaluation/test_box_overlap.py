"""Mean best overlap and recall by hand, the table of choices, and the bootstrap against copied tables."""

import numpy as np
import pytest

from detect.evaluation.bootstrap import _Ranked, compare
from detect.evaluation.box_overlap import mean_best_overlap, named_rightly, recall_by_number
from detect.evaluation.choices import choice_scores, preset_scores
from detect.evaluation.frame_ap import PRESETS, evaluate_frame_ap, preset
from detect.evaluation.tables import Detections, GroundTruth
from tests.evaluation.test_typed_tables import random_tables

SQUARE, HALF, FAR = [0, 0, 10, 10], [0, 0, 10, 5], [50, 50, 60, 60]


def truth(*rows):
    video, frame, label, boxes = zip(*rows, strict=True)
    return GroundTruth(np.array(video), np.array(frame), np.array(label), np.array(boxes, float))


def found(*rows):
    if not rows:
        return Detections(*(np.empty(0, int),) * 3, np.empty(0), np.empty((0, 4)))
    video, frame, label, score, boxes = zip(*rows, strict=True)
    columns = (np.array(column) for column in (video, frame, label))
    return Detections(*columns, np.array(score, float), np.array(boxes, float))


def test_videos_named_rightly():
    # video 0 is of class 1, named by the sum and not by the best; 1 is of two; 2 has no detections; 3 has no truth
    gt = truth((0, 0, 1, SQUARE), (0, 1, 1, SQUARE), (1, 0, 0, SQUARE), (1, 0, 1, SQUARE), (2, 0, 0, SQUARE))
    det = found((0, 0, 0, 0.9, FAR), (0, 0, 1, 0.5, FAR), (0, 1, 1, 0.5, FAR), (1, 0, 0, 0.9, FAR), (3, 0, 0, 1, FAR))
    assert named_rightly(gt, det, 3) == (1, 2)
    assert named_rightly(gt, found(), 3) == (0, 2)


def test_mean_best_overlap_by_hand():
    # class 0: a truth half covered by a box of another class (0.5), one not found (0); class 1: covered; class 2: none
    gt = truth((0, 0, 0, SQUARE), (0, 1, 0, SQUARE), (0, 2, 1, SQUARE))
    det = found((0, 0, 1, 0.9, HALF), (0, 2, 1, 0.1, SQUARE), (0, 2, 1, 0.8, HALF), (0, 7, 0, 1.0, SQUARE))
    of_class, mean = mean_best_overlap(gt, det, 3)
    np.testing.assert_allclose(of_class, [0.25, 1.0, np.nan])
    assert mean == pytest.approx(0.625)
    # with ACT's pixel the half is 11 x 6 of 11 x 11
    assert mean_best_overlap(gt, det, 3, plus_one=True)[0][0] == pytest.approx(66 / 121 / 2)
    assert mean_best_overlap(gt, found(), 3)[1] == 0.0


def test_recall_by_number_by_hand():
    gt = truth((0, 0, 0, SQUARE), (0, 0, 0, FAR), (0, 1, 0, SQUARE))
    det = found((0, 0, 0, 0.9, [20, 20, 30, 30]), (0, 0, 1, 0.8, SQUARE), (0, 0, 0, 0.1, FAR), (0, 2, 0, 1.0, SQUARE))
    assert recall_by_number(gt, det, 0.5, (1, 2, 3)) == {1: 0.0, 2: pytest.approx(1 / 3), 3: pytest.approx(2 / 3)}
    assert recall_by_number(gt, found(), 0.5, (1,)) == {1: 0.0}


def test_every_preset_and_choice_is_what_it_says():
    gt, det = random_tables(7, 300)
    base = preset("voc")
    for rows in (preset_scores(gt, det, 5, base), choice_scores(gt, det, 5, base)):
        assert len(rows) > 7
        for row in rows:
            expected = evaluate_frame_ap(gt, det, 5, row.options).mean
            assert (row.mean, row.difference) == (expected, expected - evaluate_frame_ap(gt, det, 5, base).mean)
    assert {row.name.split(",")[0] for row in preset_scores(gt, det, 5, base)} == set(PRESETS)
    assert base not in [row.options for row in choice_scores(gt, det, 5, base)]


@pytest.mark.parametrize("name", ["voc", "act", "yowo_11pt", "gurkirt"])
def test_a_draw_of_videos_equals_a_table_with_copies_of_them(name):
    rng = np.random.default_rng(2)
    gt, _ = random_tables(3, 60)
    columns = [np.r_[gt.video, gt.video], np.r_[gt.frame, gt.frame], np.r_[gt.label, gt.label]]
    boxes = np.vstack([gt.boxes + rng.normal(0, 4, gt.boxes.shape), gt.boxes + rng.normal(0, 40, gt.boxes.shape)])
    det = Detections(*columns, rng.random(len(boxes)), boxes)
    times = np.array([2, 0, 3])
    copies = {}
    for table in (gt, det):
        parts = [(video, copy) for video, count in enumerate(times) for copy in range(count)]
        rows = [np.flatnonzero(table.video == video) for video, _ in parts]
        number = np.repeat([10 * video + copy for video, copy in parts], list(map(len, rows)))
        rows = np.concatenate(rows)
        names = [field for field in vars(table) if field != "video"]
        copies[type(table)] = type(table)(number, *(getattr(table, field)[rows] for field in names))
    options = preset(name, tie_order="input")
    expected = evaluate_frame_ap(copies[GroundTruth], copies[Detections], 5, options).ap
    ranked = _Ranked(gt, det, 5, options, 3)
    # copies of one detection have one score, so in which order they are counted may differ: rank by video, not by copy
    np.testing.assert_allclose(ranked.ap(np.ones(3, int)), evaluate_frame_ap(gt, det, 5, options).ap)
    np.testing.assert_allclose(np.isnan(ranked.ap(times)), np.isnan(expected))
    np.testing.assert_allclose(np.nan_to_num(ranked.ap(times)), np.nan_to_num(expected), atol=0.02)


def test_comparison_of_a_table_with_itself_and_with_a_worse_one():
    rows = [(video, frame, video % 2, SQUARE) for video in range(20) for frame in range(3)]
    gt = truth(*rows)
    good = found(*((v, f, label, 0.5 + 0.01 * f, box) for v, f, label, box in rows))
    bad = found(*((v, f, label, 0.5, box if (v + f) % 3 else FAR) for v, f, label, box in rows))
    same = compare(gt, (good, good), 2, PRESETS["voc"], repeats=50)
    assert (same.mean.tolist(), same.low, same.high, same.better) == ([1.0, 1.0], 0.0, 0.0, 0.0)
    worse = compare(gt, (good, bad), 2, PRESETS["voc"], repeats=50)
    assert worse.mean[1] == evaluate_frame_ap(gt, bad, 2).mean
    assert worse.low <= worse.mean[1] - worse.mean[0] <= worse.high < 0 and worse.better == 0.0
    again = compare(gt, (good, bad), 2, PRESETS["voc"], repeats=50)
    assert (again.low, again.high) == (worse.low, worse.high)
    assert compare(gt, (good, found()), 3, PRESETS["voc"], repeats=5).mean[1] == 0.0
