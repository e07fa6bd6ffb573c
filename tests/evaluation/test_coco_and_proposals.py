"""COCO-style scores and proposal recall: values worked out by hand."""

import math

import numpy as np
import pytest

from detect.evaluation import Detections, GroundTruth
from detect.evaluation.coco import coco_scores
from detect.evaluation.proposals import best_overlaps, proposal_recall

A = (0, 0, 100, 100)


def gt_of(rows):
    columns = list(zip(*rows, strict=True))
    return GroundTruth(*columns[:3], boxes=np.array(columns[3], float))


def det_of(rows):
    columns = list(zip(*rows, strict=True)) or [()] * 5
    return Detections(*columns[:4], boxes=np.array(columns[4], float).reshape(-1, 4))


def test_coco_golden_value(capsys):
    gt = gt_of([(0, 1, 0, A), (0, 2, 0, A)])
    # Frame 1: IoU .7 (100 x 70), reaching .50, .55, .60, .65 and .70: 5 of the 10 thresholds. Frame 2: exact.
    det = det_of([(0, 1, 0, 0.9, (0, 0, 100, 70)), (0, 2, 0, 0.8, A)])
    scores = coco_scores(gt, det)
    assert capsys.readouterr().out == ""
    # Five thresholds: AP 1, recall 1. The others: miss then hit, precision 1/2 up to recall 1/2: the 51 of
    # the 101 points from 0 to .50, so 51/202; recall 1/2.
    assert scores["AP50"] == pytest.approx(1)
    assert scores["AP50:95"] == pytest.approx((5 * 1 + 5 * 51 / 202) / 10)
    assert scores["AR"] == pytest.approx((5 * 1 + 5 * 0.5) / 10)


def test_coco_frames_rule_and_first_annotation():
    # A single annotation that is matched: pycocotools counts id 0 as unmatched, so this catches ids from 0.
    gt = gt_of([(3, 7, 2, A)])
    det = det_of([(3, 8, 2, 0.9, A), (3, 7, 2, 0.8, A)])
    assert coco_scores(gt, det)["AP50"] == pytest.approx(0.5)  # the stray one first: precision 1/2 everywhere
    assert coco_scores(gt, det, "annotated")["AP50"] == pytest.approx(1)


def test_coco_empty():
    gt, none = gt_of([(0, 1, 0, A)]), det_of([])
    assert coco_scores(gt, none) == {"AP50": 0, "AP50:95": 0, "AR": 0}
    stray = det_of([(0, 2, 0, 0.9, A)])
    assert coco_scores(gt, stray, "annotated") == {"AP50": 0, "AP50:95": 0, "AR": 0}
    nothing = GroundTruth([], [], [], np.zeros((0, 4)))
    assert all(math.isnan(value) for value in coco_scores(nothing, stray).values())


def test_one_proposal_serves_one_actor():
    gt = np.array([A, (0, 0, 100, 80)], float)
    # One proposal equal to the second box: IoU 1 with it and .8 with the first, which gets nothing.
    assert best_overlaps(gt, gt[1:], np.array([0.0]), (10,)).tolist() == [[0, 1]]


def test_only_the_best_proposals_count():
    gt = np.array([A], float)
    proposals = np.array([(0, 0, 100, 50), A, (200, 0, 300, 100)], float)  # IoU .5, 1, 0
    overlaps = best_overlaps(gt, proposals, np.array([2.0, 1.0, 3.0]), (1, 2, 3))
    assert overlaps.tolist() == [[0], [0.5], [1]]


def test_recall_values():
    # Overlaps .5, .72, 1 and 0. Thresholds reached of ten: 1, 5, 10, 0 -> AR 16/40; three of four reach .5.
    scores = proposal_recall(np.array([[0.5, 0.72, 1.0, 0.0]]), (10,))
    assert scores == {"AR@10": pytest.approx(16 / 40), "recall@0.5@10": 0.75}
    close = proposal_recall(np.array([[0.9, np.nextafter(0.9, 0)]]), (10,))  # numpy's linspace has the second in place
    assert close["AR@10"] == pytest.approx((9 + 8) / 20)
    assert math.isnan(proposal_recall(np.zeros((1, 0)), (10,))["AR@10"])


def test_no_proposals_or_no_actors():
    assert best_overlaps(np.array([A], float), np.zeros((0, 4)), np.zeros(0)).tolist() == [[0], [0], [0]]
    assert best_overlaps(np.zeros((0, 4)), np.array([A], float), np.zeros(1)).shape == (3, 0)
