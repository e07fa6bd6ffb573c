"""A classifier as a task: what `tools/train_classifier.py` runs."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

from backbones import network_facts
from detect.classification.catalog import load_video_set
from detect.classification.clips import EvalPlan, VideoClipMapper
from detect.classification.evaluation import evaluate_videos, folder_name
from detect.classification.loader import VideoDataset, build_video_loader
from detect.classification.model import ActionClassifier, build_classifier, inference_copy
from detect.classification.records import VideoSet
from detect.classification.scores import accuracy_lines
from detect.d2 import CfgNode
from detect.data.train_stream import TooManyBadSamples
from detect.engine.checkpoint import weights_hash
from detect.engine.fit import training_stream
from detect.modeling.context_weights import check_network, read_network
from detect.modeling.precision import inference_options
from detect.tasks.runner import Task
from detect.utils.comm import get_rank, get_world_size, is_main_process
from detect.utils.errors import UserError
from detect.utils.files import list_bad_inputs

logger = logging.getLogger(__name__)


class ClassificationTask(Task):
    reader = "classifier"

    def load_set(self, name: str, cfg: CfgNode, classes: Sequence[str] | None = None) -> VideoSet:
        """A set by name; UserError if it has no videos, or others than these classes in this order."""
        videos = load_video_set(name, modality=cfg.INPUT.MODALITY)
        if not videos.items:
            raise UserError(f"{name}: none of its {len(videos.missing)} listed videos is there; see DATASETS.ROOT")
        if classes is not None and videos.classes != tuple(classes):
            own, other = ", ".join(videos.classes[:5]), ", ".join(classes[:5])
            raise UserError(
                f"{name} has {len(videos.classes)} classes ({own}, ...), the model {len(classes)} ({other}, ...); they "
                "must be the same, in one order"
            )
        return videos

    def load_training_set(self, name: str, cfg: CfgNode) -> VideoSet:
        """TooManyBadSamples if a larger share than DATALOADER.MAX_BAD_SHARE of the listed videos is not there."""
        videos = self.load_set(name, cfg)
        for note in videos.notes:
            logger.warning("%s: %s", videos.name, note)
        if videos.missing:
            report_missing(videos, Path(cfg.OUTPUT_DIR) / "bad_inputs.txt", cfg.DATALOADER.MAX_BAD_SHARE)
        return videos

    def build(self, cfg: CfgNode, classes: Sequence[str], *, initial_weights: bool) -> ActionClassifier:
        model = build_classifier(cfg, classes, initial_weights=initial_weights)
        if (
            initial_weights
            and cfg.MODEL.CONTEXT.NORM == "FrozenBN"
            and not (cfg.MODEL.WEIGHTS or cfg.MODEL.CONTEXT.WEIGHTS)
        ):
            logger.warning("MODEL.CONTEXT.NORM is FrozenBN without weights: set BN to train from scratch")
        return model

    def saved(self, model: ActionClassifier) -> nn.Module:
        return model.network

    def tag(self, cfg: CfgNode, classes: Sequence[str]) -> dict[str, Any]:
        return {
            "meta_architecture": cfg.MODEL.META_ARCHITECTURE,
            "context": cfg.MODEL.CONTEXT.NAME,
            "modality": cfg.INPUT.MODALITY,
            "classes": list(classes),
        }

    def facts(self, model: ActionClassifier) -> dict[str, Any]:
        return network_facts(model.network)

    def normalisation(self, entries: dict[str, Any]) -> dict[str, Any] | None:
        return entries.get("preprocessing")

    def read(self, path: str) -> dict[str, Any]:
        return read_network(path)

    def check_weights(self, model: ActionClassifier, entries: dict[str, Any], path: str) -> None:
        if "network" in entries and "preprocessing" in entries:
            check_network(model.network, entries, path)

    def training_batches(self, cfg: CfgNode, dataset: VideoSet, seed: int, start_iter: int = 0):
        return training_stream(cfg, VideoDataset(dataset), VideoClipMapper.from_config(cfg), seed, start_iter)

    def rehearse(self, cfg: CfgNode, model: ActionClassifier, dataset: VideoSet, classes: Sequence[str]) -> None:
        for batch in evaluation_batches(cfg, dataset, cfg.TEST.IMS_PER_BATCH):
            if parts := [item for item in batch if "clip" in item]:
                model(parts)
                return
        raise UserError(f"{dataset.name}: none of its {len(dataset.items)} videos can be read")

    def bad_share(self, result: dict[str, Any]) -> float:
        return result["counts"]["unreadable"] / max(result["counts"]["videos"], 1)

    def evaluate(
        self, cfg: CfgNode, model: ActionClassifier, dataset: VideoSet, classes: Sequence[str], seed: int | None
    ) -> dict[str, Any]:
        plan = EvalPlan.from_config(cfg)
        rank, world = get_rank(), get_world_size()
        return evaluate_videos(
            inference_copy(model, **inference_options(cfg)),
            evaluation_batches(cfg, dataset, cfg.TEST.IMS_PER_BATCH, rank, world),
            dataset,
            len(range(rank, len(dataset.items), world)),
            Path(cfg.OUTPUT_DIR) / "evaluation" / folder_name(dataset.name),
            provenance={"protocol": plan._asdict(), "seed": seed, "weights_hash": weights_hash(model.network)},
            save=cfg.TEST.SAVE_SCORES,
        )

    def summary(self, cfg: CfgNode, name: str, result: dict[str, Any]) -> str:
        scores = [result["scores"]] if result["scores"] else []
        return "\n".join([name, *scores, accuracy_lines(result["top1"], result["top5"])])


CLASSIFICATION = ClassificationTask()


def evaluation_batches(cfg: CfgNode, videos: VideoSet, batch_size: int, rank: int = 0, world_size: int = 1):
    """The parts of the videos of this process, as the config's protocol tests them; see `build_video_loader`."""
    plan, workers = EvalPlan.from_config(cfg), cfg.DATALOADER.NUM_WORKERS
    return build_video_loader(videos, plan, batch_size, num_workers=workers, rank=rank, world_size=world_size)


def report_missing(videos: VideoSet, path: Path, tolerated: float) -> None:
    """Name the listed videos that are not there in `path`; TooManyBadSamples if they are more than that share."""
    listed = len(videos.items) + len(videos.missing)
    if is_main_process():
        list_bad_inputs(path, [(name, f"listed in {videos.name}, but not there") for name in videos.missing])
    message = f"{videos.name}: {len(videos.missing)} of {listed} listed videos are not there; {path} names them all"
    logger.warning("%s", message)
    if len(videos.missing) > tolerated * listed:
        raise TooManyBadSamples(
            f"{message}, the first are {', '.join(videos.missing[:10])}; tolerated is a share of {tolerated}. Get "
            "them, or raise DATALOADER.MAX_BAD_SHARE"
        )
