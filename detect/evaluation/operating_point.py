"""The score from which a detector is best believed, and where an evaluation has written it down."""

import json
import logging
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from detect.utils.files import read_text

logger = logging.getLogger(__name__)
_BINS = 1000


class OperatingPoint(NamedTuple):
    """threshold: detections from this score on are taken; then f1, the harmonic mean of precision and recall."""

    threshold: float
    f1: float
    precision: float
    recall: float


def best_f1(scores: np.ndarray, true_scores: np.ndarray, npos: int) -> OperatingPoint | None:
    """The threshold of the best F1 = 2 TP / (detections + ground truth) over all classes, of _BINS between the lowest
    and the highest score; None where nothing is found.

    scores: (n,) of all detections.  true_scores: (k,) of the true positives among them.  npos: boxes of ground truth.
    """
    if not len(true_scores) or not npos:
        return None
    edges = np.linspace(scores.min(), scores.max(), _BINS + 1)
    span = float(edges[0]), float(edges[-1])
    found, hits = (np.cumsum(np.histogram(part, _BINS, span)[0][::-1])[::-1] for part in (scores, true_scores))
    f1 = 2 * hits / (found + npos)
    best = _BINS - 1 - int(f1[::-1].argmax())  # of equal ones the highest threshold
    numbers = edges[best], f1[best], hits[best] / found[best], hits[best] / npos
    return OperatingPoint(*map(float, numbers))


def evaluated_threshold(weights: str | os.PathLike) -> tuple[float, Path] | None:
    """The threshold of the newest evaluation beside a checkpoint (evaluation/*/results.json), and that file; None where
    there is none.
    """
    files = [path for path in Path(weights).parent.glob("evaluation/*/results.json") if path.is_file()]
    for path in sorted(files, key=lambda file: file.stat().st_mtime, reverse=True):
        try:
            threshold = json.loads(read_text(path))["protocols"][0]["best_f1"]["threshold"]
            if 0 <= threshold <= 1:
                return float(threshold), path
        except (ValueError, LookupError, TypeError) as error:  # of an earlier version, or of other code
            logger.debug("%s: no threshold: %s", path, error)
    return None
