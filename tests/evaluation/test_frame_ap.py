"""Frame-AP: worked cases with arithmetic, every preset against the naive oracle, the published numbers."""

import json
import math

import numpy as np
import pytest
from box_tables import DETS, GTS, tables
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_frame_ap import naive_frame_ap
from reference_cases import CASES, PADILLA_AP, PADILLA_DETECTIONS, PADILLA_TRUTHS, REFERENCES, TFOD_OWN

from detect.evaluation import (
    PRESETS,
    Detections,
    FrameAPOptions,
    GroundTruth,
    evaluate_frame_ap,
    preset,
    read_tables,
)

A = (0, 0, 99, 99)
PRESET_OF_REFERENCE = {
    "ACT": "act", "PENG": "peng", "GURKIRT": "gurkirt", "YOWO": "yowo", "YOWO_11pt": "yowo_11pt",
    "TFOD": "tfod",
}  # fmt: skip


def ap(gts, dets, name, num_classes=1, **changes):
    return evaluate_frame_ap(*tables(gts, dets), num_classes, preset(name, **changes))


WORKED = {
    # Hits at ranks 1 and 3 of two truths: see test_average_precision. The miss is in frame 3, unannotated.
    "interpolation": (
        [(1, 0, A), (2, 0, A)], [(1, 0, 0.9, A), (3, 0, 0.8, A), (2, 0, 0.7, A)],
        {"act": 19 / 24, "yowo_11pt": 28 / 33, "": 5 / 6},
    ),
    "first detection false": ([(1, 0, A)], [(2, 0, 0.9, A), (1, 0, 0.8, A)], {"act": 1 / 4, "": 1 / 2}),
    # B = 100 x 80 of A's 100 x 100 (+1): IoU(A, B) = .8. The second detection of A's shape looks at A, taken.
    # Best-of-all: 1 of 2 truths, precision 1 -> 1/2 (six of eleven levels); best-unmatched: it takes B -> 1.
    "second-best truth": (
        [(1, 0, A), (1, 0, (0, 0, 99, 79))], [(1, 0, 0.9, A), (1, 0, 0.8, A)],
        {"voc": 1 / 2, "tfod": 1 / 2, "yowo": 1 / 2, "yowo_11pt": 6 / 11, "": 1},
    ),
    # With +1: 10 * 5 / (10 * 10) = .5 reaches; without: 9 * 4 / (9 * 9) = .444 does not.
    "plus one": (
        [(1, 0, (0, 0, 9, 9))], [(1, 0, 0.9, (0, 0, 9, 4))],
        {"voc": 0, "tfod": 0, "gurkirt": 0, "": 1},
    ),
    # Without +1: 10 * 5 / (10 * 10) = .5, and reaching is enough. With: 11 * 6 / (11 * 11) = .545.
    "exactly the threshold": ([(1, 0, (0, 0, 10, 10))], [(1, 0, 0.9, (0, 0, 10, 5))], {"": 1}),
    "tie, true one first": ([(1, 0, A)], [(1, 0, 0.9, A), (2, 0, 0.9, A)], {"tfod": 1 / 2, "": 1}),
    "tie, false one first": (
        [(2, 0, A)], [(1, 0, 0.9, A), (2, 0, 0.9, A)], {"act": 1 / 4, "tfod": 1, "": 1 / 2},
    ),
    "recall below one": (
        [(k, 0, A) for k in (1, 2, 3, 4)],
        [(1, 0, 0.9, A), (2, 0, 0.8, A), (3, 0, 0.7, (150, 150, 200, 200))],
        {"yowo_11pt": 6 / 11, "": 1 / 2},
    ),
    "duplicate": (
        [(1, 0, A), (2, 0, A)], [(1, 0, 0.9, A), (1, 0, 0.8, (1, 1, 99, 99)), (2, 0, 0.7, A)],
        {"act": 19 / 24, "yowo_11pt": 28 / 33, "": 5 / 6},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("case", WORKED)
def test_worked_case(case, name):
    gts, dets, expected = WORKED[case]
    result = ap(gts, dets, name, frames="all")
    assert result.mean == pytest.approx(expected.get(name, expected[""]), abs=1e-12)


def test_annotated_frames_only_drops_and_counts():
    gts, dets, _ = WORKED["first detection false"]
    result = ap(gts, dets, "voc", frames="annotated")
    assert (result.mean, result.dropped_unannotated, result.num_det.tolist()) == (1.0, 1, [1])
    assert ap(gts, dets, "voc").mean == 0.5
    assert PRESETS["yowo"].frames == PRESETS["yowo_11pt"].frames == "annotated"
    assert {row.frames for name, row in PRESETS.items() if not name.startswith("yowo")} == {"all"}


def test_frame_annotated_with_another_class_still_counts():
    gts, dets = [(1, 1, A), (2, 0, A)], [(1, 0, 0.9, A), (2, 0, 0.8, A)]
    assert ap(gts, dets, "voc", 2, frames="annotated").ap.tolist() == [0.5, 0.0]


def test_class_without_truth():
    gts, dets = [(1, 0, A), (1, 2, A)], [(1, 0, 0.9, A), (1, 1, 0.8, A)]
    left_out = ap(gts, dets, "voc", 3)
    assert left_out.mean == 0.5 and left_out.ap[[0, 2]].tolist() == [1, 0] and math.isnan(left_out.ap[1])
    zero = ap(gts, dets, "gurkirt", 3)
    assert zero.ap.tolist() == [1, 0, 0] and zero.mean == pytest.approx(1 / 3)


def test_degenerate_detections_are_dropped_by_tfod_and_false_elsewhere():
    flat = (50, 0, 50, 99)
    gts, dets = [(1, 0, A)], [(1, 0, 0.9, flat), (1, 0, 0.8, A)]
    dropped = ap(gts, dets, "tfod")
    assert (dropped.mean, dropped.dropped_degenerate) == (1.0, 1)
    assert ap(gts, dets, "voc").mean == 0.5


def test_tfod_ranks_ties_of_one_frame_in_input_order():
    # One frame, equal scores, miss listed first. TF-OD sorts argsort()[::-1] in the frame (hit, miss) and
    # once more over all (miss, hit): precision at the hit is 1/2.
    assert ap([(1, 0, A)], [(1, 0, 0.9, (200, 0, 299, 99)), (1, 0, 0.9, A)], "tfod").mean == 0.5


def test_tfod_matches_ties_of_one_frame_last_first():
    # Both detections fit the one truth. The last listed takes it, ranked behind the first: precision 1/2.
    assert ap([(1, 0, A)], [(1, 0, 0.9, A), (1, 0, 0.9, A)], "tfod").mean == 0.5
    assert ap([(1, 0, A)], [(1, 0, 0.9, A), (1, 0, 0.9, A)], "voc").mean == 1


def test_one_pixel_boxes():
    gts, dets = [(1, 0, (5, 5, 5, 5))], [(1, 0, 0.9, (5, 5, 5, 5))]
    assert ap(gts, dets, "act").mean == 1  # one pixel wide and high with +1
    assert ap(gts, dets, "voc").mean == 0  # no area without


def test_empty_tables():
    for name in PRESETS:
        missed = ap([(1, 0, A)], [], name)
        assert (missed.mean, missed.num_gt.tolist(), missed.num_det.tolist()) == (0.0, [1], [0])
        nothing, only_detections = ap([], [], name, 2), ap([], [(1, 0, 0.9, A)], name, 2, frames="all")
        for result in (nothing, only_detections):
            assert result.mean == 0 if name == "gurkirt" else math.isnan(result.mean)
        assert only_detections.num_det.tolist() == [1, 0]


def test_order_of_rows_does_not_matter_without_ties():
    rng = np.random.default_rng(0)
    n = 400
    frame, label = rng.integers(0, 20, n), rng.integers(0, 3, n)
    corner = rng.integers(0, 30, (n, 2))
    boxes = np.hstack([corner, corner + rng.integers(5, 30, (n, 2))]).astype(float)
    video = rng.integers(0, 3, n)
    gt = GroundTruth(video[:100], frame[:100], label[:100], boxes[:100])
    score, mix = rng.permutation(n) / n, rng.permutation(n)
    det = Detections(video, frame, label, score, boxes)
    mixed = Detections(video[mix], frame[mix], label[mix], score[mix], boxes[mix])
    for name in PRESETS:
        one, other = (evaluate_frame_ap(gt, table, 3, preset(name)) for table in (det, mixed))
        assert one.mean == other.mean > 0


def test_crowded_frame_in_portions(monkeypatch):
    gts = [(1, 0, (10 * i, 0, 10 * i + 10, 10)) for i in range(9)]
    dets = [(1, 0, 1 - i / 100, box) for i, (_, _, box) in enumerate(gts)]
    monkeypatch.setattr("detect.evaluation.frame_ap._PAIRS_AT_A_TIME", 4)
    assert ap(gts, dets, "voc").mean == 1


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="detection label 3; expected 0 to 1"):
        ap([(1, 0, A)], [(1, 3, 0.9, A)], "voc", 2)
    with pytest.raises(ValueError, match="unknown preset 'coco'; choose one of voc, tfod"):
        preset("coco")
    with pytest.raises(ValueError, match="iou_threshold is 0"):
        FrameAPOptions(iou_threshold=0)
    with pytest.raises(ValueError, match="matching is 'best'; choose one of best_of_all"):
        FrameAPOptions(matching="best")
    with pytest.raises(ValueError, match="ground-truth row 0.*negative side"):
        ap([(1, 0, (9, 0, 0, 9))], [], "voc")
    with pytest.raises(ValueError, match="Detections.score row 0 is not finite: nan"):
        ap([(1, 0, A)], [(1, 0, math.nan, A)], "voc")
    with pytest.raises(ValueError, match=r"Detections.boxes has shape \(1, 3\), expected \(1, 4\)"):
        Detections([0], [0], [0], [0.5], np.zeros((1, 3)))
    with pytest.raises(ValueError, match="frame 4611686018427387904 is too large a number"):
        ap([(2**62, 0, A)], [], "voc")


@pytest.mark.parametrize("frames", ["all", "annotated"])
@pytest.mark.parametrize("name", PRESETS)
@settings(max_examples=60, deadline=None)
@given(gts=GTS, dets=DETS, iou=st.sampled_from([0.3, 0.5, 0.75]))
def test_equals_the_naive_oracle(name, frames, gts, dets, iou):
    if name == "tfod":  # its tie order is defined frame by frame, in order of appearance
        first = {}
        dets = sorted(dets, key=lambda d: first.setdefault(d[:2], len(first)))
    options = preset(name, frames=frames, iou_threshold=iou)
    expected, mean = naive_frame_ap(gts, dets, 3, options)
    result = evaluate_frame_ap(*tables(gts, dets), 3, options)
    np.testing.assert_allclose(result.ap, expected, atol=1e-12)
    np.testing.assert_allclose(result.mean, mean, atol=1e-12)


# --- numbers of the reference code -------------------------------------------------------------------------


@pytest.mark.parametrize("reference", PRESET_OF_REFERENCE)
def test_small_cases_of_every_reference(reference):
    for name, (gts, dets, expected) in CASES.items():
        expected = expected[REFERENCES.index(reference)]
        result = ap(gts, dets, PRESET_OF_REFERENCE[reference], len(expected), frames="all")
        np.testing.assert_allclose(result.ap, expected, atol=1e-6, err_msg=name)


def test_small_cases_are_those_of_the_sample_data(real_data):
    cases = json.loads((real_data / "evaluator" / "small_cases.json").read_text())
    for case, (gts, dets, expected) in zip(cases.values(), CASES.values(), strict=True):
        assert case["gts"] == [["v", frame, label, *box] for frame, label, box in gts]
        assert case["dets"] == [["v", frame, label, score, *box] for frame, label, score, box in dets]
        for reference, values in zip(REFERENCES, expected, strict=True):
            theirs = case["expected_ap"][reference]
            theirs = [math.nan if theirs[str(i)] is None else theirs[str(i)] for i in range(case["L"])]
            np.testing.assert_allclose(values, theirs, atol=1e-7)


@pytest.mark.parametrize("name, points", [("yowo", "all points"), ("yowo_11pt", "11 points")])
def test_padillas_example(name, points):
    gts = [(image, 0, (x, y, x + w, y + h)) for image, x, y, w, h in PADILLA_TRUTHS]
    dets = [(image, 0, score, (x, y, x + w, y + h)) for image, score, x, y, w, h in PADILLA_DETECTIONS]
    assert ap(gts, dets, name, iou_threshold=0.3).mean == pytest.approx(PADILLA_AP[points], abs=0.5e-4)


def test_example_of_the_object_detection_api():
    gts, dets, expected, mean = TFOD_OWN
    result = ap(gts, dets, "tfod", 3)
    np.testing.assert_allclose(result.ap, expected, atol=1e-7)
    assert result.mean == pytest.approx(mean, abs=1e-7)


@pytest.mark.parametrize("reference", PRESET_OF_REFERENCE)
def test_real_detections_of_multisports(real_data, reference):
    folder = real_data / "evaluator"
    expected = json.loads((folder / "multisports_sample_expected.json").read_text())
    sample = "multisports_sample"
    gt, det, _ = read_tables(folder / f"{sample}_groundtruth.csv", folder / f"{sample}_detections.csv")
    options = preset(PRESET_OF_REFERENCE[reference], frames="all", classes_without_gt="excluded")
    mean = 100 * evaluate_frame_ap(gt, det, len(expected["labels"]), options).mean
    assert mean == pytest.approx(expected["harness_mAP"][reference], abs=1e-4)
    if reference == "TFOD":
        assert mean == pytest.approx(expected["published"]["frameAP"], abs=1e-4)  # 83.6506
    if reference == "ACT":
        assert mean == pytest.approx(83.2681, abs=1e-4)


@pytest.mark.parametrize("reference", PRESET_OF_REFERENCE)
def test_jhmdb_split1(real_data, reference):
    folder = real_data / "evaluator"
    expected = json.loads((folder / "jhmdb_split1_expected.json").read_text())
    gt, det, names = read_tables(folder / "jhmdb_split1_groundtruth.csv.gz", folder / "jhmdb_split1_detections.csv.gz")
    assert (len(gt), len(det), len(names)) == (expected["n_gt"], expected["n_det"], 268)
    own, everything = (
        evaluate_frame_ap(gt, det, len(expected["labels"]), preset(PRESET_OF_REFERENCE[reference], **changes))
        for changes in ({}, {"frames": "all"})
    )
    values = expected["results"][f"{reference}|all"]
    assert everything.mean == pytest.approx(values["mAP"], abs=1e-6)
    np.testing.assert_allclose(everything.ap, values["AP"], atol=1e-6)
    assert own.mean == everything.mean  # every frame of these videos is annotated
