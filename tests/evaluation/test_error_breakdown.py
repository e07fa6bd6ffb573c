"""The kinds of errors against loops, the worked example of docs/error_analysis.md, sums that close, oracles."""

import math

import numpy as np
import pytest
from box_tables import DETS, GTS, tables
from hypothesis import given, settings
from hypothesis import strategies as st

from detect.evaluation import PRESETS, Detections, GroundTruth, evaluate_frame_ap, preset, read_tables
from detect.evaluation.average_precision import match, matched_pairs
from detect.evaluation.errors.act import act_decomposition
from detect.evaluation.errors.breakdown import break_down, breakdown_table, confusion_matrix
from detect.utils.iou import pairwise_iou

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
RULES = pytest.mark.parametrize("name", PRESETS)
# Distinct scores: with ties the order of matching and of ranking may differ, and then no promise about gains holds.
UNTIED = st.permutations(range(14)).flatmap(
    lambda scores: DETS.map(lambda dets: [(*d[:3], (1 + s) / 16, d[4]) for d, s in zip(dets, scores, strict=False)])
)


def example():
    return tables(EXAMPLE_TRUTHS, [row[:4] for row in EXAMPLE])


def names(breakdown):
    return ["" if kind < 0 else breakdown.categories[kind] for kind in breakdown.detection_kind]


def keep(table, rows):
    return type(table)(**{name: column[rows] for name, column in vars(table).items()})


def test_worked_example():
    gt, det = example()
    result = break_down(gt, det, 2, PRESETS["voc"])
    assert names(result) == [row[4] for row in EXAMPLE]
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
    assert names(result) == ["localisation", "correct"]
    assert (result.mean, result.gains["boxes"], result.gains["all"]) == (0.5, 0.5, 0.5)


def test_what_does_not_count():
    flat = (50, 0, 50, 99)
    gt, det = tables([(0, 0, T)], [(0, 0, 0.9, flat), (1, 0, 0.8, T), (0, 0, 0.7, T), (0, 0, 0.2, T)])
    assert names(break_down(gt, det, 1, PRESETS["tfod"])) == ["", "time", "correct", "duplicate"]
    assert names(break_down(gt, det, 1, PRESETS["yowo"]))[1] == ""
    high = break_down(gt, det, 1, PRESETS["voc"], min_score=0.5)
    assert names(high) == ["background", "time", "correct", ""] and high.counts.sum() == 3


def test_empty_tables():
    nothing = break_down(*tables([], []), 2, PRESETS["voc"])
    assert nothing.counts.sum() == nothing.truth_counts.sum() == 0
    assert math.isnan(nothing.mean) and math.isnan(nothing.act["AP"])
    missed = break_down(*tables([(0, 0, T)], []), 2, PRESETS["voc"])
    assert (missed.mean, missed.gains["proposals"], missed.gains["all"], missed.act["missed"]) == (0, 1, 1, 100)
    alone = break_down(*tables([], [(0, 0, 0.9, T)]), 1, PRESETS["gurkirt"])
    assert names(alone) == ["background"] and (alone.mean, alone.gains["all"]) == (0, 0)
    for truths, found in (([], []), ([(0, 0, T)], []), ([], [(0, 0, 0.9, T)])):
        matrix = confusion_matrix(*tables(truths, found), 1, PRESETS["voc"])
        assert matrix.tolist() == [[0, len(truths)], [len(found), 0]]


def test_bad_input_is_named():
    gt, det = tables([(0, 0, T)], [(0, 3, 0.9, T)])
    with pytest.raises(ValueError, match="detection label 3; expected 0 to 1"):
        break_down(gt, det, 2, PRESETS["voc"])
    with pytest.raises(ValueError, match="background_threshold is 1.0; expected 0 <="):
        break_down(gt, det, 4, PRESETS["voc"], background_threshold=1.0)


# --- properties --------------------------------------------------------------------------------------------


