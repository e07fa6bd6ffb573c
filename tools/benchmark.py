#!/usr/bin/env python
"""Time the parts of the detector on this machine; prints, and writes with --json.

tools/benchmark.py roi-pool                3D RoI pooling against torchvision's roi_align
tools/benchmark.py frame-ap --scale 1      frame-mAP of 17 million detections
tools/benchmark.py evaluation --scale 1    files, frame-mAP, errors, linking and video-mAP of 17 million detections
tools/benchmark.py networks                the networks against torchvision's s3d, ONNX Runtime and OpenVINO
tools/benchmark.py train                   their training step against torchvision's
tools/benchmark.py detector                a keyframe of the whole detector against torchvision's parts
tools/benchmark.py export                  the exported detector in ONNX Runtime and OpenVINO, in int8 too
tools/benchmark.py data                    clips per second and worker, from a video file and from a folder of frames
tools/benchmark.py video                   frames a second of the whole detector, for every --speed
tools/benchmark.py growth                  time and memory against context, size, proposals, videos, detections, hours
tools/benchmark.py gpu                     the detector on CUDA in every way: TF32, bf16, compiled, CUDA graphs
tools/benchmark.py docs                    puts the JSON files of docs/benchmarks into docs/performance.md
"""

from detect.evaluation import PRESETS
from detect.utils.cli import add_config, tool_parser
from detect.utils.errors import explain_errors
from detect.utils.malloc import tune_malloc


def build_parser():
    parser = tool_parser(__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("roi-pool", help="3D RoI pooling, 10 to 300 boxes")
    for name, what in (("networks", "inference"), ("train", "a training step")):
        networks = commands.add_parser(name, help=f"{what} of the networks against torchvision's s3d and other engines")
        networks.add_argument("--size", type=int, nargs=3, default=(20, 320, 400), metavar=("T", "H", "W"))
        networks.add_argument("--names", nargs="*", default=("s3d", "s3dg", "i3d"), help="rows of the family to add")
        networks.add_argument("--as-met", action="store_true", help="a process each, torchvision's with plain malloc")
        networks.add_argument("--default-malloc", action="store_true", help="leave malloc as it is for all")
    detector = commands.add_parser("detector", help="a keyframe of the detector against torchvision's parts")
    detector.add_argument("--regions", type=int, nargs="+", default=(300, 64, 20), help="at test (300 64 20)")
    detector.add_argument("--default-malloc", action="store_true", help="leave malloc as it is for all")
    frame_ap = commands.add_parser("frame-ap", help="the evaluator")
    frame_ap.add_argument("--scale", type=float, default=0.05, help="1 is 17 million detections (default 0.05)")
    frame_ap.add_argument("--preset", choices=PRESETS, default="voc")
    frame_ap.add_argument("--repeat", type=int, default=3)
    frame_ap.add_argument("--same-class", type=float, default=0.0, metavar="SHARE", help="of the video's class (0)")
    evaluation = commands.add_parser("evaluation", help="everything that an evaluation does, step by step")
    evaluation.add_argument("--scale", type=float, default=0.05, help="1 is 17 million detections (default 0.05)")
    video = commands.add_parser("video", help="the detector on a video: frames/s, ms of each part, frame-mAP")
    video.add_argument("--weights", default="", metavar="FILE", help="checkpoint (random weights without one)")
    video.add_argument("--evaluate", action="store_true", help="also frame-mAP on DATASETS.TEST, with --weights")
    video.add_argument("--frames", type=int, default=96, help="length of the video (96)")
    video.add_argument("--setting", dest="settings", action="append", default=[], metavar="KEYS", help="one more row")
    commands.add_parser("export", help="a keyframe of the exported detector in ONNX Runtime and OpenVINO, in int8 too")
    data = commands.add_parser("data", help="reading clips: our readers and others, where installed")
    data.add_argument("--video", metavar="FILE", help="video to read (default: one is made)")
    data.add_argument("--frames", metavar="FOLDER", help="folder of JPEG frames to read (default: one is made)")
    data.add_argument("--seconds", type=int, default=0, metavar="N", help="make a long video (default: 8 s)")
    data.add_argument("--length", type=int, default=20, help="frames of a clip (default 20)")
    data.add_argument("--size", type=int, nargs=2, default=(320, 400), metavar=("H", "W"), help="default 320 400")
    data.add_argument("--metrics", metavar="FILE", help="metrics.json of a run: the share of time it waited for data")
    growth = commands.add_parser("growth", help="how time and memory grow; each point in a process of its own")
    growth.add_argument("curves", nargs="*", metavar="CURVE", help="some of them (default: all)")
    growth.add_argument("--quick", action="store_true", help="toy sizes, to see that it works")
    growth.add_argument("--largest", action="store_true", help="also 100 million detections")
    growth.add_argument("--annotation", default="", metavar="FILE", help="pyannot.pkl whose videos are repeated")
    growth.add_argument("--page", default="", metavar="FILE.md", help="page to write, its picture beside it")
    gpu = commands.add_parser("gpu", help="keyframes and training samples a second, peak memory (on a CPU too)")
    gpu.add_argument("--batch", type=int, nargs="+", default=(1, 8), help="batch sizes (1 8)")
    gpu.add_argument("--eager", action="store_true", help="without the rows of torch.compile, which take minutes")
    docs = commands.add_parser("docs", help="tables of a page from the files that --json wrote")
    docs.add_argument("--page", default="docs/performance.md", metavar="FILE", help="default docs/performance.md")
    docs.add_argument("--folder", default="docs/benchmarks", help="NAME.json of each (docs/benchmarks)")
    rounds = {"networks": 7, "train": 7, "detector": 3, "export": 5, "video": 3, "data": 15, "gpu": 10}
    for name, number in rounds.items():
        commands.choices[name].add_argument("--rounds", type=int, default=number, help=f"of all rows ({number})")
    for name in ("networks", "train", "detector", "export", "evaluation", "video", "growth", "gpu"):
        commands.choices[name].add_argument("--json", dest="json_file", default="", metavar="FILE", help="figures")
    for name in ("detector", "export", "video", "gpu"):
        add_config(commands.choices[name], "config of tools/train_net.py", default="")
    return parser


def main(arguments=None) -> None:
    args = build_parser().parse_args(arguments)
    if not getattr(args, "default_malloc", False):
        tune_malloc()
    with explain_errors():
        from detect.tasks.benchmark import benchmark

        benchmark(args)


if __name__ == "__main__":
    main()
