#!/usr/bin/env python
"""What the networks of the family cost, beside the paper's figures.

Prints a table: parameters, multiply-adds (convolutions and linear layers), activation memory of a training step and,
with --latency, time and peak memory of inference as measured on this machine, each network in a process of its own.
Counts come from shapes alone: the whole family takes seconds, at any size. Reads nothing but --results, a CSV with the
columns network and top1 (percent). Writes, where asked for, the table (--csv with exact numbers, --markdown) and the
plot of the paper's Figure 4 (--plot): multiply-adds and latency against K, or accuracy against them with --results.

  tools/analyze_model.py                                           the whole family, all K
  tools/analyze_model.py i3d s3d s3dg --size 20 320 400 --latency
  tools/analyze_model.py --csv family.csv --plot figure4.png
"""

from detect.utils.cli import old_name, running_tool, tool_parser


def build_parser():
    parser = tool_parser(__doc__)
    parser.add_argument("networks", nargs="*", metavar="NETWORK", help="such as s3dg (default: the whole family)")
    parser.add_argument("--size", type=int, nargs=3, default=(64, 224, 224), metavar=("T", "H", "W"), help="64 224 224")
    parser.add_argument("--num-classes", type=int, default=400, help="of the classifier (400)")
    old_name(parser, "--classes", "--num-classes", type=int)
    parser.add_argument("--in-channels", type=int, default=3, help="3 for RGB, 2 for flow (3)")
    parser.add_argument("--width", type=float, default=1.0, help="multiplies all channels (1)")
    parser.add_argument("--latency", action="store_true", help="measure time and peak memory too")
    parser.add_argument("--device", default="cpu", help="where to measure: cpu, cuda, cuda:1 (cpu)")
    parser.add_argument("--repeat", type=int, default=5, help="timed passes of each network (5)")
    parser.add_argument("--csv", metavar="FILE", help="table to write, exact numbers")
    parser.add_argument("--markdown", metavar="FILE", help="table to write, as printed")
    parser.add_argument("--plot", metavar="FILE", help="picture to write, such as .png or .pdf (needs matplotlib)")
    parser.add_argument(
        "--results", dest="results_file", metavar="CSV", help="network,top1: puts accuracy on the plot's y axis"
    )
    return parser


def main(arguments=None) -> None:
    args = build_parser().parse_args(arguments)
    with running_tool():
        from detect.analysis.family import run_analysis

        run_analysis(**vars(args))


if __name__ == "__main__":
    main()
