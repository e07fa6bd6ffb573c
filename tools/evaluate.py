#!/usr/bin/env python
"""Frame-mAP and video-mAP of detections from any detector, under the protocol of any published evaluator.

Reads a file of detections: a table (.parquet, .npz, or .csv, .csv.gz with the columns
video,frame,label,score,x1,y1,x2,y2), or what YOWO, ACT, MOC, MMAction2, AVA, COCO or MultiSports write; and ground
truth: a registered set (--dataset, also json:FILE), or a file in any of the formats of tools/convert_annotations.py, a
table, or a JSON list of tubes. With --tubes it reads tubes instead: a JSON list, plain or gzipped, of {video, label,
score, start, boxes}, boxes x1 y1 x2 y2, one a frame from frame `start` on; ground truth the same without score. --link
makes tubes of the detections.

Prints the AP of each class and, last, `frame-mAP@0.5 = 0.xxxxxx` and, of tubes, `video-mAP@0.2 = 0.xxxxxx`, @0.5,
@0.75, @0.5:0.95. Writes, where asked, all results with where they come from (--json), the tubes (--tubes-output), and
an HTML page that explains them (--report).

  tools/evaluate.py output/quickstart/evaluation/synthetic_test/detections.parquet --dataset synthetic_test --errors
  tools/evaluate.py detections.csv.gz --ground-truth ground_truth.csv.gz --protocol all
  tools/evaluate.py ours.parquet theirs.parquet --compare --dataset ucf24_test
  tools/evaluate.py detections.parquet --dataset ucf24_test --link act --preset act
  tools/evaluate.py --tubes tubes.json.gz --ground-truth truth.json.gz --preset act --tube-nms 0.3
"""

import argparse

from detect.evaluation import FRAME_RULES, PRESETS
from detect.evaluation.linking.rules import LINK_RULES
from detect.utils.cli import running_tool, tool_parser

FORMATS = ("yowo", "multisports", "act", "act_tubelets", "ava", "coco")  # beside tables


def build_parser():
    parser = tool_parser(__doc__)
    parser.add_argument("detections", nargs="*", metavar="DETECTIONS", help="file of scored boxes; two with --compare")
    parser.add_argument("--detections", dest="named", nargs=1, default=[], help=argparse.SUPPRESS)
    truth = parser.add_mutually_exclusive_group(required=True)
    truth.add_argument("--dataset", metavar="NAME", help="registered set, or json:FILE")
    truth.add_argument("--ground-truth", metavar="FILE", help="table, tubes or annotation of the true boxes")
    forms = f"of DETECTIONS, where it cannot be told from the content: {', '.join(FORMATS)}"
    parser.add_argument("--format", metavar="NAME", help=forms)
    truth_forms = "of --ground-truth, likewise; tools/convert_annotations.py --formats lists them"
    parser.add_argument("--truth-format", metavar="NAME", help=truth_forms)
    for name, what in (("--option", "DETECTIONS"), ("--truth-option", "--ground-truth")):
        dest, text = f"{name[2:].replace('-', '_')}s", f"of the format of {what}, repeatable; a wrong one lists them"
        parser.add_argument(name, dest=dest, action="append", default=[], metavar="KEY=VALUE", help=text)
    parser.add_argument("--classes", dest="classes_file", metavar="TXT", help="names of the classes, one a line")
    frames = parser.add_argument_group("boxes")
    frames.add_argument("--preset", dest="preset_name", choices=PRESETS, default="voc", help="protocol (voc)")
    frames.add_argument("--protocol", choices=("all",), help="also every preset, and what each choice changes")
    frames.add_argument("--frames", choices=FRAME_RULES, help="instead of the preset's own rule")
    frames.add_argument(
        "--iou", dest="iou_thresholds", type=float, nargs="+", default=[0.5], metavar="T", help="thresholds (0.5)"
    )
    frames.add_argument("--proposals", metavar="FILE", help="table of boxes of label 0, for recall and errors")
    frames.add_argument("--errors", action="store_true", help="why detections and truths failed, and what it costs")
    frames.add_argument("--coco", action="store_true", help="also COCO-style AP50, AP50:95, AR (slow)")
    frames.add_argument(
        "--compare", dest="compared", action="store_true", help="two files, with a bootstrap over videos"
    )
    tubes = parser.add_argument_group("tubes")
    tubes.add_argument("--tubes", metavar="JSON", help="tubes to evaluate")
    tubes.add_argument("--link", choices=LINK_RULES, help="make tubes of DETECTIONS by this rule")
    tubes.add_argument("--trim", dest="switch_cost", type=float, metavar="COST", help="cut them to where the action is")
    tubes.add_argument("--tube-nms", type=float, metavar="T", help="overlap that suppresses, 0: none (the preset's)")
    tubes.add_argument("--spatial-only", action="store_true", help="IoU in common frames only, as for trimmed videos")
    tubes.add_argument("--tubes-output", metavar="JSON", help="tubes to write")
    parser.add_argument("--report", dest="report_folder", metavar="DIR", help="folder of the HTML page to write")
    parser.add_argument("--json", dest="json_file", metavar="FILE", help="results to write")
    return parser


def main(arguments=None) -> None:
    args = vars(build_parser().parse_intermixed_args(arguments))
    detections = args.pop("named") + args.pop("detections")
    with running_tool():
        from detect.tasks.evaluate import evaluate

        evaluate(detections, **args)


if __name__ == "__main__":
    main()
