"""Train and evaluate the detector from a config: what `tools/train_net.py` runs in every process."""

import argparse
import difflib
import functools
import hashlib
import logging
import time
from collections import OrderedDict
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from torch import nn

from detect.config import load_cfg
from detect.d2 import CfgNode, DatasetCatalog
from detect.data import catalog  # noqa: F401  (registers the datasets)
from detect.data.catalog import set_datasets_root
from detect.data.clip_mapper import ClipMapper
from detect.data.loader import build_test_loader
from detect.data.records import ActionDataset, KeyframeDataset
from detect.engine.checkpoint import ActionCheckpointer
from detect.engine.defaults import default_setup
from detect.engine.distributed import barrier, get_rank, get_world_size, is_main_process
from detect.engine.errors import explain_errors
from detect.engine.training import can_resume, fit, share_buffers, training_stream
from detect.evaluation import FrameAPEvaluator, preset
from detect.evaluation.report import summary_line
from detect.modeling import build_model
from detect.pictures import draw_results

logger = logging.getLogger(__name__)
PROGRESS_SECONDS = 15.0  # between two progress lines of an evaluation


@explain_errors()  # here too, so that it is one message in a process that `launch` started
def main(args: argparse.Namespace) -> dict[str, Any]:
    """One process of `tools/train_net.py`; returns the last evaluation's results."""
    cfg = load_cfg(args.config_file, args.opts)
    set_datasets_root(cfg.DATASETS.ROOT)
    seed = default_setup(cfg, args)
    results = evaluate_checkpoint(cfg, seed) if args.eval_only else train(cfg, seed, args.resume)
    if is_main_process():
        for name, result in results.items():
            print(f"{name}: {result['pictures']}" if "pictures" in result else name)
            print(summary_line(result["frame_ap"]["mAP"], cfg.TEST.IOU_THRESHOLD), flush=True)
    return results


def train(cfg: CfgNode, seed: int, resume: bool) -> dict[str, Any]:
    """Train to SOLVER.MAX_ITER, evaluating as TEST.EVAL_PERIOD says; returns the last results by dataset."""
    dataset = training_set(cfg)
    resume = can_resume(cfg, resume)
    model = build_model(cfg, initial_weights=not resume)
    logger.info("%s with %.2f M parameters", type(model).__name__, sum(p.numel() for p in model.parameters()) / 1e6)
    warn_of_frozen_random_statistics(cfg)
    tag = checkpoint_tag(cfg, dataset)
    if not resume:
        ActionCheckpointer(model, tag=tag).load(cfg.MODEL.WEIGHTS, checkpointables=[])
    return fit(
        cfg,
        model,
        lambda start: training_batches(cfg, dataset, seed, start),
        (lambda: evaluate_all(cfg, model, seed)) if cfg.DATASETS.TEST else None,
        resume=resume,
        tag=tag,
    )


def evaluate_checkpoint(cfg: CfgNode, seed: int) -> dict[str, Any]:
    """Evaluate MODEL.WEIGHTS on every set of DATASETS.TEST."""
    if not cfg.MODEL.WEIGHTS:
        raise ValueError("--eval-only needs a checkpoint: give MODEL.WEIGHTS <file>")
    if not cfg.DATASETS.TEST:
        raise ValueError("--eval-only needs DATASETS.TEST, the names of the sets to evaluate on")
    model = build_model(cfg, initial_weights=False)
    tag = checkpoint_tag(cfg, get_dataset(cfg.DATASETS.TEST[0], cfg))
    ActionCheckpointer(model, tag=tag).load(cfg.MODEL.WEIGHTS, checkpointables=[])
    return evaluate_all(cfg, model, seed)


def checkpoint_tag(cfg: CfgNode, dataset: KeyframeDataset) -> dict[str, Any]:
    """What must agree between a checkpoint and the run that loads it, beyond the shapes of the arrays."""
    return {
        "meta_architecture": cfg.MODEL.META_ARCHITECTURE,
        "context": cfg.MODEL.CONTEXT.NAME,
        "classes": list(dataset.dataset.classes),
    }


def get_dataset(name: str, cfg: CfgNode) -> KeyframeDataset:
    """A registered dataset; rank 0 first, because the synthetic one is drawn when it is first asked for."""
    if name not in DatasetCatalog.list():
        legal = difflib.get_close_matches(name, DatasetCatalog.list()) or DatasetCatalog.list()
        raise ValueError(f"the dataset {name!r} of DATASETS is not registered; did you mean {', '.join(legal)}?")
    if is_main_process():
        dataset = DatasetCatalog.get(name)
    barrier()
    if not is_main_process():
        dataset = DatasetCatalog.get(name)
    classes = dataset.dataset.classes
    if len(classes) != cfg.MODEL.ROI_HEADS.NUM_CLASSES:
        raise ValueError(
            f"{name} has {len(classes)} classes, MODEL.ROI_HEADS.NUM_CLASSES is {cfg.MODEL.ROI_HEADS.NUM_CLASSES}"
        )
    return dataset


