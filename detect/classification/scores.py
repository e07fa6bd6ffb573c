"""Scores of videos: top-k accuracy, files of scores, and the fusion of several networks' scores."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from detect.data.label_checks import first_difference
from detect.utils.errors import UserError
from detect.utils.files import UnusableFileError, atomic_file
from detect.utils.safe_npz import NpzError, read_npz

NO_LABEL = -1


class Scores(NamedTuple):
    """Softmax scores of videos. A row of zeros belongs to a video that could not be read, and is never right."""

    names: tuple[str, ...]
    labels: np.ndarray  # (V,) int64, NO_LABEL where unknown
    scores: np.ndarray  # (V, K) float32
    classes: tuple[str, ...]


def top_k(scores: np.ndarray, labels: np.ndarray, k: int) -> float | None:
    """Share of the labelled videos whose label is among the k highest scores; None without labelled videos.

    Equal scores rank by class number. More than all classes are all classes.
    """
    known = labels != NO_LABEL
    if not known.any():
        return None
    best = np.argsort(-scores[known], axis=1, kind="stable")[:, :k]
    right = (best == labels[known, None]).any(1) & scores[known].any(1)
    return float(right.mean())


def accuracy_lines(top1: float | None, top5: float | None) -> str:
    """`top-1 = 0.xxx` and `top-5 = 0.xxx`, or that no video has a label."""
    if top1 is None:
        return "no video has a label, so there is no accuracy; the scores can be saved with --save-scores"
    return f"top-1 = {top1:.3f}\ntop-5 = {top5:.3f}"


def save_scores(path: str | os.PathLike, found: Scores) -> None:
    """Write `names`, `labels`, `scores`, `classes` as an .npz, at once or not at all."""
    with atomic_file(path) as file:
        np.savez_compressed(
            file, names=np.array(found.names, str), labels=found.labels, scores=found.scores,
            classes=np.array(found.classes, str),
        )  # fmt: skip


def load_scores(path: str | os.PathLike) -> Scores:
    """UserError for a file that `save_scores` did not write or that is not there."""
    try:
        data = read_npz(path)
        names, classes = (tuple(data[key].tolist()) for key in ("names", "classes"))
        found = Scores(names, data["labels"], data["scores"], classes)
    except OSError as error:
        raise UnusableFileError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (NpzError, KeyError) as error:
        raise UserError(f"{path}: not a file of scores (--save-scores writes them): {error}") from error
    shape = (len(names), len(classes))
    if found.scores.shape != shape or found.labels.shape != shape[:1] or len(set(names)) != len(names):
        raise UserError(
            f"{path}: scores {found.scores.shape}, labels {found.labels.shape}; expected {shape} and {shape[:1]} for "
            "its names, each once, and its classes"
        )
    return found


def fuse_scores(paths: Sequence[str | os.PathLike], weights: Sequence[float] | None = None) -> Scores:
    """The weighted mean of the scores of files for the same videos, aligned by name; the weights become shares.

    A video that one network could not read is judged by the others. UserError names the videos that not all
    files have, classes or labels that differ, and weights that are not one positive number for each file.
    """
    if len(paths) < 2:
        raise UserError(f"{len(paths)} file of scores; fusing takes two or more")
    weights = [1.0] * len(paths) if weights is None else list(weights)
    if len(weights) != len(paths) or not all(np.isfinite(weights)) or min(weights) <= 0:
        raise UserError(f"--weights {weights} for {len(paths)} files; expected one positive number for each")
    first, *others = (load_scores(path) for path in paths)
    mean = np.float64(first.scores) * weights[0]
    for path, weight, other in zip(paths[1:], weights[1:], others, strict=True):
        rows = _matching_rows(first, other, paths[0], path)
        mean += np.float64(other.scores[rows]) * weight
    return first._replace(scores=(mean / sum(weights)).astype(np.float32))


def _matching_rows(first: Scores, other: Scores, first_path, other_path) -> np.ndarray:
    """Where the videos of `first` stand in `other`."""
    if difference := first_difference(first.classes, other.classes, "in the first", "in the second"):
        raise UserError(f"{first_path} and {other_path} have different classes, or in another order: {difference}")
    problems = [
        f"{len(only)} videos are only in {path}: {', '.join(only[:10])}{', ...' if len(only) > 10 else ''}"
        for path, only in (
            (first_path, sorted(set(first.names) - set(other.names))),
            (other_path, sorted(set(other.names) - set(first.names))),
        )
        if only
    ]
    if problems:
        raise UserError("; ".join(problems))
    place = {name: row for row, name in enumerate(other.names)}
    rows = np.array([place[name] for name in first.names], np.int64)
    if (wrong := np.flatnonzero(first.labels != other.labels[rows])).size:
        name = first.names[wrong[0]]
        raise UserError(f"{first_path} and {other_path} differ in the labels of {wrong.size} videos, first {name}")
    return rows


def fuse(paths: Sequence[Path], weights: Sequence[float] | None, output: Path | None) -> None:
    """What tools/fuse_scores.py does: print each file's accuracy and that of all together."""
    fused = fuse_scores(paths, weights)
    for path in paths:
        alone = load_scores(path)
        print(f"{path}: {', '.join(accuracy_lines(*accuracies(alone)).splitlines())}")
    if output is not None:
        save_scores(output, fused)
        print(output)
    print(f"{len(fused.names)} videos\n{accuracy_lines(*accuracies(fused))}")


def accuracies(found: Scores) -> tuple[float | None, float | None]:
    """Top-1 and top-5."""
    return top_k(found.scores, found.labels, 1), top_k(found.scores, found.labels, 5)
