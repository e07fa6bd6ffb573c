#!/usr/bin/env python
"""Train or evaluate the action detector.

Reads the config and the datasets it names (below DETECT_DATASETS or DATASETS.ROOT). Writes to OUTPUT_DIR: checkpoints,
last_checkpoint, config.yaml, log.txt, metrics.json, TensorBoard events, evaluation/<set>/ and pictures/<set>/.
The last line after an evaluation is `frame-mAP@0.5 = ...`.

  train:     tools/train_net.py --config-file configs/quickstart.yaml
  continue:  the same with --resume
  evaluate:  tools/train_net.py --config-file ... --eval-only MODEL.WEIGHTS output/.../model_final.pth
"""

import sys

from detect.engine.defaults import default_argument_parser, tune_malloc
from detect.engine.detection import main
from detect.engine.distributed import launch
from detect.engine.errors import explain_errors

if __name__ == "__main__":
    args = default_argument_parser(__doc__).parse_args()
    tune_malloc()
    with explain_errors():
        launch(main, args.num_gpus, args.num_machines, args.machine_rank, args.dist_url, args=(args,))
    sys.exit(0)
