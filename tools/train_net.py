#!/usr/bin/env python
"""Train or evaluate the action detector.

Reads the config and the datasets it names (below DETECT_DATASETS or DATASETS.ROOT). Writes to OUTPUT_DIR: checkpoints,
last_checkpoint, config.yaml, log.txt, metrics.json, TensorBoard events, evaluation/<set>/ and pictures/<set>/.
The last line after an evaluation is `frame-mAP@0.5 = ...`. --overfit-check trains on 4 clips of the set without
augmentation until all are found, in a minute or two, and holds boxes and labels against what is seen. Its last line is
`overfit check passed: ...` or, with exit status 1, `overfit check failed: <reason>; next: <step>`.

  train:     tools/train_net.py --config-file configs/quickstart.yaml
  continue:  the same with --resume
  evaluate:  tools/train_net.py --eval-only --weights output/quickstart/model_final.pth
  exported:  tools/train_net.py --eval-only --weights model.onnx, of tools/export.py; results go to model/
  check:     tools/train_net.py --config-file configs/quickstart.yaml --overfit-check
"""

from detect.speed import SPEEDS
from detect.utils.cli import add_engine, running_tool, training_parser


def build_parser():
    parser = training_parser(__doc__)
    parser.add_argument("--speed", choices=SPEEDS, default="exact", help="with --eval-only: see tools/demo.py (exact)")
    add_engine(parser)
    parser.add_argument("--overfit-check", action="store_true", help="learn a few clips by heart, or say what is wrong")
    parser.add_argument("--clips", type=int, default=4, metavar="N", help="of --overfit-check (4)")
    return parser


def main(arguments=None) -> None:
    args = build_parser().parse_args(arguments)
    with running_tool():
        from detect.tasks.train_net import train_net

        train_net(**vars(args))


if __name__ == "__main__":
    main()
