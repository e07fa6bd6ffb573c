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


class EvaluatedThreshold(NamedTuple):
    """threshold: of the best F1 of an evaluation.  dataset: the name of the set.  path: of its results.json."""

    threshold: float
    dataset: str
    path: Path


def evaluated_threshold(weights: str | os.PathLike, weights_hash: str) -> EvaluatedThreshold | None:
    """Of the newest evaluation of the same weights beside a checkpoint (evaluation/*/results.json), or in the folder
    named after an exported file: the sha256 that it notes is `weights_hash`, see `detect.engine.checkpoint`. None where
    there is none.
    """
    folders = Path(weights).parent, Path(weights).with_suffix("")
    files = [path for folder in folders for path in folder.glob("evaluation/*/results.json") if path.is_file()]
    for path in sorted(files, key=lambda file: file.stat().st_mtime, reverse=True):
        try:
            found = json.loads(read_text(path))
            threshold, facts = found["protocols"][0]["best_f1"]["threshold"], found["provenance"]
            if 0 <= threshold <= 1 and facts["weights_hash"] == weights_hash:
                return EvaluatedThreshold(float(threshold), str(facts["dataset"]), path)
        except (ValueError, LookupError, TypeError) as error:  # of an earlier version, or of other code
            logger.debug("%s: no threshold: %s", path, error)
    return None
