"""Runs of equal rows, by hand and against a loop."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from detect.utils.runs import run_sizes, run_starts, within

COLUMN = st.lists(st.integers(0, 2), max_size=12)


def test_runs_by_hand():
    column = np.array([3, 3, 1, 3, 3, 3])
    starts = run_starts(column)
    assert starts.tolist() == [0, 2, 3] and run_sizes(starts, 6).tolist() == [2, 1, 3]
    assert run_starts(column, np.array([0, 1, 1, 1, 1, 0])).tolist() == [0, 1, 2, 3, 5]
    assert within(np.array([2, 0, 3])).tolist() == [0, 1, 0, 1, 2]


def test_no_rows():
    empty = np.empty(0, np.int64)
    starts = run_starts(empty), run_starts(empty, empty)
    for found in (*starts, run_sizes(empty, 0), within(empty), within(np.zeros(2, np.int64))):
        assert found.dtype == np.int64 and found.tolist() == []


@given(COLUMN)
def test_runs_put_together_are_the_column(values):
    column = np.array(values, np.int64)
    starts = run_starts(column)
    sizes = run_sizes(starts, len(column))
    assert np.repeat(column[starts], sizes).tolist() == values and (sizes > 0).all()
    assert within(sizes).tolist() == [row - max(s for s in starts if s <= row) for row in range(len(values))]
