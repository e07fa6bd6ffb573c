#!/usr/bin/env python
"""Average the scores of several networks for the same videos, such as RGB and flow, and print top-1 and top-5.

Reads two or more scores.npz of tools/train_classifier.py --save-scores; the videos are matched by name and must be the
same in all. Prints the accuracy of each file, then that of the average as `top-1 = ...` and `top-5 = ...`. Writes the
averaged scores with --output.

  tools/fuse_scores.py output/rgb/evaluation/SET/scores.npz output/flow/evaluation/SET/scores.npz --weights 1 1
"""

import argparse
from pathlib import Path

from detect.classification.scores import fuse
from detect.engine.errors import explain_errors


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scores", nargs="+", type=Path, metavar="FILE", help="scores.npz of each network")
    parser.add_argument("--weights", nargs="+", type=float, metavar="W", help="one for each file; equal by default")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the averaged scores, as .npz")
    return parser.parse_args()


if __name__ == "__main__":
    args = parse_args()
    with explain_errors():
        fuse(args.scores, args.weights, args.output)
