"""The kinds of errors: the worked example of docs/error_analysis.md, confusions, edges."""

import math

import numpy as np
import pytest
from box_tables import kind_names, tables

from detect.evaluation import PRESETS, Detections
from detect.evaluation.errors.breakdown import break_down, breakdown_table, confusion_matrix

T, U = (0, 0, 100, 100), (200, 0, 300, 100)
THIRD = (50, 0, 150, 100)  # 50 x 100 of 150 x 100 in common with T: IoU 1/3
FAR = (200, 200, 300, 300)
# The example of docs/error_analysis.md: classes a (0) and b (1), one video, frames 0 to 5, detections of class a.
EXAMPLE_TRUTHS = [(0, 0, T), (1, 0, T), (2, 0, T), (3, 0, T), (1, 1, U), (4, 1, T)]
EXAMPLE = [
    (0, 0, 0.9, T, "correct", 0),
    (0, 0, 0.8, T, "duplicate", 0),
    (1, 0, 0.7, THIRD, "localisation", 1),
    (1, 0, 0.6, U, "classification", 4),
    (5, 0, 0.5, T, "time", -1),
    (2, 0, 0.4, T, "correct", 2),
    (2, 0, 0.3, FAR, "background", -1),
    (4, 0, 0.2, THIRD, "time", -1),
    (4, 0, 0.1, T, "classification", 5),
]


def example():
    return tables(EXAMPLE_TRUTHS, [row[:4] for row in EXAMPLE])


def test_worked_example():
    gt, det = example()
    result = break_down(gt, det, 2, PRESETS["voc"])
    assert kind_names(result) == [row[4] for row in EXAMPLE]
    assert result.detection_truth.tolist() == [row[5] for row in EXAMPLE]
    assert result.counts.tolist() == [[2, 1, 2, 2, 1, 1], [0] * 6]
    # Nothing reaches the truth of frame 3, and the box of IoU 1/3 does not reach that of frame 1. Both of class b are
    # under boxes of class a.
    assert [result.truth_kinds[kind] for kind in result.truth_kind] == [
        "found", "missed", "found", "missed", "lost", "lost",
    ]  # fmt: skip
    assert result.truth_counts.tolist() == [[2, 2, 0], [0, 0, 2]]
    assert result.truth_source == "detections"
    assert result.ap.tolist() == pytest.approx([1 / 3, 0])  # (1/1 + 2/6) / 4
    gain_of_a = {
        "boxes": (1 + 2 / 3 + 3 / 6) / 4 - 1 / 3,  # true at ranks 1, 3, 6
        "labels": (1 + 2 / 5) / 4 - 1 / 3,  # one false one fewer before the second true one
        "timing": (1 + 2 / 5) / 4 - 1 / 3,
        "duplicates": (1 + 2 / 5) / 4 - 1 / 3,
        "background": 0,  # it stands behind the last true one
        "proposals": (1 + 2 / 6) / 2 - 1 / 3,
        "head": 0,
        "all": 2 / 3,
    }
    gain_of_b = dict.fromkeys(gain_of_a, 0) | {"labels": 1, "head": 1, "all": 1}
    for oracle, gain in gain_of_a.items():
        assert result.gains_per_class[oracle].tolist() == pytest.approx([gain, gain_of_b[oracle]]), oracle
        assert result.gains[oracle] == pytest.approx((gain + gain_of_b[oracle]) / 2)
    # Class a: true at ranks 1 and 6, three that ACT calls localisation and one time error between them.
    act = {
        "AP": ((1 + 1) / 2 + (2 / 6 + 1 / 5) / 2) / 4,
        "localisation": (3 / 6 + 3 / 5) / 2 / 4,
        "classification": 0,
        "time": (1 / 6 + 1 / 5) / 2 / 4,
        "other": 0,
        "missed": 1 / 2,
    }
    assert {k: v[0] for k, v in result.act_per_class.items()} == pytest.approx({k: 100 * v for k, v in act.items()})
    assert result.act["missed"] == pytest.approx((50 + 100) / 2)


def test_table_shows_counts_gains_and_acts_shares():
    text = breakdown_table(break_down(*example(), 2, PRESETS["voc"]), ("a", "b"))
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]
    assert lines[2] == ["a", "9", "2", "1", "2", "2", "1", "1", "4", "2", "2", "0", "0.3333"]
    assert lines[4] == ["all", "9", "2", "1", "2", "2", "1", "1", "6", "2", "2", "2", "0.1667"]
    assert ["labels", "+0.5083", "0.6750"] in lines and ["all", "+0.8333", "1.0000"] in lines
    assert ["missed", "75.00"] in lines
    assert "missed by detections" in text


