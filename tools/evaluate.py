#!/usr/bin/env python
"""Frame-mAP and video-mAP of detections from any detector, under the protocol of any published evaluator.

Reads detections from a table (.parquet, .npz, or .csv, .csv.gz with the columns video,frame,label,score,x1,y1,x2,y2)
or from a file in the format of YOWO, ACT, MOC, MMAction2, AVA, COCO or MultiSports. Reads ground truth from a
registered set (--dataset, also json:FILE), or from a table, a JSON list of tubes, or a file in any format of
tools/convert_annotations.py (--ground-truth). With --tubes it reads tubes instead of detections: a JSON list, plain or
gzipped, of {video, label, score, start, boxes}, with one box x1 y1 x2 y2 per frame from frame `start` on; tubes of
ground truth have no score. --link links the detections to tubes.

Prints the AP of each class and, at the end, `frame-mAP@0.5 = 0.xxxxxx`; for tubes also `video-mAP@0.2 = 0.xxxxxx`,
@0.5, @0.75, @0.5:0.95. On request it writes all results with their provenance (--json), the tubes (--tubes-output),
an HTML report (--report) and pictures (--pictures): of each class the first video by name, at the middle of its frames
with boxes.

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
    truth.add_argument("--ground-truth", metavar="FILE", help="table, list of tubes or annotation file")
    forms = f"format of DETECTIONS, if the content does not tell: {', '.join(FORMATS)}"
    parser.add_argument("--format", metavar="NAME", help=forms)
    truth_forms = "format of --ground-truth, likewise; tools/convert_annotations.py --formats lists them"
    parser.add_argument("--truth-format", metavar="NAME", help=truth_forms)
    for name, what in (("--option", "DETECTIONS"), ("--truth-option", "--ground-truth")):
        dest, text = f"{name[2:].replace('-', '_')}s", f"for the format of {what}, repeatable; a wrong one lists all"
        parser.add_argument(name, dest=dest, action="append", default=[], metavar="KEY=VALUE", help=text)
    parser.add_argument("--classes", dest="classes_file", metavar="TXT", help="file of class names, one per line")
    frames = parser.add_argument_group("boxes")
    frames.add_argument("--preset", dest="preset_name", choices=PRESETS, default="voc", help="protocol (voc)")
    frames.add_argument("--protocol", choices=("all",), help="also score every preset and single changes to this one")
    frames.add_argument("--frames", choices=FRAME_RULES, help="frames that count (the preset's)")
    frames.add_argument(
        "--iou", dest="iou_thresholds", type=float, nargs="+", default=[0.5], metavar="T", help="IoU thresholds (0.5)"
    )
    frames.add_argument("--proposals", metavar="FILE", help="table of proposals, for recall and errors")
    frames.add_argument("--errors", action="store_true", help="kinds of errors, and what each costs")
    frames.add_argument("--coco", action="store_true", help="also COCO-style AP50, AP50:95, AR (slow)")
    frames.add_argument(
        "--compare", dest="compared", action="store_true", help="compare two files, with a bootstrap over videos"
    )
    tubes = parser.add_argument_group("tubes")
    tubes.add_argument("--tubes", metavar="JSON", help="tubes to evaluate")
    tubes.add_argument("--link", choices=LINK_RULES, help="link DETECTIONS to tubes by this rule")
    trim = "trim tubes in time; COST per change of label"
    tubes.add_argument("--trim", dest="switch_cost", type=float, metavar="COST", help=trim)
    tubes.add_argument("--tube-nms", type=float, metavar="T", help="overlap for NMS of tubes, 0: no NMS (the preset's)")
    tubes.add_argument("--spatial-only", action="store_true", help="overlap in space only, for trimmed videos")
    tubes.add_argument("--tubes-output", metavar="JSON", help="file of tubes to write")
    parser.add_argument("--pictures", metavar="FILE", help="image to write: a video of each class, truth beside")
    parser.add_argument("--report", dest="report_folder", metavar="DIR", help="folder for the HTML report")
    parser.add_argument("--json", dest="json_file", metavar="FILE", help="file of results to write")
    return parser


def main(arguments=None) -> None:
    args = vars(build_parser().parse_intermixed_args(arguments))
    detections = args.pop("named") + args.pop("detections")
    with running_tool():
        from detect.tasks.evaluate import evaluate

        evaluate(detections, **args)


if __name__ == "__main__":
    main()
