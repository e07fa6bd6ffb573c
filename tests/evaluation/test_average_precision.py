"""Golden values with their arithmetic; exact ranks under ties; the matcher."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detect.evaluation.average_precision import AP_RULES, average_precision, match, positive_ranks


@pytest.mark.parametrize(
    ("hits", "npos", "voc", "voc11", "act"),
    [
        # Precision at the hits 1/1, 2/3. VOC: (1 + 2/3)/2 = 5/6. 11 points: recall 0 to .5 see 1, .6 to 1
        # see 2/3: (6 + 5 * 2/3)/11 = 28/33. ACT: to recall .5 mean of 1 and 1; then of 1/2 (a miss), 2/3:
        # .5 * 1 + .5 * (1/2 + 2/3)/2 = 19/24.
        ([1, 0, 1], 2, 5 / 6, 28 / 33, 19 / 24),
        # A miss first. VOC and 11 points: 1/2 everywhere. ACT: from precision 0 to 1/2: 1/4.
        ([0, 1], 1, 1 / 2, 1 / 2, 1 / 4),
        # Recall stops at 2/4. VOC, ACT: 2/4 at precision 1. 11 points: 0 to .5 are six levels: 6/11.
        ([1, 1, 0], 4, 1 / 2, 6 / 11, 1 / 2),
        ([1], 1, 1.0, 1.0, 1.0),
        ([0, 0], 3, 0.0, 0.0, 0.0),
        ([], 5, 0.0, 0.0, 0.0),
        # Recall is exactly 3/10, a hair below linspace's ".3" = .30000000000000004: only 0, .1, .2.
        ([1, 1, 1], 10, 3 / 10, 3 / 11, 3 / 10),
    ],
)
def test_golden_values(hits, npos, voc, voc11, act):
    scores = -np.arange(len(hits), dtype=float)
    for rule, expected in zip(("voc_all_point", "voc_11_point", "act_trapezoid"), (voc, voc11, act), strict=True):
        assert average_precision(scores, np.array(hits, dtype=bool), npos, rule) == pytest.approx(expected, abs=1e-12)


def test_no_truth_is_not_a_number():
    for rule in AP_RULES:
        assert math.isnan(average_precision(np.array([0.5]), np.array([False]), 0, rule))


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="voc_12_point.*voc_all_point"):
        average_precision(np.zeros(1), np.zeros(1, bool), 1, "voc_12_point")
    with pytest.raises(ValueError, match="2 true positives for 1 truths"):
        average_precision(np.zeros(2), np.ones(2, bool), 1)


@given(st.lists(st.tuples(st.sampled_from([-0.0, 0.0, 0.1, 0.5, 0.9]), st.booleans(), st.integers(0, 3)), max_size=30))
def test_ranks_equal_those_of_a_full_stable_sort(rows):
    scores = np.array([row[0] for row in rows], dtype=float)
    key = np.array([row[2] for row in rows], dtype=int)
    positive = np.array([i for i, row in enumerate(rows) if row[1]], dtype=int)
    for tie_key in (None, lambda index: key[index]):
        order = sorted(range(len(rows)), key=lambda i: (-scores[i], 0 if tie_key is None else key[i], i))
        expected = sorted(order.index(i) + 1 for i in positive)
        if expected:
            assert positive_ranks(scores, positive, tie_key).tolist() == expected


# Two truths 0, 1 in one frame. Detection 5 (first) overlaps both, best with 0; so does detection 6.
PAIRS = dict(
    detection=np.array([5, 5, 6, 6]),
    truth=np.array([0, 1, 0, 1]),
    overlap=np.array([0.9, 0.8, 0.9, 0.8]),
    group=np.zeros(4, int),
)


def test_second_detection_takes_the_free_truth_or_none():
    priority = (np.array([-0.9, -0.9, -0.8, -0.8]), PAIRS["detection"])
    assert match(**PAIRS, priority=priority, rule="best_unmatched").tolist() == [5, 6]
    assert match(**PAIRS, priority=priority, rule="best_of_all").tolist() == [5]


def test_priority_decides_who_is_first():
    priority = (np.array([-0.7, -0.7, -0.8, -0.8]), PAIRS["detection"])
    assert match(**PAIRS, priority=priority, rule="best_of_all").tolist() == [6]


def test_equal_overlaps_go_to_the_lower_truth():
    # Detection 0 must take truth 3 and leave 4, or detection 1 (which fits only 4) would find nothing.
    hits = match(
        np.array([0, 0, 1]),
        np.array([4, 3, 4]),
        np.array([0.7, 0.7, 0.6]),
        np.zeros(3, int),
        (np.array([0, 0, 1]),),
    )
    assert hits.tolist() == [0, 1]


def test_groups_do_not_compete_and_empty_is_empty():
    hits = match(np.array([0, 1, 2]), np.array([0, 1, 1]), np.full(3, 0.6), np.array([0, 1, 1]), (np.array([0, 1, 2]),))
    assert hits.tolist() == [0, 1]
    none = np.zeros(0, int)
    assert match(none, none, np.zeros(0), none, (none,)).tolist() == []
    with pytest.raises(ValueError, match="hungarian"):
        match(none, none, np.zeros(0), none, (none,), rule="hungarian")
