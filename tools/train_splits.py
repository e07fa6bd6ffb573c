#!/usr/bin/env python
"""Train and test on the three splits of JHMDB, UCF-101 or HMDB-51, or on the folds of one's own set.

Reports each and their mean. Reads a config of tools/train_net.py or tools/train_classifier.py whose sets have splits
(configs/jhmdb, configs/ucf101, configs/hmdb51; any split will do), and the videos. Writes OUTPUT_DIR/split1, split2,
split3 (with --repeat split1_seed0, ...), each what the training tool writes, and OUTPUT_DIR/results.json. Started again
it goes on where it was stopped. The last lines are the table.

--folds N is cross-validation of DATASETS.TRAIN, a json:FILE: the groups of videos are dealt to N folds, and each fold
is tested by a model trained on the others, in OUTPUT_DIR/fold1, .... The detections of all folds are then one table,
OUTPUT_DIR/detections.parquet (.npz without pyarrow), for tools/evaluate.py. --start FOLDER takes the context network of
each fold from the classifier that --folds N trained in FOLDER and that has not seen the fold's videos either.

  tools/train_splits.py --config-file configs/jhmdb/s3dg_rgb_flow.yaml --num-gpus 8
  tools/train_splits.py --config-file configs/ucf101/s3dg.yaml --num-gpus 8 MODEL.CONTEXT.WEIGHTS kinetics.pth
  tools/train_splits.py --config-file configs/own_data.yaml --folds 5
"""

from detect.utils.cli import add_config, process_count, running_tool, tool_parser


def build_parser():
    parser = tool_parser(__doc__)
    parser.add_argument("--num-gpus", type=process_count, default=1, help="processes here (CPU if there is no GPU)")
    parser.add_argument("--repeat", type=process_count, default=1, metavar="N", help="seeds of each split (1)")
    parser.add_argument(
        "--choose-checkpoint", dest="choose", action="store_true",
        help="train without every fifth recording of each class, test the checkpoint that is the best on those",
    )  # fmt: skip
    parser.add_argument("--folds", type=int, default=0, metavar="N", help="cross-validation of a json:FILE, 2 or more")
    parser.add_argument("--test-set", default="", metavar="NAME", help="json:FILE of the same videos, to test on")
    parser.add_argument("--start", default="", metavar="FOLDER", help="classifiers of the same folds to start from")
    add_config(parser, "config of tools/train_net.py or tools/train_classifier.py", required=True)
    return parser


def main(arguments=None) -> None:
    args = build_parser().parse_args(arguments)
    with running_tool():
        from detect.tasks.splits import split_table, train_splits

        print(split_table(train_splits(**vars(args))))


if __name__ == "__main__":
    main()
