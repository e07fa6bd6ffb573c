#!/usr/bin/env python
"""Draw t-SNE embeddings of a classifier's activations for videos, a panel for each layer (the paper's Figure 7).

Reads a checkpoint of tools/train_classifier.py and the videos of DATASETS.TEST; with --groups FILE, a text file with a
line `class group` (parted by a tab where groups hold spaces), the colours are groups instead of classes. Writes the
picture --output (.png) and beside it an .npz with `videos`, `groups` and the coordinates (V, 2) of each layer. Needs
scikit-learn and matplotlib: pip install 'action-detection[plots]'.

  tools/tsne.py --weights output/ssv1/s3dg/model_final.pth --output tsne.png
"""

from pathlib import Path

from detect.utils.cli import WEIGHTS, add_config, add_endpoint, old_name, running_tool, tool_parser

ENDPOINTS = ("conv2d_2c_3x3", "mixed_3c", "mixed_4c", "mixed_4f", "mixed_5c")


def build_parser():
    parser = tool_parser(__doc__)
    parser.add_argument("--weights", default="", metavar="FILE", help=f"MODEL.WEIGHTS, a {WEIGHTS}")
    parser.add_argument("--output", required=True, type=Path, metavar="PNG", help="picture to write")
    parser.add_argument("--groups", metavar="FILE", help="lines `class group`")
    add_endpoint(parser, ENDPOINTS)
    old_name(parser, "--endpoints", "--endpoint", type=lambda text: text.split(","))
    parser.add_argument("--perplexity", type=float, default=30.0, help="of t-SNE (%(default)s)")
    add_config(parser, "for a checkpoint without its config", default="")
    return parser


def main(arguments=None) -> None:
    args = build_parser().parse_args(arguments)
    with running_tool():
        from detect.tasks.tsne import draw_tsne

        endpoints = args.endpoint or ENDPOINTS
        draw_tsne(args.config_file, args.opts, args.weights, endpoints, args.groups, args.output, args.perplexity)


if __name__ == "__main__":
    main()
