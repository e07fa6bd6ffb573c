#!/usr/bin/env python
"""Average the scores of several networks for the same videos, such as RGB and flow, and print top-1 and top-5.

Reads two or more scores.npz of tools/train_classifier.py --save-scores; the videos are matched by name and must be the
same in all. Prints the accuracy of each file, then that of the average as `top-1 = ...` and `top-5 = ...`. Writes the
averaged scores with --output.

  tools/fuse_scores.py output/rgb/evaluation/SET/scores.npz output/flow/evaluation/SET/scores.npz --shares 1 1
"""

from pathlib import Path

from detect.utils.cli import old_name, running_tool, tool_parser


def build_parser():
    parser = tool_parser(__doc__)
    parser.add_argument("scores", nargs="+", type=Path, metavar="FILE", help="scores.npz of each network")
    parser.add_argument("--shares", nargs="+", type=float, metavar="S", help="one for each file; equal by default")
    old_name(parser, "--weights", "--shares", nargs="+", type=float)
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the averaged scores, as .npz")
    return parser


def main(arguments=None) -> None:
    args = build_parser().parse_args(arguments)
    with running_tool():
        from detect.classification.scores import fuse

        fuse(args.scores, args.shares, args.output)


if __name__ == "__main__":
    main()
