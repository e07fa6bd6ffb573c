#!/usr/bin/env python
"""Find, follow and draw the actions in any video, or before a camera.

Reads a video file, a folder of frames, a camera (--input 0) or an address (rtsp://...), and a checkpoint of
tools/train_net.py or an .onnx or .pt2 file of tools/export.py, which holds its config and the class names. Each actor
has one number, one colour and one label from frame to frame. It leaves at least one of:

  --output  the video, drawn: .mp4 (H.264, which browsers play, where PyAV or OpenCV can write it) or .avi
  --json    what was drawn: {"video", "fps", "classes", "threshold", "frames": [{"frame", "time", "detections":
            [{"box": [x0, y0, x1, y1], "label", "score", "tube"}]}], "tubes": [{"video", "id", "label", "score",
            "start", "end", "boxes"}]}; frames count from 0, `end` is the one after the last, times are seconds, boxes
            pixels
  --detections  every detection of every frame, as tools/evaluate.py reads them: .parquet, .npz, or .csv, .csv.gz, which
            alone are of a camera
  --show    a window

Each frame is decoded once and memory does not grow with the length of the video, but for --detections .parquet or .npz,
32 bytes a row. Frames of a camera are left out rather than late; Ctrl-C ends it with all that there is. Flow, for a
detector that sees it, is computed as frames arrive.

Where the names to write hold {}, as drawn/{}.mp4, --input is a folder tree of videos or a text file with one path a
line, and {} becomes the path of each, without extension. Their settings stand in settings.json beside them. Started
again it goes on where it was: videos that have all their files are skipped. One that does not decode to its end leaves
none and is listed in bad_inputs.txt; the exit status is then 1. --shard i/n, or torchrun, shares the videos out.

  tools/demo.py --weights output/quickstart/model_final.pth --input video.mp4 --output out.mp4 --speed fast
  tools/demo.py --weights model_final.pth --input 0 --show --speed fast
  tools/demo.py --weights model_final.pth --input videos/ --output drawn/{}.mp4 --json drawn/{}.json --shard 1/4
"""

from detect.speed import SPEEDS
from detect.utils.cli import WEIGHTS, add_config, add_engine, add_shard, old_name, running_tool, tool_parser


def build_parser():
    parser = tool_parser(__doc__)
    parser.add_argument("--weights", required=True, metavar="FILE", help=WEIGHTS)
    parser.add_argument(
        "--input", dest="video", required=True, metavar="VIDEO",
        help="video file, folder of numbered frames, camera (0, /dev/video0), address (rtsp://, http://); many videos",
    )  # fmt: skip
    parser.add_argument("--output", metavar="VIDEO", help="drawn video to write, .mp4 or .avi")
    parser.add_argument("--json", dest="json_file", metavar="FILE", help="what was drawn, frames and tubes")
    parser.add_argument("--detections", metavar="FILE", help="all detections, .parquet, .npz, .csv or .csv.gz")
    old_name(parser, "--csv", "--detections")
    parser.add_argument("--show", action="store_true", help="show it in a window; q closes it")
    parser.add_argument("--trail", action="store_true", help="draw the way that each actor took")
    parser.add_argument(
        "--threshold", type=float, metavar="SCORE",
        help="lowest mean of the detection scores along the tube of an actor who is drawn (the detection score with the"
        " best F1 over all classes, from 0.2 up, where an evaluation of the same weights lies beside them, else 0.4)",
    )  # fmt: skip
    parser.add_argument("--speed", choices=SPEEDS, default="exact", help="how much of the paper's way to keep (exact)")
    parser.add_argument("--every", type=int, metavar="N", help="detect on every n-th frame; boxes move between them")
    parser.add_argument("--flow", choices=("dis", "tvl1"), default="dis", help="how flow is computed (dis)")
    parser.add_argument("--batch-size", type=int, default=1, metavar="N", help="keyframes per forward pass (1)")
    add_shard(parser)
    add_engine(parser)
    add_config(parser, "for a checkpoint without its config", default="")
    return parser


def main(arguments=None) -> None:
    args = build_parser().parse_args(arguments)
    with running_tool():
        from detect.tasks.demo import run_demo

        run_demo(**vars(args))


if __name__ == "__main__":
    main()