def warn_of_frozen_random_statistics(cfg: CfgNode) -> None:
    """Frozen batch normalisation needs the statistics of pretrained weights; without them little is learned."""
    if cfg.MODEL.WEIGHTS:
        return
    pairs = (("MODEL.CONTEXT.WEIGHTS", "MODEL.CONTEXT.NORM"), ("MODEL.BACKBONE.WEIGHTS", "MODEL.RESNETS.NORM"))
    for weights, norm in pairs:
        values = {name: functools.reduce(getattr, name.split("."), cfg) for name in (weights, norm)}
        if values[norm] == "FrozenBN" and not values[weights]:
            logger.warning("%s is empty and %s FrozenBN: give weights, or set BN to train from scratch", weights, norm)


def training_set(cfg: CfgNode) -> KeyframeDataset:
    if len(cfg.DATASETS.TRAIN) != 1:
        raise ValueError(f"DATASETS.TRAIN is {cfg.DATASETS.TRAIN}; training takes exactly one set")
    return get_dataset(cfg.DATASETS.TRAIN[0], cfg)


def training_batches(cfg: CfgNode, dataset: KeyframeDataset, seed: int, start_iter: int = 0):
    """See `training_stream`."""
    return training_stream(cfg, dataset, ClipMapper.from_config(cfg, is_train=True), seed, start_iter)


def evaluation_batches(cfg: CfgNode, dataset: KeyframeDataset):
    """This process's share of the keyframes of a set."""
    return build_test_loader(
        dataset,
        ClipMapper.from_config(cfg, is_train=False),
        cfg.TEST.IMS_PER_BATCH,
        # a sliding window costs 2 ms a keyframe; to another process and back costs more, worth it beside a GPU only
        num_workers=cfg.DATALOADER.NUM_WORKERS if cfg.MODEL.DEVICE.startswith("cuda") else 0,
        rank=get_rank(),
        world_size=get_world_size(),
    )


def build_evaluator(
    cfg: CfgNode, dataset: ActionDataset, model: nn.Module | None = None, seed: int | None = None
) -> FrameAPEvaluator:
    """The evaluator of a set, under the protocol TEST.PRESET, writing to OUTPUT_DIR/evaluation/<its name>."""
    frames = {"frames": cfg.TEST.FRAMES} if cfg.TEST.FRAMES else {}
    options = preset(cfg.TEST.PRESET, iou_threshold=cfg.TEST.IOU_THRESHOLD, **frames)
    provenance = {"seed": seed, "weights_hash": weights_hash(model) if model is not None else None}
    folder = Path(cfg.OUTPUT_DIR) / "evaluation" / dataset.name
    return FrameAPEvaluator(dataset, options, folder, coco=cfg.TEST.COCO, provenance=provenance)


def evaluate_all(cfg: CfgNode, model: nn.Module, seed: int | None = None) -> dict[str, Any]:
    """Evaluate on every set of DATASETS.TEST: {set: results}, {} on ranks above 0."""
    share_buffers(model)
    results: dict[str, Any] = OrderedDict()
    for name in cfg.DATASETS.TEST:
        dataset = get_dataset(name, cfg)
        evaluator = build_evaluator(cfg, dataset.dataset, model, seed)
        run_inference(model, evaluation_batches(cfg, dataset), evaluator)
        result = evaluator.evaluate()
        if is_main_process():
            if cfg.TEST.PICTURES:
                folder = Path(cfg.OUTPUT_DIR) / "pictures" / name
                mapper = ClipMapper.from_config(cfg, is_train=False)
                result["pictures"] = draw_results(model, dataset, mapper, folder, cfg.TEST.PICTURES)
            results[name] = result
        barrier()
    return results


@torch.no_grad()
def run_inference(model: nn.Module, batches, evaluator: FrameAPEvaluator) -> None:
    """Give the evaluator the model's detections on every batch, with progress in the log."""
    evaluator.reset()
    model.eval()
    done, start = 0, time.perf_counter()
    reported = start
    for batch in batches:
        evaluator.process(batch, model(batch))
        done += len(batch)
        now = time.perf_counter()
        if now - reported > PROGRESS_SECONDS:
            reported, each = now, (now - start) / done
            left = timedelta(seconds=int(each * (batches.num_keyframes - done)))
            logger.info("Keyframe %d of %d, %.3f s each, eta: %s", done, batches.num_keyframes, each, left)
    logger.info("%d keyframes in %s", done, timedelta(seconds=round(time.perf_counter() - start)))


def weights_hash(model: nn.Module) -> str:
    """sha256 over every name and value of the model's state."""
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
