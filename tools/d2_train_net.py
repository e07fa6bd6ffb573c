#!/usr/bin/env python
"""Train or evaluate the action detector with Detectron2's own engine, DefaultTrainer.

The same configs, datasets and evaluation as tools/train_net.py; needs Detectron2 installed. What differs is the
engine's: SOLVER.AMP is float16, SOLVER.ACCUMULATE must be 1, `--resume` does not restore random states, and no pictures
are drawn.

  tools/d2_train_net.py --config-file configs/quickstart.yaml [--num-gpus N] [--resume] [--eval-only] [KEY VALUE ...]
"""

import sys

try:
    import detectron2.utils.comm as comm
except ModuleNotFoundError as error:
    if error.name != "detectron2":
        raise
    sys.exit(
        "error: tools/d2_train_net.py needs Detectron2, which is not installed; tools/train_net.py does without it. "
        "See https://detectron2.readthedocs.io/en/latest/tutorials/install.html"
    )
from detectron2.engine import DefaultTrainer, default_argument_parser, default_setup, launch
from detectron2.utils.logger import setup_logger

import detect.modeling  # noqa: F401  (registers the components)
from detect.config import load_cfg
from detect.data.catalog import set_datasets_root
from detect.engine.checkpoint import ActionCheckpointer
from detect.engine.defaults import tune_malloc
from detect.engine.detection import build_evaluator, evaluation_batches, get_dataset, training_batches, training_set
from detect.engine.errors import explain_errors
from detect.engine.solver import build_lr_scheduler, build_optimizer, clip_before_step, clip_norm
from detect.evaluation.report import summary_line


class Trainer(DefaultTrainer):
    """Detectron2's trainer with this project's data, solver and evaluator."""

    @classmethod
    def build_train_loader(cls, cfg):
        return training_batches(cfg, training_set(cfg), max(cfg.SEED, 0))

    @classmethod
    def build_test_loader(cls, cfg, dataset_name):
        return evaluation_batches(cfg, get_dataset(dataset_name, cfg))

    @classmethod
    def build_evaluator(cls, cfg, dataset_name):
        return build_evaluator(cfg, get_dataset(dataset_name, cfg).dataset)

    @classmethod
    def build_optimizer(cls, cfg, model):
        optimizer = build_optimizer(cfg, model)
        if clip_norm(cfg) is not None:
            clip_before_step(optimizer, clip_norm(cfg))
        return optimizer

    @classmethod
    def build_lr_scheduler(cls, cfg, optimizer):
        return build_lr_scheduler(cfg, optimizer)

    def resume_or_load(self, resume=True):
        super().resume_or_load(resume)
        if self.start_iter:  # the data go on where they were
            cfg = self.cfg
            self._trainer.reset_data_loader(
                lambda: training_batches(cfg, training_set(cfg), max(cfg.SEED, 0), self.start_iter)
            )


@explain_errors()
def main(args):
    cfg = load_cfg(args.config_file, args.opts)
    set_datasets_root(cfg.DATASETS.ROOT)
    default_setup(cfg, args)
    setup_logger(cfg.OUTPUT_DIR, distributed_rank=comm.get_rank(), name="detect")
    if cfg.SOLVER.ACCUMULATE != 1:
        raise ValueError("SOLVER.ACCUMULATE: Detectron2's engine takes 1; tools/train_net.py accumulates")
    if args.eval_only:
        model = Trainer.build_model(cfg)
        ActionCheckpointer(model).load(cfg.MODEL.WEIGHTS, checkpointables=[])
        results = Trainer.test(cfg, model)
    else:
        trainer = Trainer(cfg)
        trainer.resume_or_load(resume=args.resume)
        trainer.train()
        results = getattr(trainer, "_last_eval_results", None)  # train() returns them only for EXPECTED_RESULTS
    if comm.is_main_process() and results:
        first = results if "frame_ap" in results else next(iter(results.values()))
        print(summary_line(first["frame_ap"]["mAP"], cfg.TEST.IOU_THRESHOLD), flush=True)


if __name__ == "__main__":
    args = default_argument_parser(__doc__).parse_args()
    tune_malloc()
    launch(main, args.num_gpus, args.num_machines, args.machine_rank, args.dist_url, args=(args,))
