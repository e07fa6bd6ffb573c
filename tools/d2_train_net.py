#!/usr/bin/env python
"""Train or evaluate the action detector with Detectron2's own engine, DefaultTrainer.

The same configs, datasets, evaluation and output as tools/train_net.py; needs Detectron2 installed. What differs is the
engine's: SOLVER.AMP is float16, SOLVER.ACCUMULATE and SOLVER.EMA_DECAY are not there, and `--resume` does not restore
random states.

  tools/d2_train_net.py --config-file configs/quickstart.yaml [--num-gpus N] [--resume] [--eval-only] [KEY VALUE ...]
"""

from detect.utils.cli import running_tool, training_parser


def build_parser():
    return training_parser(__doc__)


def main(arguments=None) -> None:
    args = build_parser().parse_args(arguments)
    with running_tool():
        from detect.tasks.detectron2_engine import launch, run

        launch(run, args.num_gpus, args.num_machines, args.machine_rank, args.dist_url, args=(args,))


if __name__ == "__main__":
    main()
