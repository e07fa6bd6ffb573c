#!/usr/bin/env python
"""Turn weights of other code into a checkpoint of ours, which knows its network and the pixels that it wants.

Reads IN: an .npz of name -> array, a PyTorch file, a .pkl of numpy arrays, or the prefix of a TensorFlow checkpoint
(needs tensorflow). Writes OUT (.pth), for MODEL.CONTEXT.WEIGHTS of a detector or classifier and for the other tools,
and prints what became of every array and the config lines that belong to it. If anything is missing, unexpected or of
the wrong shape, nothing is written. docs/weights.md says what each source computes.

  tools/convert_weights.py --from torchvision s3d.pth s3d_kinetics.pth
  tools/convert_weights.py --from googlenet googlenet.pth s3dg_imagenet.pth --network s3dg       (inflated)
  tools/convert_weights.py --from slim model.ckpt s3dg_flow.pth --in-channels 2 --num-classes 101
"""

import argparse

from backbones.importers import SOURCES
from detect.convert import convert
from detect.engine.errors import explain_errors


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--from", dest="source", required=True, metavar="SOURCE", help=f"one of {', '.join(SOURCES)}")
    parser.add_argument("input", metavar="IN", help="weights of that source")
    parser.add_argument("output", metavar="OUT", help="checkpoint to write")
    parser.add_argument("--network", help="of image weights: the network to inflate, as for backbones.build")
    parser.add_argument(
        "--set", dest="fields", nargs="+", default=[], metavar="FIELD=VALUE", help="of an inflated network: VariantSpec"
    )
    parser.add_argument("--num-classes", type=int, help="for other classes: a new head, at random")
    parser.add_argument("--in-channels", type=int, help="for other input, 2 for flow: mean of the first convolution")
    return parser.parse_args()


if __name__ == "__main__":
    args = parse_args()
    with explain_errors():
        convert(args)