def naive_kinds(gt, det, options):
    """The definition of `break_down`, one detection at a time; the protocol's true positives are given."""
    every = range(len(gt))
    iou = {
        (d, t): float(pairwise_iou(det.boxes[d : d + 1], gt.boxes[t : t + 1], options.plus_one)[0])
        for d in range(len(det)) for t in every
    }  # fmt: skip
    place = [(gt.video[t], gt.frame[t]) for t in every]
    pairs = [
        (d, t) for (d, t), overlap in iou.items()
        if place[t] == (det.video[d], det.frame[d]) and det.label[d] == gt.label[t] and overlap >= options.iou_threshold
    ]  # fmt: skip
    d, t = np.array(pairs, int).reshape(-1, 2).T
    turn = -d if options.tie_order == "reversed_input" else d
    group = np.array([hash((*place[j], gt.label[j])) for j in t.tolist()], int)
    overlap = np.array([iou[pair] for pair in pairs])
    true = dict(zip(*matched_pairs(d, t, overlap, group, (-det.score[d], turn), options.matching), strict=True))
    for d in range(len(det)):
        here = [t for t in every if place[t] == (det.video[d], det.frame[d])]
        own = max(((iou[d, t], -t) for t in here if gt.label[t] == det.label[d]), default=(0, 0))
        other = max(((iou[d, t], -t) for t in here if gt.label[t] != det.label[d]), default=(0, 0))
        elsewhere = any(gt.video[t] == det.video[d] and gt.label[t] == det.label[d] for t in every)
        box = det.boxes[d]
        if (options.frames == "annotated" and not here) or (
            options.drop_degenerate and (box[2] <= box[0] or box[3] <= box[1])
        ):
            yield "", -1
        elif d in true:
            yield "correct", true[d]
        elif own[0] >= options.iou_threshold:
            yield "duplicate", -own[1]
        elif own[0] >= 0.1:
            yield "localisation", -own[1]
        elif other[0] >= options.iou_threshold:
            yield "classification", -other[1]
        elif elsewhere and det.label[d] not in gt.label[here]:
            yield "time", -1
        else:
            yield "background", -1


@RULES
@settings(max_examples=25, deadline=None)
@given(gts=GTS, dets=DETS, iou=st.sampled_from([0.3, 0.5, 0.75]))
def test_kinds_equal_the_definition(name, gts, dets, iou):
    gt, det = tables(gts, dets)
    options = preset(name, iou_threshold=iou)
    result = break_down(gt, det, 3, options)
    assert list(zip(names(result), result.detection_truth, strict=True)) == list(naive_kinds(gt, det, options))


@RULES
@settings(max_examples=25, deadline=None)
@given(gts=GTS, dets=DETS, proposals=st.none() | DETS, iou=st.sampled_from([0.3, 0.5, 0.75]))
def test_sums_close(name, gts, dets, proposals, iou):
    gt, det = tables(gts, dets)
    options = preset(name, iou_threshold=iou)
    plain = evaluate_frame_ap(gt, det, 3, options)
    result = break_down(gt, det, 3, options, None if proposals is None else tables([], proposals)[1])
    assert result.counts.sum(axis=1).tolist() == plain.num_det.tolist()
    assert result.counts[:, 0].tolist() == result.truth_counts[:, 0].tolist() == plain.num_tp.tolist()
    assert result.truth_counts.sum(axis=1).tolist() == plain.num_gt.tolist()
    np.testing.assert_allclose(result.ap, plain.ap, atol=1e-12)
    # With everything mended all is right, but for classes without truths where the protocol counts them as 0.
    mended = result.ap + result.gains_per_class["all"]
    np.testing.assert_allclose(mended[plain.num_gt > 0], 1)
    if gts:
        assert sum(result.act.values()) == pytest.approx(100)
        assert result.act["AP"] / 100 == pytest.approx(
            evaluate_frame_ap(gt, det, 3, preset("act", iou_threshold=iou)).mean, abs=1e-12
        )
    matrix = confusion_matrix(gt, det, 3, options)
    assert matrix.diagonal()[:3].tolist() == plain.num_tp.tolist() and matrix.min(initial=0) == 0
    assert matrix[:3].sum(axis=1).tolist() == plain.num_gt.tolist()
    assert matrix[:, :3].sum(axis=0).tolist() == plain.num_det.tolist()


