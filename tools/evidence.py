#!/usr/bin/env python
"""Which networks see the order of time? Train I2D, I3D, S3D, S3D-G and Fast-S3D at equal budget and test both orders.

Reads the config; the synthetic videos are drawn where they are not there yet. Each run trains in
OUTPUT_DIR/<network>_seed<n>, as tools/train_classifier.py does. Writes OUTPUT_DIR/results.json and table.md and prints
the table: per cent of the test videos, mean ± standard deviation over the seeds. Started again it goes on where it was
stopped. About half an hour on two CPU cores.

  tools/evidence.py
"""

import argparse

from detect.engine.defaults import tune_malloc
from detect.engine.errors import explain_errors
from detect.engine.evidence import NETWORKS, evidence_table, gather_evidence


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config-file", default="configs/synthetic_cls.yaml", metavar="FILE", help="the common config")
    parser.add_argument("--networks", default=",".join(NETWORKS), metavar="A,B,...", help="(%(default)s)")
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="seeds 0 to N - 1 (3)")
    parser.add_argument("opts", nargs=argparse.REMAINDER, help="config overrides: KEY VALUE KEY VALUE ...")
    return parser.parse_args()


if __name__ == "__main__":
    args = parse_args()
    tune_malloc()
    with explain_errors():
        found = gather_evidence(args.config_file, args.opts, args.networks.split(","), range(args.seeds))
        print(evidence_table(found))
