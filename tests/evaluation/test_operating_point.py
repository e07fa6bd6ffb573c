"""The threshold that suits a detector."""

import json
import os

import numpy as np
import pytest

from detect.evaluation.frame_ap import evaluate_frame_ap
from detect.evaluation.operating_point import best_f1, evaluated_threshold
from detect.evaluation.report import result_dict
from detect.evaluation.tables import Detections, GroundTruth


def test_the_best_f1_by_hand():
    """4 truths. From 0.9: 2 of 2 are right, F1 = 4 / 6; from 0.6: 3 of 4, 6 / 8; from 0.3: 3 of 6, 6 / 10."""
    scores = np.array([1.0, 0.9, 0.8, 0.6, 0.4, 0.3, 0.0])
    point = best_f1(scores, np.array([1.0, 0.9, 0.6]), 4)
    assert point.threshold == pytest.approx(0.6, abs=1e-3) and 0.4 < point.threshold <= 0.6
    assert point[1:] == (6 / 8, 3 / 4, 3 / 4)
    assert best_f1(scores, scores[:0], 4) is None and best_f1(scores[:0], scores[:0], 0) is None
    assert best_f1(np.array([0.7]), np.array([0.7]), 1)[1:] == (1, 1, 1)  # one score only


def test_it_equals_trying_every_score():
    rng = np.random.default_rng(0)
    scores = np.round(rng.random(500), 2)
    hits = rng.random(500) < scores**2
    point = best_f1(scores, scores[hits], 200)
    tried = [2 * hits[scores >= t].sum() / ((scores >= t).sum() + 200) for t in np.unique(scores)]
    assert point.f1 == pytest.approx(max(tried))


def test_an_evaluation_writes_it_and_the_newest_is_read(tmp_path):
    boxes = np.array([[0.0, 0, 10, 10], [50.0, 0, 60, 10]])
    columns = [np.zeros(2, np.int64)] * 3
    result = evaluate_frame_ap(
        GroundTruth(*(c[:1] for c in columns), boxes[:1]), Detections(*columns, np.array([0.8, 0.3]), boxes), 1
    )
    weights, protocols = tmp_path / "model_final.pth", [result_dict(result, ["a"])]
    assert evaluated_threshold(weights, "abc") is None
    for age, (name, content) in enumerate({
        "new": {"protocols": protocols, "provenance": {"weights_hash": "abc", "dataset": "small_test"}},
        "of others": {"protocols": protocols, "provenance": {"weights_hash": "ab", "dataset": "small_test"}},
        "of whom": {"protocols": protocols, "provenance": {"weights_hash": None, "dataset": "small_test"}},
        "earlier": {"protocols": protocols}, "broken": {"protocols": []}, "odd": [1],
    }.items()):  # fmt: skip
        file = tmp_path / "evaluation" / name / "results.json"
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps(content))
        os.utime(file, (age, age))
    threshold, dataset, path = evaluated_threshold(weights, "abc")
    assert 0.3 < threshold <= 0.8 and dataset == "small_test" and path.parent.name == "new"
    assert evaluated_threshold(weights, "") is None
    assert result.best_f1[1:] == (1, 1, 1)
