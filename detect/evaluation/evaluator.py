"""The evaluator that training and testing loops call: collects detections, scores them, writes the results."""

import logging
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from detect.d2 import DatasetEvaluator
from detect.evaluation import report
from detect.evaluation.coco import coco_scores
from detect.evaluation.files.formats import write_beside
from detect.evaluation.frame_ap import PRESETS, FrameAPOptions, evaluate_frame_ap
from detect.evaluation.predictions import Arrays, detections_of_frames, prediction_arrays, proposal_arrays
from detect.evaluation.proposals import LIMITS, best_overlaps, proposal_recall
from detect.evaluation.tables import GroundTruth
from detect.utils.comm import gather_object
from detect.utils.files import write_json
from detect.utils.provenance import code_version

if TYPE_CHECKING:
    from detect.data.records import ActionDataset

_OTHER = {"all": "annotated", "annotated": "all"}


class FrameAPEvaluator(DatasetEvaluator):
    """Frame-mAP of a dataset under one protocol, and under the other frame rule if that can differ.

    Args:
        dataset: classes, videos with names, sizes and tubes, annotation hash.
        options: the protocol, see `FrameAPOptions` and `PRESETS`.
        output_dir: where `detections`, `ground_truth` (tables that tools/evaluate.py reads, .parquet or .npz) and
            `results.json` go; None writes nothing.
        coco: also COCO-style AP50, AP50:95 and AR (slow).
        save_proposals: also write the table `proposals`, with label 0 and the objectness logit as score.
        provenance: further facts for `results.json`, such as seed, weights hash, iteration.
    """

    def __init__(
        self,
        dataset: "ActionDataset",
        options: FrameAPOptions = PRESETS["voc"],
        output_dir: str | Path | None = None,
        *,
        coco: bool = False,
        save_proposals: bool = False,
        provenance: Mapping[str, Any] | None = None,
    ) -> None:
        self._dataset, self._options, self._coco = dataset, options, coco
        self._save_proposals = save_proposals
        self._output_dir = None if output_dir is None else Path(output_dir)
        self._provenance = dict(provenance or {})
        self._logger = logging.getLogger(__name__)
        # Videos are numbered by sorted name, as when the written tables are read back.
        self._videos = sorted(dataset.videos, key=lambda video: video.name)
        self._number = {video.name: i for i, video in enumerate(self._videos)}
        table = dataset.ground_truth_table()
        renumber = np.array([self._number[video.name] for video in dataset.videos], dtype=np.int64)
        self._gt = GroundTruth(renumber[table["video"]], table["frame"], table["label"], table["boxes"])
        self.reset()

    def reset(self) -> None:
        self._frames: list[tuple[int, int]] = []  # (video number, frame) of every prediction, in order
        self._found: list[Arrays] = []  # of each frame
        self._overlaps: list[np.ndarray] = []  # (len(LIMITS), boxes) of each frame with proposals
        self._proposed: list[Arrays] = []  # like _found, if proposals are saved

    def process(self, inputs: list[dict], outputs: list[dict]) -> None:
        """Add the predictions of some frames.

        inputs: dicts with `video`, `frame_index` (0-based) and, to check the image size, `height`, `width`.
        outputs: a dict for each input, with `instances` (pred_boxes in pixels of the original frame, scores,
            pred_classes) and, for proposal recall, `proposals` (proposal_boxes, objectness_logits).
        Raises:
            ValueError: an unknown video or frame, boxes in another image size, a class out of range, a value that is
                not finite.
        """
        for item, output in zip(inputs, outputs, strict=True):
            video, frame = self._locate(item)
            name = f"{item['video']}#{frame}"
            self._frames.append((video, frame))
            self._found.append(self._arrays(output["instances"], item, name))
            if "proposals" in output:
                boxes, logits = self._proposals(output["proposals"], item, name)
                gt_boxes, _ = self._videos[video].boxes_at(frame)
                self._overlaps.append(best_overlaps(gt_boxes, boxes, logits))
                if self._save_proposals:
                    self._proposed.append((np.zeros(len(logits), np.int64), logits, boxes))

    def evaluate(self) -> OrderedDict:
        """{"frame_ap": {"mAP", "AP-<class>"}, ...} in [0, 1] on the main process, {} on the others.

        Also "frame_ap_annotated" or "frame_ap_all" where the dataset has frames without annotation,
        "coverage" (frames expected, predicted and missed), "coco" if requested, "proposals" if the outputs have them.
        Raises ValueError when a frame was predicted twice.
        """
        parts = gather_object((self._frames, self._found, self._overlaps, self._proposed))
        if not parts:
            return OrderedDict()
        frames = np.array([f for part in parts for f in part[0]], dtype=np.int64).reshape(-1, 2)
        found = [found for part in parts for found in part[1]]
        by_frame = np.lexsort(frames.T[::-1])  # the table does not depend on the number of processes
        det = detections_of_frames(frames[by_frame], [found[i] for i in by_frame])
        overlaps = [overlap for part in parts for overlap in part[2]]
        proposed = [boxes for part in parts for boxes in part[3]]
        proposed = detections_of_frames(frames[by_frame], [proposed[i] for i in by_frame]) if proposed else None

        coverage, missing = self._coverage(frames)
        results = OrderedDict()
        protocols = []
        for options in self._protocols():
            result = evaluate_frame_ap(self._gt, det, len(self._dataset.classes), options)
            per_class = {f"AP-{name}": float(ap) for name, ap in zip(self._dataset.classes, result.ap, strict=True)}
            key = "frame_ap" if options == self._options else f"frame_ap_{options.frames}"
            results[key] = {"mAP": result.mean, **per_class}
            protocols.append(report.result_dict(result, self._dataset.classes))
            self._logger.info(
                "%s, %s\n%s\n%s",
                self._dataset.name,
                report.protocol_line(options),
                report.class_table(result, self._dataset.classes),
                report.summary_line(result.mean, options.iou_threshold) + f" ({options.frames} frames)",
            )
        if self._coco:
            results["coco"] = coco_scores(self._gt, det, self._options.frames)
        if overlaps:
            every_truth = np.zeros((len(LIMITS), len(self._gt)))  # truths in frames without a prediction stay at 0
            paired = np.concatenate(overlaps, axis=1)
            every_truth[:, : paired.shape[1]] = paired
            results["proposals"] = proposal_recall(every_truth)
        results["coverage"] = coverage
        self._write({"detections": det, "proposals": proposed}, results, protocols, missing)
        return results

    def _locate(self, item: dict) -> tuple[int, int]:
        name, frame = item["video"], int(item["frame_index"])
        if name not in self._number:
            raise ValueError(
                f"prediction for the unknown video {name!r}; {self._dataset.name} has "
                f"{len(self._videos)} videos, such as {', '.join(list(self._number)[:3])}"
            )
        count = self._videos[self._number[name]].num_frames
        if not 0 <= frame < count:
            raise ValueError(f"prediction for frame {frame} of {name}, which has frames 0 to {count - 1}")
        return self._number[name], frame

    def _arrays(self, instances, item: dict, name: str) -> Arrays:
        _check_size(instances, item, name)
        labels, scores, boxes = prediction_arrays(instances)
        if not (np.isfinite(boxes).all() and np.isfinite(scores).all()):
            raise ValueError(f"{name}: a predicted box or score is not finite")
        classes = len(self._dataset.classes)
        if len(labels) and not 0 <= labels.min() <= labels.max() < classes:
            raise ValueError(f"{name}: predicted class {labels.min()} to {labels.max()}; expected 0 to {classes - 1}")
        return labels, scores, boxes

    def _proposals(self, proposals, item: dict, name: str) -> tuple[np.ndarray, np.ndarray]:
        _check_size(proposals, item, name)
        return proposal_arrays(proposals)

    def _protocols(self) -> list[FrameAPOptions]:
        annotated = len(np.unique(np.stack([self._gt.video, self._gt.frame]), axis=1).T)
        if annotated == self._dataset.num_labelled:
            return [self._options]
        return [self._options, replace(self._options, frames=_OTHER[self._options.frames])]

    def _coverage(self, frames: np.ndarray) -> tuple[dict[str, int], list[str]]:
        """Counts of frames, and the names of scored frames without a prediction."""
        unique, times = np.unique(frames, axis=0, return_counts=True)
        if len(unique) < len(frames):
            video, frame = unique[np.argmax(times)]
            raise ValueError(
                f"{self._videos[video].name}#{frame} was predicted {times.max()} times, and there are "
                f"{len(frames) - len(unique)} predictions too many; use a sampler that gives each frame once "
                "(no padding to equal shards)"
            )
        seen = set(map(tuple, unique.tolist()))
        expected = [
            (number, frame)
            for number, video in enumerate(self._videos)
            for frame in (
                video.annotated_frames() if self._options.frames == "annotated" else video.labelled_frames()
            ).tolist()
        ]
        missing = [f"{self._videos[video].name}#{frame}" for video, frame in expected if (video, frame) not in seen]
        if missing:
            self._logger.warning(
                "%d of %d frames of %s got no prediction, such as %s; their ground truth counts as missed",
                len(missing), len(expected), self._dataset.name, ", ".join(missing[:5]),
            )  # fmt: skip
        counts = {
            "frames_expected": len(expected),
            "frames_predicted": len(frames),
            "frames_missing": len(missing),
        }
        return counts, missing

    def _write(self, tables: dict, results: dict, protocols: list[dict], missing: list[str]) -> None:
        if self._output_dir is None:
            return
        names = [video.name for video in self._videos]
        facts = {"dataset": self._dataset.name, "annotation_hash": self._dataset.annotation_hash, **self._provenance}
        for name, table in {**tables, "ground_truth": self._gt}.items():
            classes = ("actor",) if name == "proposals" else self._dataset.classes
            if table is not None:
                write_beside(self._output_dir, name, table, names, classes, facts)
        write_json(
            self._output_dir / "results.json",
            {
                "results": results,
                "protocols": protocols,
                "provenance": {
                    "dataset": self._dataset.name,
                    "annotation_hash": self._dataset.annotation_hash,
                    "notes": list(self._dataset.notes),
                    "videos": len(self._videos),
                    "frames": self._dataset.num_frames,
                    "ground_truth_boxes": len(self._gt),
                    "detections": len(tables["detections"]),
                    "frames_without_prediction": missing[:100],
                    "protocol": asdict(self._options),
                    **code_version(),
                    **self._provenance,
                },
            },
        )


def _check_size(instances, item: dict, name: str) -> None:
    expected = (item.get("height"), item.get("width"))
    if None not in expected and tuple(instances.image_size) != expected:
        raise ValueError(
            f"{name}: boxes are in an image of {tuple(instances.image_size)} (height, width) but the frame "
            f"is {expected}; map them back to the original frame before scoring"
        )
