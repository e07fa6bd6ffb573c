#!/usr/bin/env python
"""Find and draw the actions in any video file.

Reads a video file (or a folder of frames) and a checkpoint of tools/train_net.py, which holds its config and the class
names. Writes the video with boxes, labels and scores drawn (--output, .mp4 or .avi) and, with --json, every detection:
{"video", "fps", "classes", "frames": [{"frame", "time", "detections": [{"box": [x0, y0, x1, y1], "label", "score"}]}]},
frames counted from 0, time in seconds, boxes in pixels. Each frame is decoded once and memory does not grow with the
length of the video. Flow, for a detector that sees it, is computed as frames arrive and not stored.

  tools/demo.py --weights output/quickstart/model_final.pth --input video.mp4 --output out.mp4 --speed fast
"""

from detect.speed import SPEEDS
from detect.utils.cli import WEIGHTS, add_config, running_tool, tool_parser


def build_parser():
    parser = tool_parser(__doc__)
    parser.add_argument("--weights", required=True, metavar="FILE", help=WEIGHTS)
    parser.add_argument(
        "--input", dest="video", required=True, metavar="VIDEO", help="video file or folder of numbered frames"
    )
    parser.add_argument("--output", metavar="VIDEO", help="drawn video to write, .mp4 or .avi")
    parser.add_argument("--json", dest="json_file", metavar="FILE", help="detections to write")
    parser.add_argument("--threshold", type=float, default=0.4, help="lowest score that is drawn or listed (0.4)")
    parser.add_argument("--speed", choices=SPEEDS, default="exact", help="how much of the paper's way to keep (exact)")
    parser.add_argument("--every", type=int, help="detect on every n-th frame; boxes move between them")
    parser.add_argument("--flow", choices=("dis", "tvl1"), default="dis", help="how flow is computed (dis)")
    parser.add_argument("--batch-size", type=int, default=1, help="keyframes per forward pass (1)")
    add_config(parser, "for a checkpoint without its config", default="")
    return parser


def main(arguments=None) -> None:
    args = build_parser().parse_args(arguments)
    with running_tool():
        from detect.tasks.demo import run_demo

        run_demo(**vars(args))


if __name__ == "__main__":
    main()
