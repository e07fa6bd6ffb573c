#!/usr/bin/env python
"""Test a classifier with the frames in normal and in reversed order (the paper's Table 1), from one checkpoint.

Reads a config, a checkpoint of tools/train_classifier.py and the videos of DATASETS.TEST. With --partners FILE, a text
file with a line `class partner` (parted by a tab where names hold spaces) for classes that are each other in opposite
order of time, it also says how often a reversed video is taken for the partner. Prints a table for each set and writes
OUTPUT_DIR/evaluation/<set>/arrow_of_time.json.

  tools/arrow_of_time.py --config-file configs/ssv1/i3d.yaml MODEL.WEIGHTS output/ssv1/i3d/model_final.pth
"""

import argparse

from detect.classification.class_table import read_class_table
from detect.config import load_cfg
from detect.data.catalog import set_datasets_root
from detect.engine.arrow_of_time import arrow_of_time, order_table
from detect.engine.defaults import tune_malloc
from detect.engine.errors import explain_errors


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config-file", required=True, metavar="FILE", help="the config it was trained with")
    parser.add_argument("--partners", metavar="FILE", help="lines `class partner`")
    parser.add_argument("opts", nargs=argparse.REMAINDER, help="config overrides: KEY VALUE KEY VALUE ...")
    return parser.parse_args()


if __name__ == "__main__":
    args = parse_args()
    tune_malloc()
    with explain_errors():
        cfg = load_cfg(args.config_file, args.opts)
        set_datasets_root(cfg.DATASETS.ROOT)
        partners = read_class_table(args.partners) if args.partners else None
        for name, result in arrow_of_time(cfg, partners).items():
            print(f"{name}, {result['videos']} videos\n{order_table(result)}")
