#!/usr/bin/env python
"""See a data set: clips exactly as the model gets them, or every video on one page.

Reads a registered set, or json:FILE. Writes a picture, .png or .jpg: each keyframe large as the 2D network sees it, its
clip as the 3D network does, boxes and labels, flow as colours where MODEL.STREAMS has it. Training sets are shown with
augmentation, the first keyframes that a run with SEED --seed sees; test sets without, evenly spread. Or a page, .html,
in one file: a card for each video with frames, boxes and tubes over time.

  tools/visualize_data.py synthetic_train --config-file configs/quickstart.yaml --output clips.png
  tools/visualize_data.py ucf24_test --video SoccerJuggling/v_SoccerJuggling_g23_c01 --frame 0 --output first.png
  tools/visualize_data.py synthetic_train --output set.html
"""

from detect.utils.cli import add_config, running_tool, tool_parser


def build_parser():
    parser = tool_parser(__doc__)
    parser.add_argument("name", metavar="NAME", help="registered set such as ucf24_train, or json:FILE")
    parser.add_argument("--output", required=True, metavar="FILE", help="picture .png or .jpg, or page .html, to write")
    parser.add_argument("--index", nargs="+", type=int, default=(), metavar="I", help="keyframes by number, from 0")
    parser.add_argument("--video", default="", metavar="V", help="video by name; its middle keyframe unless --frame")
    parser.add_argument("--frame", type=int, metavar="K", help="keyframe of --video, from 0")
    parser.add_argument("--count", type=int, metavar="N", help="keyframes on a picture (4), videos on a page (all)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of augmentation and choice (0)")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--train", action="store_true", default=None, help="with augmentation, whatever the set")
    kind.add_argument("--test", dest="train", action="store_false", default=None, help="without, whatever the set")
    parser.add_argument("--flow", action="store_true", help="flow beside, also where MODEL.STREAMS has none")
    config_help = "YAML config with INPUT and MODEL.STREAMS; see configs/. Without it: the defaults"
    add_config(parser, config_help, nargs="*", default="")
    return parser


def main(arguments=None) -> None:
    args = build_parser().parse_intermixed_args(arguments)
    with running_tool():
        from detect.tasks.visualize_data import visualize_data

        visualize_data(**vars(args))


if __name__ == "__main__":
    main()
