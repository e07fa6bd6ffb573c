"""Train and test a classifier from a config: what `tools/train_classifier.py` runs in every process."""

import argparse
import logging
from pathlib import Path
from typing import Any

from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from backbones import network_facts
from detect.classification.catalog import load_video_set
from detect.classification.clips import ClipMapper, TestPlan
from detect.classification.evaluation import evaluate_videos, folder_name
from detect.classification.loader import VideoDataset, build_test_loader
from detect.classification.model import (
    ActionClassifier,
    build_classifier,
    pixel_scale,
)
from detect.classification.records import VideoSet
from detect.classification.scores import accuracy_lines
from detect.config import load_cfg
from detect.d2 import CfgNode
from detect.data.catalog import set_datasets_root
from detect.data.loader import TooManyBadSamples, append_bad_inputs
from detect.engine.checkpoint import ActionCheckpointer
from detect.engine.defaults import default_setup
from detect.engine.detection import weights_hash
from detect.engine.distributed import barrier, get_rank, get_world_size, is_main_process
from detect.engine.errors import explain_errors
from detect.engine.training import can_resume, fit, share_buffers, training_stream
from detect.modeling.context_weights import check_network

logger = logging.getLogger(__name__)


@explain_errors()  # here too, so that it is one message in a process that `launch` started
def main(args: argparse.Namespace) -> dict[str, Any]:
    """One process of `tools/train_classifier.py`; returns the last test's results by set."""
    saving = ["TEST.SAVE_SCORES", True] if getattr(args, "save_scores", False) else []
    cfg = load_cfg(args.config_file, [*args.opts, *saving])
    if cfg.MODEL.META_ARCHITECTURE != "ActionClassifier":
        raise ValueError(
            f"MODEL.META_ARCHITECTURE is {cfg.MODEL.META_ARCHITECTURE}, this tool trains an ActionClassifier; give a "
            "config over configs/Base-ActionClassifier.yaml, or use tools/train_net.py"
        )
    set_datasets_root(cfg.DATASETS.ROOT)
    seed = default_setup(cfg, args)
    results = test_checkpoint(cfg, seed) if args.eval_only else train(cfg, seed, args.resume)
    if is_main_process():
        for name, result in results.items():
            print(name if result["scores"] is None else f"{name}\n{result['scores']}")
            print(accuracy_lines(result["top1"], result["top5"]), flush=True)
    return results


def train(cfg: CfgNode, seed: int, resume: bool) -> dict[str, Any]:
    """Train to SOLVER.MAX_ITER, testing as TEST.EVAL_PERIOD says; returns the last results by set.

    With SOLVER.EMA_DECAY the averaged network is the one that is tested and saved as "model"; the one that learns
    goes on beside it.
    """
    videos = training_set(cfg)
    for name in cfg.DATASETS.TEST:  # a wrong name or label map is found now, not after days
        get_videos(name, cfg, videos.classes)
    resume = can_resume(cfg, resume)
    model = build_classifier(cfg, videos.classes, initial_weights=not resume)
    logger.info("%s with %.2f M parameters", cfg.MODEL.CONTEXT.NAME, sum(p.numel() for p in model.parameters()) / 1e6)
    if cfg.MODEL.CONTEXT.NORM == "FrozenBN" and not (cfg.MODEL.WEIGHTS or cfg.MODEL.CONTEXT.WEIGHTS):
        logger.warning("MODEL.CONTEXT.NORM is FrozenBN without weights: set BN to train from scratch")
    tag = checkpoint_tag(cfg, videos)
    if not resume:
        load_weights(cfg, model, tag)
    options, tested = {}, model
    if cfg.SOLVER.EMA_DECAY:
        average = averaged(model.network, cfg.SOLVER.EMA_DECAY)
        tested = ActionClassifier(average.module, *pixel_scale(cfg)).to(cfg.MODEL.DEVICE)
        options = {"after_step": lambda: average.update_parameters(model.network), "learning": model.network}
    return fit(
        cfg,
        model,
        lambda start: training_batches(cfg, videos, seed, start),
        (lambda: test_all(cfg, tested, videos.classes, seed)) if cfg.DATASETS.TEST else None,
        resume=resume,
        saved=tested.network,
        tag=tag,
        entries=network_facts(model.network),
        **options,
    )


def averaged(network, decay: float) -> AveragedModel:
    """A copy of the network that after each `update_parameters` is decay * itself + (1 - decay) * the network."""
    if not 0 < decay < 1:
        raise ValueError(f"SOLVER.EMA_DECAY is {decay}; it must be 0 (none) or below 1, such as 0.9999")
    average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)
    average.n_averaged.fill_(1)  # or the first update would copy the network, in a resumed run too
    return average


