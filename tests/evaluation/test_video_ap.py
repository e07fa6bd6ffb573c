"""Video-AP against a slow writing of each published script's rules, and by hand."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detect.data.records import Tube, VideoRecord
from detect.evaluation import tubes as tubes_module
from detect.evaluation.average_precision import COCO_THRESHOLDS
from detect.evaluation.tables import TableError
from detect.evaluation.tubes import contiguous, make_tubes, suppress_tubes, truth_tubes, tube_overlaps
from detect.evaluation.video_ap import VIDEO_PRESETS, evaluate_video_ap, video_preset
from detect.utils.errors import UserError

EVERY = dict.fromkeys(VIDEO_PRESETS)


def random_tubes(rng, count, videos=3, classes=2, truth=False):
    rows = []
    for _ in range(count):
        length = int(rng.integers(1, 12))
        corner = rng.uniform(0, 20, 2)
        box = np.r_[corner, corner + rng.uniform(10, 40, 2)]
        boxes = box + rng.normal(0, 2, (length, 1))
        score = 1.0 if truth else rng.random()
        rows.append((rng.integers(videos), rng.integers(classes), score, int(rng.integers(0, 8)), boxes))
    return rows


def box_iou(a, b, extra=0.0):
    width, height = (min(a[k + 2], b[k + 2]) - max(a[k], b[k]) + extra for k in (0, 1))
    common = max(width, 0) * max(height, 0)
    return common / (sum((c[2] - c[0] + extra) * (c[3] - c[1] + extra) for c in (a, b)) - common)


def overlap(det, gt, name):
    """Of two rows, as the script of preset `name` computes it."""
    first, last = max(det[3], gt[3]), min(det[3] + len(det[4]), gt[3] + len(gt[4])) - 1  # frames, inclusive
    if last < first or (name in ("peng", "gurkirt") and last == first):
        return 0.0
    either = max(det[3] + len(det[4]), gt[3] + len(gt[4])) - min(det[3], gt[3])
    values = []
    for frame in range(first, last + 1):
        a, b = det[4][frame - det[3]], gt[4][frame - gt[3]]
        if name == "gurkirt":  # [x y w h] + 1 of the detection alone, then rectangles
            x, y, w, h = a[0] + 1, a[1] + 1, a[2] - a[0] + 1, a[3] - a[1] + 1
            values.append(box_iou((x, y, x + w, y + h), b))
        else:
            values.append(box_iou(a, b, 0.0 if name == "voc" else 1.0))
    return np.mean(values) * (last - first + 1) / either


def plain_ap(hits, npos, name):
    """Area under the curve of a ranked list of bools."""
    if npos == 0:
        return 0.0 if name == "gurkirt" else np.nan
    true = np.cumsum(hits)
    precision, recall = true / np.arange(1, len(hits) + 1), true / npos
    if name == "act":
        precision, recall = np.r_[1.0, precision], np.r_[0.0, recall]
        return float(np.sum(np.diff(recall) * (precision[1:] + precision[:-1]) / 2))
    precision, recall = np.r_[0.0, precision, 0.0], np.r_[0.0, recall, 1.0]
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(recall) * precision[1:]))


def plain_video_map(truth, found, classes, threshold, name, nms):
    values = []
    for label in range(classes):
        rows = sorted((row for row in found if row[1] == label), key=lambda row: -row[2])
        kept = []
        for row in rows:
            rule = "act" if name == "gurkirt" else name  # both boxes grow by the same pixel
            if all(r[0] != row[0] or overlap(r, row, rule) <= nms for r in kept):
                kept.append(row)
        own = [row for row in truth if row[1] == label]
        taken, hits = set(), []
        for row in kept:
            candidates = [k for k, gt in enumerate(own) if gt[0] == row[0] and (name == "voc" or k not in taken)]
            best = max(candidates, key=lambda k: overlap(row, own[k], name), default=None)
            value = overlap(row, own[best], name) if best is not None else 0.0
            hit = (value > threshold if name == "gurkirt" else value >= threshold) and best not in taken
            hits.append(hit)
            if hit:
                taken.add(best)
        values.append(plain_ap(np.array(hits, bool), len(own), name))
    return float(np.nanmean(values))


@pytest.mark.parametrize("name", VIDEO_PRESETS)
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), nms=st.sampled_from([0.3, 0.6, 1.0]))
def test_equals_the_plain_rules(name, seed, nms):
    rng = np.random.default_rng(seed)
    truth, found = random_tubes(rng, 8, truth=True), random_tubes(rng, 30)
    found += [(*row[:2], rng.random(), row[3], row[4] + rng.normal(0, 3, row[4].shape)) for row in truth]
    result = evaluate_video_ap(make_tubes(truth), make_tubes(found), 3, video_preset(name, tube_nms=nms))
    for threshold in (0.2, 0.5, 0.75):
        assert result.mean[threshold] == pytest.approx(plain_video_map(truth, found, 3, threshold, name, nms))
    assert result.average == pytest.approx(np.mean([result.mean[t] for t in COCO_THRESHOLDS]))


SQUARE = np.array([[0, 0, 10, 10]], float)


def tube(video=0, label=0, score=1.0, start=0, length=4, boxes=SQUARE):
    return (video, label, score, start, np.repeat(boxes, length, 0) if len(boxes) == 1 else boxes)


def test_overlap_by_hand():
    # frames 0..3 and 2..5: 2 in common of 6; boxes 10 x 10 and 10 x 5: IoU 0.5 -> 0.5 * 2 / 6; with the pixel 66 / 121
    half = np.array([[0, 0, 10, 5]], float)
    a, b = make_tubes([tube()]), make_tubes([tube(start=2, boxes=half)])
    one = np.zeros(1, int)
    assert tube_overlaps(a, b, one, one) == pytest.approx([0.5 * 2 / 6])
    assert tube_overlaps(a, b, one, one, plus_one=True) == pytest.approx([66 / 121 * 2 / 6])
    assert tube_overlaps(a, b, one, one, spatial_only=True) == pytest.approx([0.5])
    # gurkirt: the detection becomes 1, 1 to 12, 12 (w and h 11): 9 x 9 in common with 0, 0 to 10, 10 of 100 + 121 - 81
    assert tube_overlaps(a, a, one, one, shift=1.0) == pytest.approx([81 / 140])


def test_interrupted_truth_counts_only_the_frames_with_boxes():
    boxes = contiguous(np.array([3, 5]), np.repeat(SQUARE, 2, 0))
    assert np.isnan(boxes).any(1).tolist() == [False, True, False]
    gt, det = make_tubes([(0, 0, 1.0, 3, boxes)]), make_tubes([tube(start=3, length=3)])
    assert tube_overlaps(det, gt, np.zeros(1, int), np.zeros(1, int)) == pytest.approx([2 / 3])


@pytest.mark.parametrize(("name", "expected"), [("voc", 1.0), ("act", 1.0), ("peng", 0.0), ("gurkirt", 0.0)])
def test_one_frame_tubes_are_legal(name, expected):
    one = make_tubes([tube(length=1)])
    assert evaluate_video_ap(one, one, 1, video_preset(name)).mean[0.5] == expected


@pytest.mark.parametrize("name", VIDEO_PRESETS)
def test_threshold_that_is_just_reached(name):
    # 2 of 4 frames: exactly 0.5, except where the boxes are shifted
    result = evaluate_video_ap(make_tubes([tube()]), make_tubes([tube(length=2)]), 1, video_preset(name, shift=0.0))
    assert result.mean[0.5] == (0.0 if name == "gurkirt" else 1.0)


def test_the_second_of_two_equal_truths():
    # both detections fit both truths; the best of all is the first truth for both, so the second detection is false
    truth, found = make_tubes([tube(), tube()]), make_tubes([tube(score=0.9), tube(score=0.8)])
    assert evaluate_video_ap(truth, found, 1, video_preset("voc", tube_nms=1)).mean[0.5] == 0.5
    assert evaluate_video_ap(truth, found, 1, video_preset("peng", tube_nms=1)).mean[0.5] == 1.0


@pytest.mark.parametrize("name", VIDEO_PRESETS)
def test_nothing_found_and_nothing_to_find(name):
    some, none = make_tubes([tube()]), make_tubes([])
    assert evaluate_video_ap(some, none, 1, video_preset(name)).mean[0.5] == 0.0
    empty = evaluate_video_ap(none, some, 1, video_preset(name)).mean[0.5]
    assert empty == 0.0 if name == "gurkirt" else np.isnan(empty)


def test_neither_table_is_changed():
    rng = np.random.default_rng(1)
    truth, found = make_tubes(random_tubes(rng, 9, truth=True)), make_tubes(random_tubes(rng, 20))
    before = [getattr(tubes, name).copy() for tubes in (truth, found) for name in vars(tubes)]
    first = evaluate_video_ap(truth, found, 2)
    assert first.mean == evaluate_video_ap(truth, found, 2).mean
    after = [getattr(tubes, name) for tubes in (truth, found) for name in vars(tubes)]
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one, other)


def test_suppression_keeps_the_best_of_each_class_and_video():
    rows = [tube(score=0.5), tube(score=0.9), tube(label=1, score=0.1), tube(video=1, score=0.2)]
    rows.append(tube(score=0.3, start=9))
    assert suppress_tubes(make_tubes(rows), 0.3).tolist() == [1, 2, 3, 4]


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), at_a_time=st.sampled_from([1, 7, 50]))
def test_suppression_in_parts_is_that_in_one(seed, at_a_time):
    tubes = make_tubes(random_tubes(np.random.default_rng(seed), 40, videos=2))
    whole = suppress_tubes(tubes, 0.2).tolist()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tubes_module, "_ROWS_AT_A_TIME", at_a_time)
        assert suppress_tubes(tubes, 0.2).tolist() == whole


def test_many_tubes_of_a_video_need_little_memory():
    """12.5 million pairs of 5,000 tubes would be 100 MB for each of several arrays."""
    rng = np.random.default_rng(0)
    rows = [tube(score=score, start=start) for score, start in zip(rng.random(5000), range(5000), strict=True)]
    tracemalloc.start()
    assert len(suppress_tubes(make_tubes(rows), 0.3)) < 5000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 150e6


def test_options_are_checked():
    for wrong in ({"ap_rule": "area"}, {"matching": "any"}, {"tube_nms": 0.0}):
        with pytest.raises(UserError):
            video_preset("act", **wrong)
    with pytest.raises(UserError, match="choose one of voc, act, peng, gurkirt"):
        video_preset("yowo2")


def test_an_annotated_tube_without_boxes_is_named():
    empty = Tube(0, np.empty(0, np.int64), np.empty((0, 4), np.float32))
    with pytest.raises(TableError, match="v: tube 0 has no boxes; a tube has one or more"):
        truth_tubes([VideoRecord("v", "v", 9, 9, 9, (empty,))], {"v": 0})
