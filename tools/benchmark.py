#!/usr/bin/env python
"""Time the parts of the detector on this machine; prints, writes nothing, reads no data.

tools/benchmark.py roi-pool                3D RoI pooling against torchvision's roi_align
tools/benchmark.py frame-ap --scale 1      frame-mAP of 17 million detections
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
    return parser.parse_args()


if __name__ == "__main__":
    args = parse_args()
    tune_malloc()
    if args.command == "roi-pool":
        from detect.benchmarks.roi_pool import benchmark_roi_pool

        benchmark_roi_pool()
    else:
        from detect.benchmarks.frame_ap import benchmark_frame_ap

        benchmark_frame_ap(args.scale, args.preset, args.repeat, args.same_class)