def test_confusion_of_the_worked_example():
    gt, det = example()
    # Rows: truth a, b, none; columns: detected a, b, nothing. The two classification errors take the truths of b.
    assert confusion_matrix(gt, det, 2, PRESETS["voc"]).tolist() == [[2, 0, 2], [2, 0, 0], [5, 0, 0]]
    assert confusion_matrix(gt, det, 2, PRESETS["voc"], min_score=0.5).tolist() == [[1, 0, 3], [1, 0, 1], [3, 0, 0]]


def test_confusion_gives_a_truth_to_one_detection():
    boxes = [(0, label, score, T) for label, score in ((1, 0.9), (2, 0.8), (2, 0.7))]
    matrix = confusion_matrix(*tables([(0, 0, T)], boxes), 3, PRESETS["voc"])
    assert matrix.tolist() == [[0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 2, 0]]
    right_too = confusion_matrix(*tables([(0, 0, T)], [*boxes, (0, 0, 0.1, T)]), 3, PRESETS["voc"])
    assert right_too[0].tolist() == [1, 0, 0, 0]  # the protocol's own match comes first, whatever the score


def test_proposals_say_what_they_missed():
    gt, det = example()
    proposals = Detections([0, 0], [3, 0], [7, 7], [0.0, 0.0], np.array([T, FAR], float))  # labels mean nothing
    result = break_down(gt, det, 2, PRESETS["voc"], proposals)
    assert [result.truth_kinds[kind] for kind in result.truth_kind] == [
        "found", "missed", "found", "lost", "missed", "missed",
    ]  # fmt: skip
    assert result.truth_source == "proposals"
    # Of a's four truths one is missed: (1 + 2/6) / 3. Of b both are, and nothing false is left of b: 1.
    assert result.gains_per_class["proposals"].tolist() == pytest.approx([4 / 9 - 1 / 3, 1])


def test_a_class_without_truths_left_keeps_its_false_detections():
    result = break_down(*tables([(0, 0, T)], [(1, 0, 0.9, T)]), 1, PRESETS["voc"])
    assert (result.gains["proposals"], result.gains["timing"], result.gains["all"]) == (0, 0, 1)


def test_a_mended_box_pushes_out_a_worse_one():
    # The first is moved onto the truth and takes it; the second, right before, goes: AP 1/2 -> 1, as after suppression.
    gt, det = tables([(0, 0, T)], [(0, 0, 0.9, THIRD), (0, 0, 0.8, T)])
    result = break_down(gt, det, 1, PRESETS["voc"])
    assert kind_names(result) == ["localisation", "correct"]
    assert (result.mean, result.gains["boxes"], result.gains["all"]) == (0.5, 0.5, 0.5)


def test_what_does_not_count():
    flat = (50, 0, 50, 99)
    gt, det = tables([(0, 0, T)], [(0, 0, 0.9, flat), (1, 0, 0.8, T), (0, 0, 0.7, T), (0, 0, 0.2, T)])
    assert kind_names(break_down(gt, det, 1, PRESETS["tfod"])) == ["", "time", "correct", "duplicate"]
    assert kind_names(break_down(gt, det, 1, PRESETS["yowo"]))[1] == ""
    high = break_down(gt, det, 1, PRESETS["voc"], min_score=0.5)
    assert kind_names(high) == ["background", "time", "correct", ""] and high.counts.sum() == 3


def test_empty_tables():
    nothing = break_down(*tables([], []), 2, PRESETS["voc"])
    assert nothing.counts.sum() == nothing.truth_counts.sum() == 0
    assert math.isnan(nothing.mean) and math.isnan(nothing.act["AP"])
    missed = break_down(*tables([(0, 0, T)], []), 2, PRESETS["voc"])
    assert (missed.mean, missed.gains["proposals"], missed.gains["all"], missed.act["missed"]) == (0, 1, 1, 100)
    alone = break_down(*tables([], [(0, 0, 0.9, T)]), 1, PRESETS["gurkirt"])
    assert kind_names(alone) == ["background"] and (alone.mean, alone.gains["all"]) == (0, 0)
    for truths, found in (([], []), ([(0, 0, T)], []), ([], [(0, 0, 0.9, T)])):
        matrix = confusion_matrix(*tables(truths, found), 1, PRESETS["voc"])
        assert matrix.tolist() == [[0, len(truths)], [len(found), 0]]


def test_bad_input_is_named():
    gt, det = tables([(0, 0, T)], [(0, 3, 0.9, T)])
    with pytest.raises(ValueError, match="detection label 3; expected 0 to 1"):
        break_down(gt, det, 2, PRESETS["voc"])
    with pytest.raises(ValueError, match="background_threshold is 1.0; expected 0 <="):
        break_down(gt, det, 4, PRESETS["voc"], background_threshold=1.0)
