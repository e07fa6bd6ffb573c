"""How well a detector fits a few keyframes, and which part of it falls short."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from detect.data.records import ActionDataset
from detect.evaluation.frame_ap import evaluate_frame_ap, preset
from detect.evaluation.predictions import detections_of_frames, prediction_arrays, proposal_arrays
from detect.evaluation.proposals import best_overlaps
from detect.evaluation.tables import GroundTruth
from detect.utils.iou import pairwise_iou

IOU, LOOSE_IOU = 0.5, 0.1
BEST = 3  # top-scoring detections of a truth's label among which its overlap is measured


@dataclass(frozen=True)
class Measures:
    """Measures on the keyframes of a set, each in 0..1.

    frame_map: at IoU 0.5.  loose_map: at IoU 0.1.  recall: share of truths with a proposal of IoU 0.5.  label_right:
    share of truths whose top-scoring detection of IoU 0.5, of any label, has their label.  overlap: mean IoU of a truth
    with the nearest of the `BEST` top-scoring detections of its label.  confused: (label, detected label) of truths
    whose label is wrong.
    """

    frame_map: float
    loose_map: float
    recall: float
    label_right: float
    overlap: float
    confused: tuple[tuple[int, int], ...] = ()

    def line(self) -> str:
        return (
            f"frame-mAP@{IOU} {self.frame_map:.3f}, @{LOOSE_IOU} {self.loose_map:.3f}; boxes that the RPN proposes "
            f"{self.recall:.2f}; labels right {self.label_right:.2f}; mean IoU with the best of the right label "
            f"{self.overlap:.2f}"
        )


def measure(dataset: ActionDataset, items: Sequence[dict], outputs: Sequence[dict], protocol: str) -> Measures:
    """items: mapped keyframes of all boxes of `dataset`; outputs: the model's. protocol: a preset of frame-AP."""
    number = {video.name: index for index, video in enumerate(dataset.videos)}
    places = [(number[item["video"]], int(item["frame_index"])) for item in items]
    found = [prediction_arrays(output["instances"]) for output in outputs]
    proposed = [proposal_arrays(output["proposals"]) for output in outputs]
    table = dataset.ground_truth_table()
    gt = GroundTruth(table["video"], table["frame"], table["label"], table["boxes"])
    det = detections_of_frames(places, found)
    maps = [
        evaluate_frame_ap(gt, det, len(dataset.classes), preset(protocol, iou_threshold=iou, frames="annotated")).mean
        for iou in (IOU, LOOSE_IOU)
    ]
    recalled, right, overlaps, confused = [], [], [], []
    for (video, frame), (labels, scores, boxes), (proposals, objectness) in zip(places, found, proposed, strict=True):
        truths, wanted = dataset.videos[video].boxes_at(frame)
        recalled += (best_overlaps(truths, proposals, objectness, (len(proposals),))[0] >= IOU).tolist()
        for truth, label in zip(truths, wanted.tolist(), strict=True):
            iou = pairwise_iou(np.repeat(truth[None], len(boxes), 0), boxes)
            overlaps.append(_overlap(iou, scores, labels == label))
            best = _best_label(iou, scores, labels)
            right.append(best == label)
            confused += [(label, best)] if best not in (label, None) else []
    shares = (float(np.mean(values)) if values else 0.0 for values in (recalled, right, overlaps))
    return Measures(*maps, *shares, tuple(confused))


def _overlap(iou: np.ndarray, scores: np.ndarray, own: np.ndarray) -> float:
    best = np.argsort(-scores[own], kind="stable")[:BEST]
    return float(iou[own][best].max()) if len(best) else 0.0


def _best_label(iou: np.ndarray, scores: np.ndarray, labels: np.ndarray) -> int | None:
    near = iou >= IOU
    return int(labels[near][np.argmax(scores[near])]) if near.any() else None
