#!/usr/bin/env python
"""Time the parts of the detector on this machine; prints, writes nothing.

tools/benchmark.py roi-pool                3D RoI pooling against torchvision's roi_align
tools/benchmark.py frame-ap --scale 1      frame-mAP of 17 million detections
tools/benchmark.py data                    clips per second and worker, from a video file and from a folder of frames
"""

import argparse

from detect.engine.defaults import tune_malloc
from detect.evaluation import PRESETS


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("roi-pool", help="3D RoI pooling, 10 to 300 boxes")
    frame_ap = commands.add_parser("frame-ap", help="the evaluator")
    frame_ap.add_argument("--scale", type=float, default=0.05, help="1 is 17 million detections (default 0.05)")
    frame_ap.add_argument("--preset", choices=PRESETS, default="voc")
    frame_ap.add_argument("--repeat", type=int, default=3)
    frame_ap.add_argument(
        "--same-class", type=float, default=0.0, metavar="SHARE",
        help="share of detections forced to the video's class; 1 is the worst case (default 0)",
    )  # fmt: skip
    data = commands.add_parser("data", help="reading clips: our readers and others, where installed")
    data.add_argument("--video", metavar="FILE", help="video to read (default: one is made)")
    data.add_argument("--frames", metavar="FOLDER", help="folder of JPEG frames to read (default: one is made)")
    data.add_argument("--length", type=int, default=20, help="frames of a clip (default 20)")
    data.add_argument("--size", type=int, nargs=2, default=(320, 400), metavar=("H", "W"), help="default 320 400")
    data.add_argument("--rounds", type=int, default=15)
    data.add_argument("--metrics", metavar="FILE", help="metrics.json of a run: the share of time it waited for data")
    return parser.parse_args()


if __name__ == "__main__":
    args = parse_args()
    tune_malloc()
    if args.command == "roi-pool":
        from detect.benchmarks.roi_pool import benchmark_roi_pool

        benchmark_roi_pool()
    elif args.command == "data":
        from detect.benchmarks.data import benchmark_data, waiting_share
        from detect.engine.errors import explain_errors

        with explain_errors():
            if args.metrics:
                print(f"{args.metrics}: waited for data {waiting_share(args.metrics):.1%} of the time")
            else:
                benchmark_data(args.video, args.frames, args.length, tuple(args.size), args.rounds)
    else:
        from detect.benchmarks.frame_ap import benchmark_frame_ap

        benchmark_frame_ap(args.scale, args.preset, args.repeat, args.same_class)
