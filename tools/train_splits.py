#!/usr/bin/env python
"""Train and test a classifier on the three splits of UCF-101 or HMDB-51 and report each and their mean.

Reads a config of tools/train_classifier.py whose sets have splits (configs/ucf101, configs/hmdb51; any split will do),
and the videos. Writes OUTPUT_DIR/split1, split2, split3, each what tools/train_classifier.py writes, and
OUTPUT_DIR/results.json. Started again it goes on where it was stopped. The last lines are the table.

  tools/train_splits.py --config-file configs/ucf101/s3dg.yaml --num-gpus 8 MODEL.CONTEXT.WEIGHTS kinetics.pth
"""

import argparse

from detect.engine.defaults import tune_malloc
from detect.engine.errors import explain_errors
from detect.engine.splits import split_table, train_splits


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config-file", required=True, metavar="FILE", help="config of tools/train_classifier.py")
    parser.add_argument("--num-gpus", type=int, default=1, help="processes on this machine (CPU if it has no GPU)")
    parser.add_argument("opts", nargs=argparse.REMAINDER, help="config overrides: KEY VALUE KEY VALUE ...")
    return parser.parse_args()


if __name__ == "__main__":
    args = parse_args()
    tune_malloc()
    with explain_errors():
        print(split_table(train_splits(args.config_file, args.opts, num_gpus=args.num_gpus)))