def test_checkpoint(cfg: CfgNode, seed: int) -> dict[str, Any]:
    """Test MODEL.WEIGHTS on every set of DATASETS.TEST."""
    if not cfg.MODEL.WEIGHTS:
        raise ValueError("--eval-only needs a checkpoint: give MODEL.WEIGHTS <file>")
    if not cfg.DATASETS.TEST:
        raise ValueError("--eval-only needs DATASETS.TEST, the names of the sets to test on")
    videos = get_videos(cfg.DATASETS.TEST[0], cfg)
    model = build_classifier(cfg, videos.classes, initial_weights=False)
    load_weights(cfg, model, checkpoint_tag(cfg, videos))
    return test_all(cfg, model, videos.classes, seed)


def test_all(cfg: CfgNode, model: ActionClassifier, classes: tuple[str, ...], seed: int) -> dict[str, Any]:
    """Test on every set of DATASETS.TEST: {set: results}, {} on ranks above 0."""
    share_buffers(model)
    plan, results = TestPlan.from_config(cfg), {}
    rank, world = get_rank(), get_world_size()
    for name in cfg.DATASETS.TEST:
        videos = get_videos(name, cfg, classes)
        batches = build_test_loader(
            videos,
            plan,
            cfg.TEST.IMS_PER_BATCH,
            num_workers=cfg.DATALOADER.NUM_WORKERS,
            rank=rank,
            world_size=world,
        )
        result = evaluate_videos(
            model,
            batches,
            videos,
            len(range(rank, len(videos.items), world)),
            Path(cfg.OUTPUT_DIR) / "evaluation" / folder_name(name),
            provenance={"protocol": plan._asdict(), "seed": seed, "weights_hash": weights_hash(model.network)},
            save=cfg.TEST.SAVE_SCORES,
        )
        if result:
            results[name] = result
        barrier()
    return results


def load_weights(cfg: CfgNode, model: ActionClassifier, tag: dict[str, Any]) -> None:
    """Load MODEL.WEIGHTS if given; CheckpointError for another architecture, label map or scaling of pixels."""
    loaded = ActionCheckpointer(model.network, tag=tag).load(cfg.MODEL.WEIGHTS, checkpointables=[])
    if "network" in loaded and "preprocessing" in loaded:
        check_network(model.network, loaded, cfg.MODEL.WEIGHTS)


def checkpoint_tag(cfg: CfgNode, videos: VideoSet) -> dict[str, Any]:
    """What must agree between a checkpoint and the run that loads it, beyond the shapes of the arrays."""
    return {
        "meta_architecture": cfg.MODEL.META_ARCHITECTURE,
        "context": cfg.MODEL.CONTEXT.NAME,
        "modality": cfg.INPUT.MODALITY,
        "classes": list(videos.classes),
    }


def get_videos(name: str, cfg: CfgNode, classes: tuple[str, ...] | None = None) -> VideoSet:
    """A set by name; ValueError if it has no videos, or others than these classes in this order."""
    videos = load_video_set(name, modality=cfg.INPUT.MODALITY)
    if not videos.items:
        raise ValueError(f"{name}: none of its {len(videos.missing)} listed videos is there; see DATASETS.ROOT")
    if classes is not None and videos.classes != classes:
        own, other = ", ".join(videos.classes[:5]), ", ".join(classes[:5])
        raise ValueError(
            f"{name} has {len(videos.classes)} classes ({own}, ...), the model {len(classes)} ({other}, ...); they "
            "must be the same, in one order"
        )
    return videos


def training_set(cfg: CfgNode) -> VideoSet:
    """The set of DATASETS.TRAIN; TooManyBadSamples if a larger share than DATALOADER.MAX_BAD_SHARE is not there."""
    if len(cfg.DATASETS.TRAIN) != 1:
        raise ValueError(f"DATASETS.TRAIN is {cfg.DATASETS.TRAIN}; training takes exactly one set")
    videos = get_videos(cfg.DATASETS.TRAIN[0], cfg)
    for note in videos.notes:
        logger.warning("%s: %s", videos.name, note)
    listed, path = len(videos.items) + len(videos.missing), Path(cfg.OUTPUT_DIR) / "bad_inputs.txt"
    if not videos.missing:
        return videos
    if is_main_process():
        append_bad_inputs(path, [(name, f"listed in {videos.name}, but not there") for name in videos.missing])
    message = f"{videos.name}: {len(videos.missing)} of {listed} listed videos are not there; {path} names them all"
    logger.warning("%s", message)
    if len(videos.missing) > cfg.DATALOADER.MAX_BAD_SHARE * listed:
        raise TooManyBadSamples(
            f"{message}, the first are {', '.join(videos.missing[:10])}; tolerated is a share of "
            f"{cfg.DATALOADER.MAX_BAD_SHARE}. Get them, or raise DATALOADER.MAX_BAD_SHARE"
        )
    return videos


def training_batches(cfg: CfgNode, videos: VideoSet, seed: int, start_iter: int = 0):
    """See `training_stream`."""
    return training_stream(cfg, VideoDataset(videos), ClipMapper.from_config(cfg), seed, start_iter)
