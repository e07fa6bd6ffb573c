#!/usr/bin/env python
"""Test a classifier with the frames in normal and in reversed order (the paper's Table 1), from one checkpoint.

Reads a checkpoint of tools/train_classifier.py and the videos of DATASETS.TEST. With --partners FILE, a text file with
a line `class partner` (parted by a tab where names hold spaces) for classes that are each other in opposite order of
time, it also says how often a reversed video is taken for the partner. Prints a table for each set and writes
OUTPUT_DIR/evaluation/<set>/arrow_of_time.json.

  tools/arrow_of_time.py --weights output/ssv1/i3d/model_final.pth
"""

from detect.utils.cli import WEIGHTS, add_config, running_tool, tool_parser


def build_parser():
    parser = tool_parser(__doc__)
    parser.add_argument("--weights", default="", metavar="FILE", help=f"MODEL.WEIGHTS, a {WEIGHTS}")
    parser.add_argument("--partners", dest="partners_file", metavar="FILE", help="lines `class partner`")
    add_config(parser, "for a checkpoint without its config", default="")
    return parser


def main(arguments=None) -> None:
    args = build_parser().parse_args(arguments)
    with running_tool():
        from detect.tasks.arrow_of_time import run_arrow_of_time

        run_arrow_of_time(**vars(args))


if __name__ == "__main__":
    main()
