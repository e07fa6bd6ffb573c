"""The detector as a task: what `tools/train_net.py` and `tools/d2_train_net.py` run."""

import logging
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from detect.classification.evaluation import folder_name
from detect.config import changed_keys
from detect.d2 import CfgNode, DatasetEvaluator
from detect.data import catalog
from detect.data.completeness import NO_TUBES
from detect.data.eval_stream import KeyframeLoader, build_keyframe_loader
from detect.data.keyframe_mapper import KeyframeMapper
from detect.data.label_checks import first_difference
from detect.data.records import KeyframeDataset, WithNeighbours
from detect.engine.checkpoint import weights_hash
from detect.engine.fit import training_stream
from detect.evaluation import FrameAPEvaluator, FrameAPOptions, preset
from detect.evaluation.report import summary_line
from detect.modeling import build_model, inference_copy
from detect.modeling.context import SECTIONS, stream_options
from detect.modeling.precision import inference_options
from detect.modeling.sharing import span_plan
from detect.tasks.every_frame import EveryFrame, every_nth
from detect.tasks.model_labels import left_out, require_known
from detect.tasks.report import report_of_run
from detect.tasks.runner import Task
from detect.tasks.sets import for_training, keyframe_set
from detect.utils.checkpoint_files import CheckpointError
from detect.utils.comm import barrier, get_rank, get_world_size, is_main_process
from detect.utils.errors import UserError
from detect.visualization.pictures import PictureDrawer

logger = logging.getLogger(__name__)
PROGRESS_SECONDS = 15.0  # between two progress lines of an evaluation


