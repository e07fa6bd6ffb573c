#!/usr/bin/env python
"""Export a detector, as a file that ONNX Runtime, OpenVINO or PyTorch runs.

Reads a checkpoint of tools/train_net.py. Writes OUTPUT: .onnx (ONNX) or .pt2 (torch.export), for one clip of the
config's INPUT.NUM_FRAMES and INPUT.SIZE, with the classes and the config inside; docs/export.md says what goes in and
out of each part. tools/demo.py, tools/train_net.py --eval-only and ActionDetector.load take the whole detector. Prints
how far its outputs are from PyTorch's. Packages: pip install -e '.[export]'.

  tools/export.py --weights output/quickstart/model_final.pth --output model.onnx
  tools/export.py --weights model_final.pth --output model_int8.onnx --int8 --calibrate a.mp4 b.mp4
  tools/demo.py --weights model.onnx --engine openvino --input video.mp4 --output out.mp4
"""

from detect.utils.cli import WEIGHTS, add_config, running_tool, tool_parser

PARTS = ("whole", "keyframe", "context", "head")


def build_parser():
    parser = tool_parser(__doc__)
    parser.add_argument("--weights", required=True, metavar="FILE", help=WEIGHTS)
    parser.add_argument("--output", required=True, metavar="FILE", help="file to write, .onnx or .pt2")
    parser.add_argument(
        "--part", choices=PARTS, default="whole",
        help="keyframe network and RPN, context network, region head, or all of it (whole)",
    )  # fmt: skip
    parser.add_argument("--proposals", type=int, metavar="R", help="regions (MODEL.RPN.POST_NMS_TOPK_TEST)")
    parser.add_argument("--int8", action="store_true", help="convolutions in 8 bits; .onnx only")
    parser.add_argument(
        "--calibrate", nargs="+", default=(), metavar="VIDEO",
        help="of --int8: videos, or sets such as json:FILE, whose activations give the ranges (32 clips in all)",
    )  # fmt: skip
    add_config(parser, "for a checkpoint without its config", default="", nargs="*")
    return parser


def main(arguments=None) -> None:
    args = build_parser().parse_args(arguments)
    with running_tool():
        from detect.tasks.export import export

        export(**vars(args))


if __name__ == "__main__":
    main()
