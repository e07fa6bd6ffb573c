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
listed in OUTPUT/bad_inputs.txt; the exit status is then 1.

  tools/extract_features.py --weights s3dg_kinetics.pth --input videos/ --output features/
  tools/extract_features.py --weights plain.pth --network s3d --input list.txt --output features/ \\
      --endpoint mixed_4e mixed_5c --pool none --clip-length 16 --clip-stride 8
"""

import argparse

from detect.engine.defaults import tune_malloc
from detect.engine.errors import explain_errors
from detect.features import run_extract_features


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", required=True, metavar="FILE", help="checkpoint, or a plain state dict")
    parser.add_argument("--network", metavar="NAME", help="of a plain state dict, such as s3dg")
    parser.add_argument("--width", type=float, default=1.0, help="of a plain state dict's network (1)")
    parser.add_argument("--input", required=True, metavar="PATH", help="folder, video or list of videos")
    parser.add_argument("--root", metavar="FOLDER", help="what a list's paths are relative to (the list's folder)")
    parser.add_argument("--output", required=True, metavar="FOLDER", help="where to write")
    parser.add_argument("--endpoint", nargs="+", default=["mixed_5c"], metavar="NAME", help="one or more (mixed_5c)")
    parser.add_argument("--pool", choices=("mean", "none"), default="mean", help="over time and space (mean)")
    parser.add_argument("--clip-length", type=int, default=64, metavar="N", help="frames (64)")
    parser.add_argument("--clip-stride", type=int, metavar="N", help="frames between clips (the clip length)")
    parser.add_argument("--frame-step", type=int, default=1, metavar="N", help="take every n-th frame only (1)")
    parser.add_argument("--resize", type=int, nargs=2, default=(256, 256), metavar=("H", "W"), help="frames (256 256)")
    parser.add_argument("--crop", type=int, nargs=2, default=(224, 224), metavar=("H", "W"), help="centre (224 224)")
    parser.add_argument("--batch-size", type=int, default=1, help="clips per forward pass (1)")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1 (cpu)")
    return parser.parse_args()


if __name__ == "__main__":
    args = parse_args()
    tune_malloc()
    with explain_errors():
        run_extract_features(args)