class DetectionTask(Task):
    reader = "detector"

    def load_set(self, name: str, cfg: CfgNode, classes: Sequence[str] | None = None) -> KeyframeDataset:
        """A registered dataset or `json:FILE`; rank 0 first, because the synthetic one is drawn on first use.

        A registered one must have the model's classes in their order, one's own some of them in any.
        """
        if is_main_process():
            dataset = keyframe_set(name)
        barrier()
        if not is_main_process():
            dataset = keyframe_set(name)
        check_classes(cfg, dataset, classes)
        return dataset

    def load_training_set(self, name: str, cfg: CfgNode) -> KeyframeDataset:
        dataset = for_training(self.load_set(name, cfg))
        if not any(video.tubes for video in dataset.dataset.videos):
            raise UserError(f"{name}: {NO_TUBES}")
        return dataset

    def saved_classes(self, contents: dict[str, Any]) -> Sequence[str] | None:
        tag = contents.get("tag")
        classes = tag.get("classes") if isinstance(tag, dict) else None
        known = isinstance(classes, list) and all(isinstance(label, str) for label in classes)
        return classes if known and classes else None

    def fitted(self, cfg: CfgNode, dataset: KeyframeDataset, classes: Sequence[str]) -> CfgNode:
        count = num_classes(cfg, dataset.name, classes)
        if count == cfg.MODEL.ROI_HEADS.NUM_CLASSES:
            return cfg
        logger.info("MODEL.ROI_HEADS.NUM_CLASSES: %d, one for each class of the model", count)
        return cfg.changed(["MODEL.ROI_HEADS.NUM_CLASSES", count])

    def build(self, cfg: CfgNode, classes: Sequence[str], *, initial_weights: bool) -> nn.Module:
        model = build_model(cfg, initial_weights)
        if initial_weights:
            warn_of_frozen_random_statistics(cfg)
        return model

    def saved(self, model: nn.Module) -> nn.Module:
        return model

    def tag(self, cfg: CfgNode, classes: Sequence[str]) -> dict[str, Any]:
        tag = {
            "meta_architecture": cfg.MODEL.META_ARCHITECTURE,
            "context": cfg.MODEL.CONTEXT.NAME,
            "classes": list(classes),
        }
        streams = list(cfg.MODEL.STREAMS)
        return tag if streams == ["rgb"] else {**tag, "streams": streams}

    def facts(self, model: nn.Module) -> dict[str, Any]:
        return {"preprocessing": model.preprocessing()} if hasattr(model, "preprocessing") else {}

    def normalisation(self, entries: dict[str, Any]) -> dict[str, Any] | None:
        return entries.get("preprocessing", {}).get("context")

    def check_weights(self, model: nn.Module, entries: dict[str, Any], path: str) -> None:
        found, own = entries.get("preprocessing"), self.facts(model).get("preprocessing")
        sections = {"keyframe": "MODEL", "context": "MODEL.CONTEXT", "flow": "MODEL.FLOW"}
        for branch in own if found and own else ():
            key = sections[branch]
            for name in ("mean", "std"):
                theirs, ours = found[branch][name], own[branch][name]
                if not np.allclose(theirs, ours, rtol=1e-5):
                    wanted = f'{key}.PIXEL_{name.upper()} "{theirs}"'
                    raise CheckpointError(f"{path}: was trained with another normalisation than {ours}; set {wanted}")

    def training_batches(self, cfg: CfgNode, dataset: KeyframeDataset, seed: int, start_iter: int = 0):
        plan = span_plan(cfg, is_train=True)
        mapper = KeyframeMapper.from_config(cfg, is_train=True, plan=plan)
        samples = WithNeighbours(dataset, plan) if plan.shares else dataset
        return training_stream(cfg, samples, mapper, seed, start_iter)

    def rehearse(self, cfg: CfgNode, model: nn.Module, dataset: KeyframeDataset, classes: Sequence[str]) -> None:
        evaluator = build_evaluators(cfg, dataset, classes)
        batch = next(iter(evaluation_batches(cfg, dataset)), None)
        if batch is None:
            raise UserError(f"{dataset.name}: no keyframe of it can be read; see DATASETS.TEST and DATASETS.ROOT")
        evaluator.process(batch, model(batch))

    def bad_share(self, result: dict[str, Any]) -> float:
        coverage = result["coverage"]
        return coverage["frames_missing"] / max(coverage["frames_expected"], 1)

    def evaluate(
        self, cfg: CfgNode, model: nn.Module, dataset: KeyframeDataset, classes: Sequence[str], seed: int | None
    ) -> dict[str, Any]:
        every_frame = build_evaluators(cfg, dataset, classes, model, seed)
        batches = evaluation_batches(cfg, dataset, get_rank(), get_world_size())
        run_inference(self.for_inference(cfg, model), batches, every_frame)
        result = every_frame.evaluate()
        drawers = [evaluator for evaluator in every_frame.evaluators if isinstance(evaluator, PictureDrawer)]
        written = {kind: path for drawer in drawers for kind, path in drawer.written.items()}
        if cfg.TEST.REPORT and is_main_process():
            rules = protocol(cfg), cfg.TEST.PRESET
            written["report"] = str(report_of_run(Path(cfg.OUTPUT_DIR), dataset.dataset, *rules))
        return {**result, "written": written} if written else result

    def for_inference(self, cfg: CfgNode, model: nn.Module) -> nn.Module:
        return inference_copy(model, **inference_options(cfg))

    def summary(self, cfg: CfgNode, name: str, result: dict[str, Any]) -> str:
        heading = f"{name}: {result['written']}" if "written" in result else name
        return f"{heading}\n{summary_line(result['frame_ap']['mAP'], cfg.TEST.IOU_THRESHOLD)}"


DETECTION = DetectionTask()


def num_classes(cfg: CfgNode, name: str, classes: Sequence[str]) -> int:
    """MODEL.ROI_HEADS.NUM_CLASSES; where it is the default, and the set one's own, that of the model's classes."""
    given = cfg.MODEL.ROI_HEADS.NUM_CLASSES
    is_default = "MODEL.ROI_HEADS.NUM_CLASSES" not in changed_keys(cfg)
    return len(classes) if is_default and catalog.is_own(name) else given


def check_classes(cfg: CfgNode, dataset: KeyframeDataset, classes: Sequence[str] | None) -> None:
    """UserError where a model of these classes, by default the set's, cannot be evaluated on the set."""
    name, found, own = dataset.name, dataset.classes, catalog.is_own(dataset.name)
    of_model = found if classes is None else classes
    counted = of_model if own else found
    count = num_classes(cfg, name, of_model)
    if len(counted) != count:
        who, hint = (name if counted is found else "the model"), ("; leave that key out" if own else "")
        raise UserError(f"{who} has {len(counted)} classes, MODEL.ROI_HEADS.NUM_CLASSES is {count}{hint}")
    if own:
        require_known(name, found, of_model)
    elif other := first_difference(found, of_model, "there", "in the model"):
        raise UserError(f"{name} has other classes than the model, or in another order: {other}")


