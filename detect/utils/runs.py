"""Rows that come in groups: where each group begins, how large it is, and the position of a row within its group."""

import numpy as np


def run_starts(*columns: np.ndarray) -> np.ndarray:
    """(k,) int64, increasing: the first row of each run of equal rows in one or more columns (n,)."""
    new = np.ones(len(columns[0]), bool)
    new[1:] = False
    for column in columns:
        new[1:] |= column[1:] != column[:-1]
    return np.flatnonzero(new)


def run_sizes(starts: np.ndarray, count: int) -> np.ndarray:
    """(k,) int64: the sizes of the runs that begin at `starts` (k,) in `count` rows."""
    return np.diff(starts, append=count)


def within(sizes: np.ndarray) -> np.ndarray:
    """(sum of `sizes`,) int64: 0, 1, ..., sizes[0] - 1, then 0, 1, ..., sizes[1] - 1, and so on; `sizes` (k,) int."""
    ends = np.cumsum(sizes, dtype=np.int64)
    return np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - sizes, sizes)
