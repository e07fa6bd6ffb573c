#!/usr/bin/env python
"""Optical flow of many videos, for the flow networks.

Reads every video below --input: a folder tree of video files or frame folders, one video file, or a text file that
lists paths (a label after the path is allowed). Writes, for each,

  OUTPUT/<same path without extension>/flow_x_00001.jpg, flow_y_00001.jpg, ...   motion from frame k to k+1, +-20 pixels
                                                                               spread over 0..255, grey JPEG
                                      meta.json                                method, parameters, number of frames
  OUTPUT/bad_inputs.txt                                                        missing and unreadable videos; then the
                                                                               exit status is 1

A video's folder appears when it is complete. Stop at any time (Ctrl-C, SIGTERM, kill -9) and give the same command
again: finished videos are skipped, leftovers removed.

TV-L1, the published networks' flow, is cv2.optflow.DualTVL1OpticalFlow with OpenCV's defaults. It comes with the
package opencv-contrib-python-headless, which setup.py installs; opencv-python does not have it. About half a pair of
340 x 256 frames a second and core. DIS is some 200 times faster and gives other flow, which meta.json says.

  tools/extract_flow.py --input ucf24/UCF-101 --output ucf24/tvl1 --workers 16
  tools/extract_flow.py --input kinetics/train.txt --root kinetics --output flow --short-side 256 \\
      --shard 3/8 --workers 64
"""

from detect.utils.cli import add_shard, running_tool, tool_parser


def build_parser():
    parser = tool_parser(__doc__)
    parser.add_argument("--input", required=True, metavar="PATH", help="folder tree, video file or list of paths")
    parser.add_argument("--output", required=True, metavar="FOLDER", help="where the tree of flow folders is written")
    parser.add_argument("--root", metavar="FOLDER", help="what the list's paths are relative to (the list's folder)")
    parser.add_argument("--method", choices=("tvl1", "dis"), default="tvl1", help="(tvl1)")
    parser.add_argument("--short-side", type=int, metavar="PIXELS", help="resize frames before (as they are)")
    parser.add_argument("--quality", type=int, default=95, choices=range(1, 101), metavar="1-100", help="of JPEG (95)")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes, one thread each (1)")
    add_shard(parser)
    return parser


def main(arguments=None) -> None:
    args = build_parser().parse_args(arguments)
    with running_tool():
        from detect.tasks.extract_flow import run_extract_flow
        from detect.video.flow_extraction import FlowSettings

        settings = FlowSettings(args.method, args.short_side, args.quality)
        run_extract_flow(args.input, args.output, settings, root=args.root, workers=args.workers, shard=args.shard)


if __name__ == "__main__":
    main()