def warn_of_frozen_random_statistics(cfg: CfgNode) -> None:
    """Frozen batch normalisation needs the statistics of pretrained weights; without them little is learned."""
    for name, where in frozen_at_random(cfg).items():
        logger.warning(
            "%s.WEIGHTS is empty and %s.NORM FrozenBN: give weights, or set BN to train from scratch", name, where
        )


def frozen_at_random(cfg: CfgNode) -> dict[str, str]:
    """Networks whose batch normalisation is frozen though they start from no weights -> the section of their NORM."""
    if cfg.MODEL.WEIGHTS:
        return {}
    streams = {SECTIONS[stream]: stream_options(cfg, stream) for stream in cfg.MODEL.STREAMS}
    norms = {"MODEL.BACKBONE": ("MODEL.RESNETS", cfg.MODEL.BACKBONE.WEIGHTS, cfg.MODEL.RESNETS.NORM)}
    norms |= {name: (name, options.WEIGHTS, options.NORM) for name, options in streams.items()}
    return {name: where for name, (where, weights, norm) in norms.items() if norm == "FrozenBN" and not weights}


def evaluation_batches(cfg: CfgNode, dataset: KeyframeDataset, rank: int = 0, world_size: int = 1) -> KeyframeLoader:
    """A process's share of the keyframes of a set, in batches of about as many frames as those of windows."""
    plan = span_plan(cfg, is_train=False)
    return build_keyframe_loader(
        every_nth(dataset, cfg.TEST.KEYFRAME_STRIDE),
        KeyframeMapper.from_config(cfg, is_train=False, plan=plan),
        max(1, cfg.TEST.IMS_PER_BATCH * plan.window // max(plan.window, plan.length)),
        # a sliding window costs 2 ms a keyframe; to another process and back costs more, worth it beside a GPU only
        num_workers=cfg.DATALOADER.NUM_WORKERS if cfg.MODEL.DEVICE.startswith("cuda") else 0,
        rank=rank,
        world_size=world_size,
    )


def protocol(cfg: CfgNode) -> FrameAPOptions:
    """TEST.PRESET with TEST.IOU_THRESHOLD and, where it is given, TEST.FRAMES."""
    frames = {"frames": cfg.TEST.FRAMES} if cfg.TEST.FRAMES else {}
    return preset(cfg.TEST.PRESET, iou_threshold=cfg.TEST.IOU_THRESHOLD, **frames)


def build_evaluators(
    cfg: CfgNode,
    dataset: KeyframeDataset,
    classes: Sequence[str] | None = None,
    model: nn.Module | None = None,
    seed: int | None = None,
) -> EveryFrame:
    """Scores under the protocol TEST.PRESET, to OUTPUT_DIR/evaluation/<set>; pictures, to OUTPUT_DIR/pictures/<set>.

    classes: of the model, by default the set's; all that is written has the set's.
    """
    provenance = {"seed": seed, "weights_hash": weights_hash(model) if model is not None else None}
    if lacking := left_out(classes or (), dataset.classes):
        provenance["classes_left_out"] = lacking
    output = Path(cfg.OUTPUT_DIR)
    evaluator = FrameAPEvaluator(
        dataset.dataset,
        protocol(cfg),
        output / "evaluation" / folder_name(dataset.name),
        coco=cfg.TEST.COCO,
        save_proposals=cfg.TEST.SAVE_PROPOSALS,
        provenance=provenance,
    )
    drawer = PictureDrawer(dataset, output / "pictures" / folder_name(dataset.name), cfg.TEST.PICTURES)
    return EveryFrame(dataset, cfg.TEST.KEYFRAME_STRIDE, [evaluator, drawer], classes)


@torch.no_grad()
def run_inference(model: nn.Module, batches: KeyframeLoader, evaluator: DatasetEvaluator) -> None:
    """Give the evaluator the model's detections on every batch, with progress in the log."""
    evaluator.reset()
    model.eval()
    done, start = 0, time.perf_counter()
    reported = start
    for batch in batches:
        outputs = model(batch)
        evaluator.process(batch, outputs)
        done += len(outputs)
        now = time.perf_counter()
        if now - reported > PROGRESS_SECONDS:
            reported, each = now, (now - start) / done
            left = timedelta(seconds=int(each * (batches.num_keyframes - done)))
            logger.info("Keyframe %d of %d, %.3f s each, eta: %s", done, batches.num_keyframes, each, left)
    logger.info("%d keyframes in %s", done, timedelta(seconds=round(time.perf_counter() - start)))
