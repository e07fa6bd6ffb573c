#!/usr/bin/env python
"""Train and test a classifier on the three splits of UCF-101 or HMDB-51 and report each and their mean.

Reads a config of tools/train_classifier.py whose sets have splits (configs/ucf101, configs/hmdb51; any split will do),
and the videos. Writes OUTPUT_DIR/split1, split2, split3, each what tools/train_classifier.py writes, and
OUTPUT_DIR/results.json. Started again it goes on where it was stopped. The last lines are the table.

  tools/train_splits.py --config-file configs/ucf101/s3dg.yaml --num-gpus 8 MODEL.CONTEXT.WEIGHTS kinetics.pth
"""

from detect.utils.cli import add_config, process_count, running_tool, tool_parser


def build_parser():
    parser = tool_parser(__doc__)
    parser.add_argument("--num-gpus", type=process_count, default=1, help="processes here (CPU if there is no GPU)")
    add_config(parser, "config of tools/train_classifier.py", required=True)
    return parser


def main(arguments=None) -> None:
    args = build_parser().parse_args(arguments)
    with running_tool():
        from detect.tasks.splits import split_table, train_splits

        print(split_table(train_splits(**vars(args))))


if __name__ == "__main__":
    main()
