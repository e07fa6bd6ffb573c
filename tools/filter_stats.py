#!/usr/bin/env python
"""How the weights of a network's temporal filters are spread over time: the paper's Figure 5.

Reads a checkpoint, ours or a plain state dict of any video network: every weight (O, C, kT, kH, kW) with kT > 1 is a
layer, full 3D or kT x 1 x 1. Writes a box plot of its weights at each temporal offset (--plot) and the boxes as numbers
(--csv): mean, quartiles, whiskers at 1.5 interquartile ranges, count of outliers.

  tools/filter_stats.py --weights i3d_kinetics.pth --plot figure5.png --csv figure5.csv
"""

from detect.utils.cli import WEIGHTS, old_positional, running_tool, tool_parser


def build_parser():
    parser = tool_parser(__doc__)
    parser.add_argument("--weights", metavar="FILE", help=WEIGHTS)
    parser.add_argument("--plot", metavar="FILE", help="picture to write, such as .png or .pdf (needs matplotlib)")
    parser.add_argument("--csv", metavar="FILE", help="table to write")
    old_positional(parser)
    return parser


def main(arguments=None) -> None:
    parser = build_parser()
    args = parser.parse_args(arguments)
    weights = args.weights or (args.old + [None])[0]
    if not weights:
        parser.error("--weights is required")
    with running_tool():
        from detect.analysis.filters import run_filter_stats

        run_filter_stats(weights, csv=args.csv, plot=args.plot)


if __name__ == "__main__":
    main()
