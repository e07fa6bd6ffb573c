#!/usr/bin/env python
"""Train or test an action classifier: what the detector's context network starts from.

Reads the config and the video sets it names (below DETECT_DATASETS or DATASETS.ROOT, or `list:FILE` with a line `path
label` for each video). Writes to OUTPUT_DIR: checkpoints, last_checkpoint, config.yaml, log.txt, metrics.json,
TensorBoard events, bad_inputs.txt (videos that cannot be read), evaluation/<set>/results.json and, with --save-scores,
evaluation/<set>/scores.npz for tools/fuse_scores.py. The last lines after a test are `top-1 = ...` and `top-5 = ...`.

  train:     tools/train_classifier.py --config-file configs/kinetics400/s3dg.yaml --num-gpus 8
  flow:      the same with INPUT.MODALITY flow
  fine-tune: tools/train_classifier.py --config-file configs/ucf101/s3dg.yaml MODEL.CONTEXT.WEIGHTS kinetics.pth
  continue:  the same with --resume
  test:      tools/train_classifier.py --config-file ... --eval-only MODEL.WEIGHTS output/.../model_final.pth
"""

import sys

from detect.engine.classification import main
from detect.engine.defaults import default_argument_parser, tune_malloc
from detect.engine.distributed import launch
from detect.engine.errors import explain_errors

if __name__ == "__main__":
    parser = default_argument_parser(__doc__)
    parser.add_argument("--save-scores", action="store_true", help="write each video's scores (TEST.SAVE_SCORES)")
    args = parser.parse_args()
    tune_malloc()
    with explain_errors():
        launch(main, args.num_gpus, args.num_machines, args.machine_rank, args.dist_url, args=(args,))
    sys.exit(0)
