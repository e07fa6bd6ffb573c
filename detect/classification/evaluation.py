"""From the logits of the parts of videos to a score for each video, top-1, top-5 and results.json."""

import logging
import re
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from detect.classification.records import VideoSet
from detect.classification.scores import NO_LABEL, Scores, accuracies, accuracy_lines, save_scores
from detect.utils.comm import all_gather_object, is_main_process
from detect.utils.errors import UserError
from detect.utils.files import list_bad_inputs, write_json
from detect.utils.provenance import code_version

logger = logging.getLogger(__name__)


class ScoreKeeper:
    """The score of each video: logits averaged over time, softmax, averaged over crops and clips.

    The parts of one view count by their frames. That is one pass over the whole view, where it is one part. Between
    parts of a longer one, layers with temporal extent see the border of the part instead of the next frames, and the
    gates of S3D-G average over the part; tests/classification/test_evaluation.py measures by how much that differs.
    """

    def __init__(self, num_classes: int):
        self.num_classes = num_classes
        self.scores: dict[int, np.ndarray] = {}  # video -> (K,) float32; of zeros where it could not be read
        self.errors: dict[int, str] = {}  # video -> why it could not be read
        self._open: dict[int, dict[int, tuple[np.ndarray, int]]] = {}  # video -> view -> sum of logits, frames

    def add(self, index: int, view: int, frames: int, logits: np.ndarray) -> None:
        """`logits` (K,) of a part of `frames` frames."""
        views = self._open.setdefault(index, {})
        total, count = views.get(view, (0.0, 0))
        views[view] = (total + frames * logits.astype(np.float64), count + frames)

    def close(self, index: int, error: str | None) -> None:
        """No more parts of this video will come."""
        views = self._open.pop(index, {})
        if error is None and not views:
            error = "it has no frames"
        if error is not None:
            self.errors[index] = error
            self.scores[index] = np.zeros(self.num_classes, np.float32)
            return
        mean = np.mean([softmax(total / count) for total, count in views.values()], axis=0)
        self.scores[index] = mean.astype(np.float32)


def softmax(logits: np.ndarray) -> np.ndarray:
    e = np.exp(logits - logits.max())
    return e / e.sum()


@torch.no_grad()
def score_videos(model: nn.Module, batches: Iterable[list[dict]], videos: VideoSet, count: int) -> ScoreKeeper:
    """Scores of the `count` videos whose parts `batches` has; see `build_video_loader`."""
    model.eval()
    keeper = ScoreKeeper(len(videos.classes))
    with tqdm(total=count, desc=f"test {videos.name}", unit="video", disable=not is_main_process()) as progress:
        for batch in batches:
            parts = [item for item in batch if "clip" in item]
            logits: Tensor | list = model(parts).cpu().numpy() if parts else []
            for item, row in zip(parts, logits, strict=True):
                if not np.isfinite(row).all():
                    raise UserError(
                        f"{videos.items[item['index']].name}: the network gives values that are not finite: its "
                        "checkpoint is damaged, or of a training that diverged"
                    )
                keeper.add(item["index"], item["view"], len(item["clip"]), row)
            for item in batch:
                if "end" in item:
                    keeper.close(item["index"], item["end"])
                    progress.update()
    return keeper


def evaluate_videos(
    model: nn.Module,
    batches: Iterable[list[dict]],
    videos: VideoSet,
    count: int,
    folder: Path,
    *,
    provenance: Mapping[str, Any],
    save: bool = False,
) -> dict[str, Any]:
    """Score this rank's videos, gather all on rank 0, write results.json (and scores.npz) to `folder`.

    Returns {"top1", "top5", "scores": path or None, "counts"} on rank 0, {} on the others. An unreadable video is
    wrong, is named in bad_inputs.txt two folders up (OUTPUT_DIR), and counted.
    """
    start = time.perf_counter()
    keeper = score_videos(model, batches, videos, count)
    gathered = all_gather_object((keeper.scores, keeper.errors))
    if not is_main_process():
        return {}
    found = _table(videos, {index: row for part, _ in gathered for index, row in part.items()})
    errors = {index: why for _, part in gathered for index, why in part.items()}
    top1, top5 = accuracies(found)
    counts = {"videos": len(videos.items), "unreadable": len(errors), "listed_without_media": len(videos.missing)}
    bad = [(videos.items[i], why) for i, why in sorted(errors.items())]
    bad = [(item.path, f"counted as wrong {item.name}: {why}") for item, why in bad]
    for _, message in bad:
        logger.warning("%s", message)
    list_bad_inputs(folder.parents[1] / "bad_inputs.txt", bad)
    _log(videos, counts, top1, top5, time.perf_counter() - start)
    result = {"dataset": videos.name, "modality": videos.modality, "top1": top1, "top5": top5, "counts": counts}
    facts = {**result, **provenance, "unreadable": [videos.items[i].name for i in sorted(errors)]}
    facts.update(annotation_hash=videos.annotation_hash, classes=list(videos.classes), notes=list(videos.notes))
    facts["source_hash"] = videos.annotation_hash  # its name in version 0.1
    facts.update(code_version())
    write_json(folder / "results.json", facts)
    path = folder / "scores.npz" if save else None
    if path:
        save_scores(path, found)
    return {**result, "scores": path and str(path)}


def _table(videos: VideoSet, scores: Mapping[int, np.ndarray]) -> Scores:
    return Scores(
        tuple(item.name for item in videos.items),
        np.array([NO_LABEL if item.label is None else item.label for item in videos.items], np.int64),
        np.array([scores[i] for i in range(len(videos.items))], np.float32).reshape(-1, len(videos.classes)),
        videos.classes,
    )


def _log(videos: VideoSet, counts: dict[str, int], top1, top5, seconds: float) -> None:
    text = ", ".join(accuracy_lines(top1, top5).splitlines())
    logger.info("%s: %s, %d videos in %.0f s", videos.name, text, counts["videos"], seconds)
    if counts["unreadable"]:
        logger.warning("%s: %d videos could not be read and count as wrong", videos.name, counts["unreadable"])
    if counts["listed_without_media"]:
        missing = counts["listed_without_media"]
        logger.warning("%s: %d listed videos are not there and not in these figures", videos.name, missing)


def folder_name(name: str) -> str:
    """The name of a set as a folder: `list:/data/my set.txt` -> `list_data_my_set.txt`."""
    return re.sub(r"[^\w.-]+", "_", name).strip("_")
