"""The detector on Detectron2's own engine: what `tools/d2_train_net.py` runs. Needs Detectron2 installed."""

import argparse
import os
import weakref
from collections.abc import Sequence

from detect.utils.errors import MissingExtraError

try:
    import detectron2.utils.comm as comm
except ModuleNotFoundError as error:
    if error.name != "detectron2":
        raise
    raise MissingExtraError(
        "tools/d2_train_net.py needs Detectron2, which is not installed; tools/train_net.py does without it. "
        "See https://detectron2.readthedocs.io/en/latest/tutorials/install.html"
    ) from None
from detectron2.checkpoint import DetectionCheckpointer
from detectron2.engine import DefaultTrainer, default_setup, launch
from detectron2.evaluation import DatasetEvaluators
from detectron2.utils.logger import setup_logger

from detect.config import check_read
from detect.data.catalog import set_datasets_root
from detect.engine.checkpoint import load_cfg_and_checkpoint
from detect.engine.solver import build_lr_scheduler, build_optimizer, clip_before_step, clip_norm
from detect.evaluation.report import summary_line
from detect.tasks.detection import DETECTION, build_evaluators, evaluation_batches
from detect.tasks.runner import checkpoint_entries, load_evaluated, settled
from detect.utils.comm import get_rank, get_world_size
from detect.utils.errors import explain_errors
from detect.utils.files import write_text

__all__ = ["launch", "run"]
UNREAD = ("SOLVER.ACCUMULATE", "SOLVER.EMA_DECAY", "SOLVER.KEEP_CHECKPOINTS", "SOLVER.SKIP_NOT_FINITE")


class Trainer(DefaultTrainer):
    """Detectron2's trainer with this project's data, solver, evaluators and complete checkpoints."""

    classes: Sequence[str] | None = None  # of the model; `run` sets it, and Detectron2 calls the methods of the class

    @classmethod
    def build_train_loader(cls, cfg):
        return DETECTION.training_batches(cfg, training_set(cfg), max(cfg.SEED, 0))

    @classmethod
    def build_test_loader(cls, cfg, dataset_name):
        dataset = DETECTION.load_set(dataset_name, cfg, cls.classes)
        return evaluation_batches(cfg, dataset, get_rank(), get_world_size())

    @classmethod
    def build_evaluator(cls, cfg, dataset_name):
        dataset = DETECTION.load_set(dataset_name, cfg, cls.classes)
        return DatasetEvaluators([build_evaluators(cfg, dataset, cls.classes)])

    @classmethod
    def build_optimizer(cls, cfg, model):
        optimizer = build_optimizer(cfg, model)
        if clip_norm(cfg) is not None:
            clip_before_step(optimizer, clip_norm(cfg))
        return optimizer

    @classmethod
    def build_lr_scheduler(cls, cfg, optimizer):
        return build_lr_scheduler(cfg, optimizer)

    def build_hooks(self):
        """As Detectron2's, over a checkpointer whose files hold what ours do."""
        model, data = self.checkpointer.model, training_set(self.cfg)
        cfg = settled(DETECTION, self.cfg, DETECTION.facts(model))
        if comm.is_main_process():
            write_text(os.path.join(cfg.OUTPUT_DIR, "config.yaml"), cfg.dump())
        entries = checkpoint_entries(DETECTION, cfg, model, data, max(cfg.SEED, 0))
        entries["tag"] = DETECTION.tag(cfg, data.classes)
        self.checkpointer = CompleteCheckpointer(model, self.cfg.OUTPUT_DIR, trainer=weakref.proxy(self))
        self.checkpointer.entries = entries
        return super().build_hooks()

    def resume_or_load(self, resume=True):
        super().resume_or_load(resume)
        if self.start_iter:  # the data go on where they were
            cfg, start = self.cfg, self.start_iter
            self._trainer.reset_data_loader(
                lambda: DETECTION.training_batches(cfg, training_set(cfg), max(cfg.SEED, 0), start)
            )


class CompleteCheckpointer(DetectionCheckpointer):
    """Detectron2's, which also writes `entries`."""

    entries: dict

    def save(self, name, **kwargs):
        super().save(name, **self.entries, **kwargs)


def training_set(cfg):
    return DETECTION.load_training_set(cfg.DATASETS.TRAIN[0], cfg)


@explain_errors()
def run(args: argparse.Namespace) -> None:
    """One process. `args`: what Detectron2's `default_setup` asks for, the parsed command line."""
    cfg, contents = load_cfg_and_checkpoint(args.config_file, args.opts, args.weights)
    check_read(cfg, DETECTION.reader, unread=UNREAD, tool="Detectron2's engine")
    set_datasets_root(cfg.DATASETS.ROOT)
    default_setup(cfg, args)
    setup_logger(cfg.OUTPUT_DIR, distributed_rank=comm.get_rank(), name="detect")
    if args.eval_only:
        model, _, Trainer.classes = load_evaluated(DETECTION, cfg, contents)
        results = Trainer.test(cfg, model)
    else:
        Trainer.classes = training_set(cfg).classes
        trainer = Trainer(DETECTION.fitted(cfg, training_set(cfg), Trainer.classes))
        trainer.resume_or_load(resume=args.resume)
        trainer.train()
        results = getattr(trainer, "_last_eval_results", None)  # train() returns them only for EXPECTED_RESULTS
    if comm.is_main_process() and results:
        first = results if "frame_ap" in results else next(iter(results.values()))
        print(summary_line(first["frame_ap"]["mAP"], cfg.TEST.IOU_THRESHOLD), flush=True)
