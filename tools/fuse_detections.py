#!/usr/bin/env python
"""Make one of the detections of several detectors, such as of RGB and of flow: late fusion.

Reads tables of detections (evaluation/<set>/detections.csv.gz of tools/train_net.py). Where they have the same boxes
the scores are averaged; where boxes differ they are fused by overlap (weighted box fusion). Writes --output, a table of
the same columns, for tools/evaluate.py.

  tools/fuse_detections.py rgb/detections.csv.gz flow/detections.csv.gz --output both.csv.gz
"""

from detect.utils.cli import running_tool, tool_parser


def build_parser():
    parser = tool_parser(__doc__)
    parser.add_argument("files", nargs="+", metavar="CSV", help="detections, two files or more")
    parser.add_argument("--output", required=True, metavar="CSV", help="table to write; .gz is gzipped")
    parser.add_argument("--shares", type=float, nargs="+", help="weight of each file (equal)")
    parser.add_argument("--iou", type=float, default=0.55, help="overlap from which boxes are fused (0.55)")
    return parser


def main(arguments=None) -> None:
    args = build_parser().parse_args(arguments)
    with running_tool():
        from detect.tasks.fuse import fuse_detections

        fuse_detections(**vars(args))


if __name__ == "__main__":
    main()
