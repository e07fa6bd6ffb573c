"""The kinds of errors against loops, sums that close, oracles against evaluations of mended tables."""

import numpy as np
import pytest
from box_tables import DETS, GTS, kind_names, tables
from hypothesis import given, settings
from hypothesis import strategies as st

from detect.evaluation import PRESETS, Detections, evaluate_frame_ap, preset
from detect.evaluation.average_precision import match, matched_pairs
from detect.evaluation.errors.breakdown import break_down, confusion_matrix
from detect.utils.iou import pairwise_iou

RULES = pytest.mark.parametrize("name", PRESETS)
# Distinct scores: with ties the order of matching and of ranking may differ, and then no promise about gains holds.
UNTIED = st.permutations(range(14)).flatmap(
    lambda scores: DETS.map(lambda dets: [(*d[:3], (1 + s) / 16, d[4]) for d, s in zip(dets, scores, strict=False)])
)


def keep(table, rows):
    return type(table)(**{name: column[rows] for name, column in vars(table).items()})


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
    assert list(zip(kind_names(result), result.detection_truth, strict=True)) == list(naive_kinds(gt, det, options))


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
    kind = np.array(kind_names(result), dtype=object)

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
        again = np.array(kind_names(break_down(gt, mended, 3, options)), dtype=object)
        check(oracle, gt, keep(mended, ~((wrong | (kind == "correct")) & (again != "correct"))))


def test_match_gives_the_detections_of_the_pairs():
    pairs = [np.array(column) for column in ([3, 1, 3], [0, 0, 1], [0.9, 0.6, 0.7], [0, 0, 0])]
    detection, truth = matched_pairs(*pairs, (np.array([0, 1, 0]),), "best_unmatched")
    assert (detection.tolist(), truth.tolist()) == ([3], [0])
    assert match(*pairs, (np.array([0, 1, 0]),), "best_unmatched").tolist() == [3]
