#!/usr/bin/env python
"""Find and draw the actions in any video file.

Reads a video file (or a folder of frames), a config and a checkpoint of tools/train_net.py, which also holds the class
names. Writes the video with boxes, labels and scores drawn (--output, .mp4 or .avi) and, with --json, every detection:
{"video", "fps", "classes", "frames": [{"frame", "time", "detections": [{"box": [x0, y0, x1, y1], "label", "score"}]}]},
frames counted from 0, time in seconds, boxes in pixels. Each frame is decoded once and memory does not grow with the
length of the video.

  tools/demo.py --config-file configs/quickstart.yaml --weights output/quickstart/model_final.pth \\
      --input video.mp4 --output out.mp4
"""

import argparse

from detect.demo import run_demo
from detect.engine.defaults import tune_malloc
from detect.engine.errors import explain_errors


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config-file", required=True, metavar="FILE", help="the config it was trained with")
    parser.add_argument("--weights", required=True, metavar="FILE", help="checkpoint, such as model_final.pth")
    parser.add_argument("--input", required=True, metavar="VIDEO", help="video file or folder of numbered frames")
    parser.add_argument("--output", metavar="VIDEO", help="drawn video to write, .mp4 or .avi")
    parser.add_argument("--json", metavar="FILE", help="detections to write")
    parser.add_argument("--threshold", type=float, default=0.4, help="lowest score that is drawn or listed (0.4)")
    parser.add_argument("--every", type=int, default=1, help="run the detector on every n-th frame, hold between (1)")
    parser.add_argument("--batch-size", type=int, default=1, help="keyframes per forward pass (1)")
    parser.add_argument("opts", nargs=argparse.REMAINDER, help="config overrides: KEY VALUE KEY VALUE ...")
    return parser.parse_args()


if __name__ == "__main__":
    args = parse_args()
    tune_malloc()
    with explain_errors():
        run_demo(args)
