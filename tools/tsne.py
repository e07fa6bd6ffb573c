#!/usr/bin/env python
"""Draw t-SNE embeddings of a classifier's activations for videos, a panel for each layer (the paper's Figure 7).

Reads a config, a checkpoint of tools/train_classifier.py and the videos of DATASETS.TEST; with --groups FILE, a text
file with a line `class group` (parted by a tab where groups hold spaces), the colours are groups instead of classes.
Writes the picture --output (.png) and beside it an .npz with `videos`, `groups` and the coordinates (V, 2) of each
layer. Needs scikit-learn and matplotlib: pip install 'action-detection[plots]'.

  tools/tsne.py --config-file configs/ssv1/s3dg.yaml --output tsne.png MODEL.WEIGHTS output/ssv1/s3dg/model_final.pth
"""

import argparse
from pathlib import Path

from detect.classification.tsne import ENDPOINTS, PERPLEXITY
from detect.config import load_cfg
from detect.data.catalog import set_datasets_root
from detect.engine.defaults import tune_malloc
from detect.engine.errors import explain_errors
from detect.engine.tsne import draw_tsne


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config-file", required=True, metavar="FILE", help="the config it was trained with")
    parser.add_argument("--output", required=True, type=Path, metavar="PNG", help="picture to write")
    parser.add_argument("--groups", metavar="FILE", help="lines `class group`")
    parser.add_argument("--endpoints", default=",".join(ENDPOINTS), metavar="A,B,...", help="layers (%(default)s)")
    parser.add_argument("--perplexity", type=float, default=PERPLEXITY, help="of t-SNE (%(default)s)")
    parser.add_argument("opts", nargs=argparse.REMAINDER, help="config overrides: KEY VALUE KEY VALUE ...")
    return parser.parse_args()


if __name__ == "__main__":
    args = parse_args()
    tune_malloc()
    with explain_errors():
        cfg = load_cfg(args.config_file, args.opts)
        set_datasets_root(cfg.DATASETS.ROOT)
        draw_tsne(cfg, args.endpoints.split(","), args.groups, args.output, args.perplexity)
