"""A model's predictions of single frames as numpy arrays, and as one table."""

from collections.abc import Sequence

import numpy as np

from detect.evaluation.tables import Detections

Arrays = tuple[np.ndarray, np.ndarray, np.ndarray]  # label (n,) int64, score (n,) float32, boxes (n, 4) float32


def prediction_arrays(instances) -> Arrays:
    """Label, score and boxes of `Instances` with pred_classes, scores and pred_boxes (Boxes or a tensor)."""
    labels = instances.pred_classes.detach().cpu().numpy().astype(np.int64)
    return labels, _floats(instances.scores), _boxes(instances.pred_boxes)


def proposal_arrays(proposals) -> tuple[np.ndarray, np.ndarray]:
    """Boxes (n, 4) and objectness logits (n,), float32, of `Instances` with proposal_boxes and objectness_logits."""
    return _boxes(proposals.proposal_boxes), _floats(proposals.objectness_logits)


def detections_of_frames(places: Sequence[tuple[int, int]] | np.ndarray, found: Sequence[Arrays]) -> Detections:
    """One table of the predictions `found` of frames; places: (video number, frame) of each."""
    counts = np.array([len(label) for label, _, _ in found], np.int64)
    video, frame = np.repeat(np.array(places, np.int64).reshape(-1, 2), counts, axis=0).T
    none = np.zeros(0, np.int64), np.zeros(0, np.float32), np.zeros((0, 4), np.float32)
    label, score, boxes = (np.concatenate(column) for column in zip(none, *found, strict=True))
    return Detections(video, frame, label, score, boxes)


def _boxes(boxes) -> np.ndarray:
    return _floats(getattr(boxes, "tensor", boxes)).reshape(-1, 4)


def _floats(tensor) -> np.ndarray:
    return tensor.detach().float().cpu().numpy()
