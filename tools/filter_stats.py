#!/usr/bin/env python
"""How the weights of a network's temporal filters are spread over time: the paper's Figure 5.

Reads a checkpoint, ours or a plain state dict of any video network: every weight (O, C, kT, kH, kW) with kT > 1 is a
layer, full 3D or kT x 1 x 1. Writes a box plot of its weights at each temporal offset (--plot) and the boxes as numbers
(--csv): mean, quartiles, whiskers at 1.5 interquartile ranges, count of outliers.

  tools/filter_stats.py i3d_kinetics.pth --plot figure5.png --csv figure5.csv
"""

import argparse

from detect.analysis.filters import run_filter_stats
from detect.engine.errors import explain_errors


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="checkpoint or state dict to read")
    parser.add_argument("--plot", metavar="FILE", help="picture to write, such as .png or .pdf (needs matplotlib)")
    parser.add_argument("--csv", metavar="FILE", help="table to write")
    return parser.parse_args()


if __name__ == "__main__":
    args = parse_args()
    with explain_errors():
        run_filter_stats(args)
