#!/usr/bin/env python
"""Frame-mAP from two CSV tables, plain or gzipped.

Reads two tables with the columns, by name, video,frame,label,x1,y1,x2,y2 and video,frame,label,score,x1,y1,x2,y2. The
classes are the labels that occur in either table, or the lines of --classes. Prints the AP of each class; the last line
is `frame-mAP@0.5 = 0.xxxxxx`. Writes, with --json, the results with where they come from.

  tools/evaluate.py --ground-truth GT.csv.gz --detections DET.csv.gz --preset voc
"""

from detect.evaluation import FRAME_RULES, PRESETS
from detect.utils.cli import running_tool, tool_parser


def build_parser():
    parser = tool_parser(__doc__)
    parser.add_argument("--ground-truth", required=True, metavar="CSV", help="table of the annotated boxes")
    parser.add_argument("--detections", required=True, metavar="CSV", help="table of the scored boxes")
    parser.add_argument("--preset", dest="preset_name", choices=PRESETS, default="voc", help="protocol (voc)")
    parser.add_argument("--frames", choices=FRAME_RULES, help="instead of the preset's own rule")
    parser.add_argument("--iou", dest="iou_threshold", type=float, default=0.5, metavar="T", help="threshold (0.5)")
    parser.add_argument(
        "--classes", dest="classes_file", metavar="TXT", help="class names, one a line; line 1 is label 0"
    )
    parser.add_argument("--coco", action="store_true", help="also COCO-style AP50, AP50:95, AR (slow)")
    parser.add_argument("--json", dest="json_file", metavar="FILE", help="results to write")
    return parser


def main(arguments=None) -> None:
    args = build_parser().parse_args(arguments)
    with running_tool():
        from detect.tasks.evaluate import evaluate

        evaluate(**vars(args))


if __name__ == "__main__":
    main()
