#!/usr/bin/env python
"""Turn weights of other code into a checkpoint of ours, which knows its network and the normalisation of its input.

Reads --weights: an .npz of name -> array, a PyTorch file, a .pkl of numpy arrays, the prefix of a TensorFlow checkpoint
(needs tensorflow), or an address. Writes --output (.pth), for MODEL.CONTEXT.WEIGHTS of a detector or classifier and for
the other tools, and prints what became of every array and the config lines that belong to it. If anything is missing,
unexpected or of the wrong shape, nothing is written. docs/weights.md says what each source computes.
MODEL.CONTEXT.WEIGHTS takes the same files and addresses directly; converting says what happens to them.

  tools/convert_weights.py --weights torchvision://S3D_Weights.KINETICS400_V1 --output s3d_kinetics.pth
  tools/convert_weights.py --weights googlenet.pth --output s3dg_imagenet.pth --network s3dg       (inflated)
  tools/convert_weights.py --weights model.ckpt --output s3dg_flow.pth --in-channels 2 --num-classes 101
"""

from detect.utils.cli import WEIGHTS, old_positional, running_tool, tool_parser

SOURCES = (
    "slim", "slim_inception_v1", "deepmind", "piergiaj", "hassony2", "kylemin", "torchvision", "howto100m", "googlenet",
)  # fmt: skip


def build_parser():
    parser = tool_parser(__doc__)
    parser.add_argument("--weights", metavar="FILE", help=WEIGHTS)
    parser.add_argument("--output", metavar="FILE", help="checkpoint to write")
    parser.add_argument(
        "--from", dest="source", metavar="SOURCE", help=f"one of {', '.join(SOURCES)} (told by the arrays' names)"
    )
    parser.add_argument("--network", metavar="NAME", help="of image weights: the network to inflate, such as s3dg")
    parser.add_argument(
        "--set", dest="fields", nargs="+", default=[], metavar="FIELD=VALUE", help="of an inflated network: VariantSpec"
    )
    parser.add_argument("--num-classes", type=int, help="for other classes: a new head, at random")
    parser.add_argument("--in-channels", type=int, help="for other input, 2 for flow: mean of the first convolution")
    old_positional(parser)
    return parser


def main(arguments=None) -> None:
    parser = build_parser()
    args = parser.parse_args(arguments)
    if files := vars(args).pop("old"):
        args.weights, args.output = (files + [None])[:2]
    if not args.weights or not args.output:
        parser.error("--weights and --output are required")
    with running_tool():
        from detect.tasks.convert import convert

        convert(**vars(args))


if __name__ == "__main__":
    main()
