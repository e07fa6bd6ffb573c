#!/usr/bin/env python
"""Train or evaluate an action classifier: what the detector's context network starts from.

Reads the config and the video sets it names (below DETECT_DATASETS or DATASETS.ROOT, or `list:FILE` with a line `path
label` for each video). Writes to OUTPUT_DIR: checkpoints, last_checkpoint, config.yaml, log.txt, metrics.json,
TensorBoard events, bad_inputs.txt (videos that cannot be read), evaluation/<set>/results.json and, with --save-scores,
evaluation/<set>/scores.npz for tools/fuse_scores.py. The last lines after an evaluation are `top-1 = ...` and
`top-5 = ...`.

  train:     tools/train_classifier.py --config-file configs/kinetics400/s3dg.yaml --num-gpus 8
  flow:      the same with INPUT.MODALITY flow
  fine-tune: tools/train_classifier.py --config-file configs/ucf101/s3dg.yaml MODEL.CONTEXT.WEIGHTS kinetics.pth
  continue:  the same with --resume
  evaluate:  tools/train_classifier.py --eval-only --weights output/kinetics400/s3dg/model_final.pth
"""

from detect.utils.cli import running_tool, training_parser


def build_parser():
    parser = training_parser(__doc__)
    parser.add_argument("--save-scores", action="store_true", help="write each video's scores (TEST.SAVE_SCORES)")
    return parser


def main(arguments=None) -> None:
    args = build_parser().parse_args(arguments)
    opts = [*args.opts, *(("TEST.SAVE_SCORES", True) if args.save_scores else ())]
    with running_tool():
        from detect.tasks.classification import CLASSIFICATION
        from detect.tasks.runner import run
        from detect.utils.comm import launch

        job = (CLASSIFICATION, args.config_file, opts, args.weights, args.resume, args.eval_only)
        launch(run, args.num_gpus, args.num_machines, args.machine_rank, args.dist_url, args=job)


if __name__ == "__main__":
    main()
