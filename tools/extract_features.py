#!/usr/bin/env python
"""Features of every clip of many videos, from any endpoint of a network.

Reads videos (a folder tree of video files or of frame folders, one video, or a text file with one path a line) and a
checkpoint; each frame is decoded once. Frames are resized, cropped at the centre and normalised as the checkpoint says.
Clips of --clip-length frames start every --clip-stride frames; the last one repeats the last frame where needed.
Writes, for each video, OUTPUT/<path of the video without extension>.npz with
  <endpoint>     (clips, C) float32, the mean over time and space; (clips, C, T, H, W) with --pool none
  start_frame    (clips,) first frame of each clip, counted from 0 in the video
  real_frames    (clips,) frames of the clip that are the video's, before the last one is repeated
  num_frames     of the video          fps   of the video, nan for a folder of frames
and OUTPUT/settings.json. A killed run goes on where it was: finished videos are skipped. Videos that do not decode are
listed in OUTPUT/bad_inputs.txt (of a shard bad_inputs_<i>_of_<n>.txt); the exit status is then 1.

  tools/extract_features.py --weights torchvision://S3D_Weights.KINETICS400_V1 --input videos/ --output features/
  tools/extract_features.py --weights plain.pth --network s3d --input list.txt --output features/ \\
      --endpoint mixed_4e --endpoint mixed_5c --pool none --clip-length 16 --clip-stride 8
  torchrun --nproc-per-node 8 tools/extract_features.py --device cuda --weights ... --input videos/ --output features/
"""

from detect.utils.cli import WEIGHTS, add_endpoint, add_shard, running_tool, tool_parser

ENDPOINTS = ("mixed_5c",)


def build_parser():
    parser = tool_parser(__doc__)
    parser.add_argument("--weights", required=True, metavar="FILE", help=WEIGHTS)
    parser.add_argument("--network", metavar="NAME", help="of a plain state dict, such as s3dg")
    parser.add_argument("--width", type=float, default=1.0, help="of a plain state dict's network (1)")
    parser.add_argument("--input", required=True, metavar="PATH", help="folder, video or list of videos")
    parser.add_argument("--root", metavar="FOLDER", help="what a list's paths are relative to (the list's folder)")
    parser.add_argument("--output", required=True, metavar="FOLDER", help="where to write")
    add_endpoint(parser, ENDPOINTS)
    parser.add_argument("--pool", choices=("mean", "none"), default="mean", help="over time and space (mean)")
    parser.add_argument("--clip-length", type=int, default=64, metavar="N", help="frames (64)")
    parser.add_argument("--clip-stride", type=int, metavar="N", help="frames between clips (the clip length)")
    parser.add_argument("--frame-step", type=int, default=1, metavar="N", help="take every n-th frame only (1)")
    parser.add_argument("--resize", type=int, nargs=2, default=(256, 256), metavar=("H", "W"), help="frames (256 256)")
    parser.add_argument("--crop", type=int, nargs=2, default=(224, 224), metavar=("H", "W"), help="centre (224 224)")
    parser.add_argument("--batch-size", type=int, default=1, help="clips per forward pass (1)")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1 (cpu)")
    add_shard(parser)
    return parser


def main(arguments=None) -> None:
    args = build_parser().parse_args(arguments)
    with running_tool():
        from detect.tasks.features import FeatureSettings, run_extract_features

        settings = FeatureSettings(
            tuple(args.endpoint or ENDPOINTS),
            args.pool,
            args.clip_length,
            args.clip_length if args.clip_stride is None else args.clip_stride,
            args.frame_step,
            tuple(args.resize),
            tuple(args.crop),
        )
        run_extract_features(
            args.weights,
            args.input,
            args.output,
            settings,
            network=args.network,
            width=args.width,
            root=args.root,
            device=args.device,
            batch_size=args.batch_size,
            shard=args.shard,
        )


if __name__ == "__main__":
    main()