@RULES
@settings(max_examples=25, deadline=None)
@given(gts=GTS, dets=UNTIED)
def test_oracles_are_evaluations_of_mended_tables(name, gts, dets):
    gt, det = tables(gts, dets)
    options = preset(name, classes_without_gt="excluded", frames="all")
    result = break_down(gt, det, 3, options)
    assert all(gain >= -1e-12 for gain in result.gains.values() if gts)
    kind = np.array(names(result), dtype=object)

    def check(oracle, gt, det):
        ap = evaluate_frame_ap(gt, det, 3, options).ap
        with_truths = ~np.isnan(ap)
        np.testing.assert_allclose((result.ap + result.gains_per_class[oracle])[with_truths], ap[with_truths])

    for oracle, dropped in (("timing", "time"), ("duplicates", "duplicate"), ("background", "background")):
        check(oracle, gt, keep(det, kind != dropped))
    # Missed truths overlap no detection, so without them all others match as before.
    check("proposals", keep(gt, result.truth_kind != 1), det)
    of, columns = result.detection_truth, vars(det)
    for oracle, wrong in (("boxes", kind == "localisation"), ("labels", kind == "classification")):
        boxes, label = det.boxes.copy(), det.label.copy()
        if oracle == "boxes":
            boxes[wrong] = gt.boxes[of[wrong]]
        else:
            label[wrong] = gt.label[of[wrong]]
        mended = Detections(**(columns | {"boxes": boxes, "label": label}))
        again = np.array(names(break_down(gt, mended, 3, options)), dtype=object)
        check(oracle, gt, keep(mended, ~((wrong | (kind == "correct")) & (again != "correct"))))


def test_match_gives_the_detections_of_the_pairs():
    pairs = [np.array(column) for column in ([3, 1, 3], [0, 0, 1], [0.9, 0.6, 0.7], [0, 0, 0])]
    detection, truth = matched_pairs(*pairs, (np.array([0, 1, 0]),), "best_unmatched")
    assert (detection.tolist(), truth.tolist()) == ([3], [0])
    assert match(*pairs, (np.array([0, 1, 0]),), "best_unmatched").tolist() == [3]


# --- numbers of the reference code -------------------------------------------------------------------------


def test_acts_own_numbers(real_data):
    """MOC-Detector's `frameAP_error` (src/ACT.py at 45c3fd0c), run on these tables, printed these."""
    folder = real_data / "evaluator"
    gt, det, _ = read_tables(folder / "jhmdb_split1_groundtruth.csv.gz", folder / "jhmdb_split1_detections.csv.gz")
    shares = act_decomposition(gt, det, 21)
    columns = np.array(list(shares.values())).T  # AP, localisation, classification, time, other, missed
    np.testing.assert_allclose(columns.mean(axis=0), [77.07, 3.17, 5.13, 0.00, 0.99, 13.64], atol=0.005)
    np.testing.assert_allclose(columns[0], [79.90, 2.74, 4.93, 0.00, 0.55, 11.88], atol=0.005)
    np.testing.assert_allclose(columns[18], [74.44, 5.34, 5.99, 0.00, 0.96, 13.27], atol=0.005)


def test_acts_own_numbers_where_videos_have_several_classes():
    """The same code on tables with every kind of its errors: 400 truths, 3,000 detections, 6 videos, 3 classes."""
    rng = np.random.RandomState(1)

    def boxes(n):
        corner = rng.randint(0, 6, (n, 2))
        return np.hstack([corner, corner + rng.randint(4, 9, (n, 2))]).astype(float)

    label = rng.randint(0, 3, 400)
    gt = GroundTruth((rng.randint(0, 4, 400) + 2 * label) % 6, rng.randint(0, 60, 400), label, boxes(400))
    columns = (rng.randint(0, high, 3000) for high in (5, 80, 3))
    det = Detections(*columns, rng.permutation(3000) / 3000, boxes(3000))
    printed = [
        [2.27, 7.97, 2.78, 15.20, 9.97, 61.81],
        [2.17, 4.11, 2.07, 7.50, 10.66, 73.48],
        [1.04, 3.69, 2.39, 7.16, 13.14, 72.58],
    ]
    shares = act_decomposition(gt, det, 3)
    np.testing.assert_allclose(np.array(list(shares.values())).T, printed, atol=0.0051)
