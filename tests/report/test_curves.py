"""What the charts draw: curves, the AP of some of the truths, and the numbers that are computed once for the page."""

from dataclasses import replace

import numpy as np
import pytest

from detect.data.records import ActionDataset, Tube
from detect.evaluation import PRESETS, FrameAPOptions, GroundTruth, evaluate_frame_ap, preset
from detect.evaluation.average_precision import COCO_THRESHOLDS
from detect.report.curves import Positives, curve, normalised_ap, parts
from detect.report.data import gather
from tests.report.small_set import KINDS, detections, small_set


def ranked(ranks, npos, truths=None) -> Positives:
    ranks = np.array(ranks)
    truths = np.arange(len(ranks)) if truths is None else np.array(truths)
    return Positives(ranks, 1.0 - ranks / 100, truths, npos)


def test_a_curve_is_the_envelope_or_the_raw_precision():
    """True ones at ranks 2, 3 and 6 of 4 truths: precision 1/2, 2/3, 3/6, whose envelope begins at 2/3."""
    recall, precision, score = curve(ranked([2, 3, 6], 4))
    assert recall.tolist() == [0.25, 0.5, 0.75] and score.tolist() == [0.98, 0.97, 0.94]
    assert precision == pytest.approx([2 / 3, 2 / 3, 0.5])
    assert curve(ranked([2, 3, 6], 4), envelope=False)[1] == pytest.approx([0.5, 2 / 3, 0.5])


def test_a_long_curve_is_thinned_and_keeps_its_ends():
    recall, _, _ = curve(ranked(range(1, 5001), 5000))
    assert len(recall) == 120 and recall[0] == 1 / 5000 and recall[-1] == 1.0


def test_no_true_positive_no_curve():
    assert [len(column) for column in curve(ranked([], 3))] == [0, 0, 0]


def test_normalised_ap_of_all_truths_is_voc_ap():
    member = np.ones(4, bool)
    assert normalised_ap(ranked([2, 3, 6], 4), member) == pytest.approx((2 / 3 + 2 / 3 + 0.5) / 4)


def test_normalised_ap_of_a_part():
    """Of 4 truths 2 are in the part; its true ones stand at ranks 3 and 6, behind 1 and 3 false ones, and the true one
    at rank 2 is left out. N / n = 2, so precision is 2 / (2 + 1) and 4 / (4 + 3), and the part's recall ends at 1.
    """
    member = np.array([False, True, True, False])
    assert normalised_ap(ranked([2, 3, 6], 4), member) == pytest.approx((2 / 3 + 4 / 7) / 2)


def test_normalised_ap_without_members_is_no_number():
    assert np.isnan(normalised_ap(ranked([1], 1), np.zeros(1, bool)))
    assert normalised_ap(ranked([], 1), np.ones(1, bool)) == 0.0


def test_parts_take_lower_edges_in_and_leave_empty_ranges_out():
    labels, values = np.array([0, 0, 1]), np.array([10, 20, 20])
    found = parts([ranked([1, 2], 2), ranked([2], 1, [2])], labels, values, (0, 10, 20, 30), ("low", "mid", "high"))
    assert [(part.name, part.truths, part.classes) for part in found] == [("mid", 1, 1), ("high", 2, 2)]
    assert found[1].mean == pytest.approx((1.0 + 0.5) / 2)


@pytest.mark.parametrize("name", list(PRESETS))
def test_numbers_of_the_page_are_those_of_the_evaluator(name):
    dataset, det = small_set(), detections(KINDS)
    gt = GroundTruth(**dataset.ground_truth_table())
    data = gather(dataset, det, preset(name))
    for threshold in COCO_THRESHOLDS:
        expected = evaluate_frame_ap(gt, det, 4, preset(name, iou_threshold=threshold))
        assert data.by_threshold[threshold] == pytest.approx(expected.ap, nan_ok=True)
    frames, mean = data.other_frames
    assert frames != data.options.frames
    assert mean == pytest.approx(evaluate_frame_ap(gt, det, 4, preset(name, frames=frames)).mean)
    assert data.scores.sum() == data.result.num_det.sum() and data.scores[0].sum() == data.result.num_tp.sum()


def test_numbers_of_the_small_set():
    """Walk: 18 truths, first the localisation error (.95), then six true ones; so its 18 first detections are all 9 of
    it. Class 1 has one detection, true; "never" no truth; "jump & run" two false ones and no truth.
    """
    data = gather(small_set(), detections(KINDS), FrameAPOptions())
    kinds = dict(zip(data.breakdown.categories, data.first[0].tolist(), strict=True))
    assert kinds == {"correct": 6, "localisation": 1, "classification": 0, "time": 1, "duplicate": 1, "background": 0}
    assert data.first[:, 0].tolist() == [6, 1, 0, 0] and data.first[2:].sum() == 0
    assert data.ranked[0].ranks.tolist() == [2, 3, 4, 5, 6, 7] and data.ranked[0].npos == 18
    assert [(part.name, part.truths) for part in data.areas] == [("10–30 %", 23)]  # 400 of 3072 pixels
    assert [(part.name, part.truths) for part in data.lengths] == [("1–15", 23)]


def test_examples_cover_every_kind_and_are_bounded():
    data = gather(small_set(), detections(KINDS), FrameAPOptions(), max_strips=9)
    kinds = [example.kind for example in data.examples]
    assert set(kinds) == {"localisation", "classification", "time", "duplicate", "background", "missed", "lost"}
    assert len(kinds) <= 9
    wrong = next(example for example in data.examples if example.kind == "classification")
    assert (wrong.video, wrong.frame, wrong.iou) == (1, 1, 1.0)
    assert len(gather(small_set(), detections(KINDS), FrameAPOptions(), max_strips=3).examples) == 3
    assert gather(small_set(), detections(KINDS), FrameAPOptions(), max_strips=0).examples == []


def first_box(tube: Tube) -> Tube:
    return Tube(tube.label, tube.frames[:1], tube.boxes[:1])


def test_single_boxes_have_no_length():
    dataset = small_set()
    videos = tuple(replace(video, tubes=tuple(map(first_box, video.tubes))) for video in dataset.videos)
    single = ActionDataset("single", dataset.classes, videos, "hash")
    assert gather(single, detections(KINDS[:1]), FrameAPOptions()).lengths == []
