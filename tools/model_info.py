#!/usr/bin/env python
"""What a checkpoint holds, ours or of other code.

Reads a checkpoint (see docs/weights.md for the kinds). Prints its kind and network, classes, input, config where it is
not the default, iteration, hash and provenance; with --json it also writes them.

  tools/model_info.py output/quickstart/model_final.pth
  tools/model_info.py torchvision://S3D_Weights.KINETICS400_V1
"""

from detect.utils.cli import WEIGHTS, running_tool, tool_parser


def build_parser():
    parser = tool_parser(__doc__)
    parser.add_argument("weights", metavar="WEIGHTS", help=WEIGHTS)
    parser.add_argument("--json", dest="json_file", metavar="FILE", help="facts to write")
    return parser


def main(arguments=None) -> None:
    args = build_parser().parse_args(arguments)
    with running_tool():
        from detect.tasks.model_info import run_model_info

        run_model_info(**vars(args))


if __name__ == "__main__":
    main()
