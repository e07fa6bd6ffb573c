#!/usr/bin/env python
"""Ground truth from one form of file into another.

The form of INPUT is told by its content, that of OUTPUT by the end of its name (.json own JSON, .mat finalAnnots.mat,
-GT.pkl ACT's, .parquet .npz .csv tables), or name them; --formats lists all. Frames, classes and pixels are counted as
each form counts them. Prints how much there is, what was changed or left out, and the sha256 of both files. What a
form cannot hold lies beside it: classes in classes.txt or action_list.pbtxt, sizes and lengths in videos.csv.

  tools/convert_annotations.py ucf24/splitfiles/pyannot.pkl ucf24_test.json --subset test --media-root ucf24
  tools/convert_annotations.py JHMDB-GT.pkl labels.tar.gz --to yowo --subset train --split 2
  tools/convert_annotations.py ava_val_v2.2.csv ava_val.json --sizes sizes.csv --classes ava_action_list.pbtxt
"""

from detect.utils.cli import running_tool, tool_parser

BOTH = ("own", "pyannot", "final_annots", "act", "yowo", "ava", "coco", "table")  # formats that are read and written
READ_ONLY = ("jhmdb", "gkioxari", "cvat", "via", "boxes_json", "labelme")


def build_parser():
    parser = tool_parser(__doc__)
    parser.add_argument("source", metavar="INPUT", nargs="?", help="file or folder to read")
    parser.add_argument("target", metavar="OUTPUT", nargs="?", help="file or folder to write")
    forms = ", ".join(BOTH), ", ".join(READ_ONLY)
    parser.add_argument("--from", dest="from_format", metavar="FORMAT", help=f"of INPUT: {', '.join(forms)}")
    parser.add_argument("--to", dest="to_format", metavar="FORMAT", help=f"of OUTPUT: {forms[0]}")
    parser.add_argument("--formats", action="store_true", help="list the formats and stop")
    parser.add_argument("--classes", metavar="FILE", help="class names, one a line, or a label map (.pbtxt)")
    parser.add_argument(
        "--sizes", metavar="WxH|CSV", help="of the videos: 320x240, or video,width,height[,num_frames,fps]"
    )
    parser.add_argument("--subset", choices=("train", "test"), help="only these videos")
    parser.add_argument("--split", type=int, metavar="N", help="of which the subset is, from 1 (1)")
    parser.add_argument("--videos", metavar="FILE", help="only the videos named there, one a line")
    parser.add_argument("--attribute", metavar="NAME", help="CVAT, VIA: the attribute of the boxes that is the class")
    parser.add_argument("--media-root", metavar="DIR", help="where the videos are, to be named in OUTPUT")
    parser.add_argument(
        "--join-iou", type=float, metavar="T", help="boxes without track ids: IoU to join them by (0.2)"
    )
    parser.add_argument(
        "--interpolate", nargs="?", const=0, type=int, metavar="MAX_GAP", help="fill gaps in tubes, of that many frames"
    )
    parser.add_argument(
        "--option", dest="options", action="append", default=[], metavar="NAME=VALUE", help="of the reader"
    )
    return parser


def main(arguments=None) -> None:
    parser = build_parser()
    args = vars(parser.parse_args(arguments))
    if not args["formats"] and args["target"] is None:
        parser.error("give INPUT and OUTPUT")
    with running_tool():
        from detect.tasks.convert_annotations import convert_annotations, formats_table

        if args.pop("formats"):
            print(formats_table())
        else:
            convert_annotations(args.pop("source"), args.pop("target"), **args)


if __name__ == "__main__":
    main()
