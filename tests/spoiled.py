"""Files with one value replaced by one that makes no sense; each function rewrites its file and gives its path."""

import json
import pickle
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import scipy.io

HUGE = 10**400  # no float holds it
WRONG = (HUGE, 2**70, -(2**70), -1, 1.5, float("nan"), float("inf"), True, None, "", "x", [], [1], {}, [[]])
TEXTS = ("9" * 401, str(2**70), "-1", "1.5", "nan", "1e999", "", "x", "\0")


def spoiled(value, wrong=WRONG) -> Iterator:
    """Copies of nested lists and dicts, each with one value in them, or one list or dict, replaced."""
    yield from wrong
    if isinstance(value, dict):
        for key, inner in value.items():
            yield {other: one for other, one in value.items() if other != key}
            for changed in spoiled(inner, wrong):
                yield {**value, key: changed}
    elif isinstance(value, (list, tuple)):
        for place, inner in enumerate(value):
            for changed in spoiled(inner, wrong):
                yield type(value)([*value[:place], changed, *value[place + 1 :]])


def of_json(path: Path) -> Iterator[Path]:
    for content in spoiled(json.loads(path.read_text())):
        path.write_text(json.dumps(content))
        yield path
    path.write_text(f"[{'9' * 5000}]")  # more digits than Python reads
    yield path


def of_pickle(path: Path) -> Iterator[Path]:
    arrays = (np.ones(3), np.array(["x"]), np.full((2, 4), np.nan), np.full((2, 5), 1e300), np.full((1, 8), 1e300))
    for content in spoiled(pickle.loads(path.read_bytes(), encoding="latin1"), (*WRONG, *arrays)):
        path.write_bytes(pickle.dumps(content, 2))
        yield path


def of_text(path: Path, base: Path | None = None) -> Iterator[Path]:
    """Every number or word of a text file replaced."""
    text = path.read_text()
    for match in re.finditer(r"[\w.]+", text):
        for other in TEXTS:
            path.write_text(text[: match.start()] + other + text[match.end() :])
            yield base or path
    path.write_text(text)


def of_mat(path: Path, fields: dict, struct: Callable[[dict], np.ndarray]) -> Iterator[Path]:
    """Every field of a MATLAB struct replaced."""
    values = (-1.0, 1.5, np.nan, np.inf, 1e300, True, "", "x", [], np.ones((2, 3)), np.zeros((0, 4)), {"x": 1.0})
    for name in fields:
        for value in values:
            scipy.io.savemat(path, {"annot": struct({**fields, name: value})})
            yield path
