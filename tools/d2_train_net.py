#!/usr/bin/env python
"""Train or evaluate the action detector with Detectron2's own engine, DefaultTrainer.

The same configs, datasets, checkpoints and evaluation as tools/train_net.py; needs Detectron2 installed.

  tools/d2_train_net.py --config-file configs/quickstart.yaml [--num-gpus N] [--resume] [--eval-only] [KEY VALUE ...]
"""

import detectron2.utils.comm as comm
from detectron2.engine import DefaultTrainer, default_argument_parser, default_setup, launch

import detect.modeling  # noqa: F401  (registers the components)
from detect.config import load_cfg
from detect.data.catalog import set_datasets_root
from detect.engine.checkpoint import ActionCheckpointer
from detect.engine.defaults import tune_malloc
from detect.engine.detection import build_evaluator, get_dataset, test_batches, training_batches, training_set
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
        return test_batches(cfg, get_dataset(dataset_name, cfg))

    @classmethod
    def build_evaluator(cls, cfg, dataset_name):
        return build_evaluator(cfg, dataset_name)

    @classmethod
    def build_optimizer(cls, cfg, model):
        optimizer = build_optimizer(cfg, model)
        if clip_norm(cfg) is not None:
            clip_before_step(optimizer, clip_norm(cfg))
        return optimizer

    @classmethod
    def build_lr_scheduler(cls, cfg, optimizer):
        return build_lr_scheduler(cfg, optimizer)


def main(args):
    cfg = load_cfg(args.config_file, args.opts)
    set_datasets_root(cfg.DATASETS.ROOT)
    default_setup(cfg, args)
    if args.eval_only:
        model = Trainer.build_model(cfg)
        ActionCheckpointer(model).load(cfg.MODEL.WEIGHTS, checkpointables=[])
        results = Trainer.test(cfg, model)
    else:
        trainer = Trainer(cfg)
        trainer.resume_or_load(resume=args.resume)
        results = trainer.train()
    if comm.is_main_process() and results:
        first = results if "frame_ap" in results else next(iter(results.values()))
        print(summary_line(first["frame_ap"]["mAP"], cfg.TEST.IOU_THRESHOLD), flush=True)


if __name__ == "__main__":
    args = default_argument_parser().parse_args()
    tune_malloc()
    with explain_errors():
        launch(main, args.num_gpus, args.num_machines, args.machine_rank, args.dist_url, args=(args,))
