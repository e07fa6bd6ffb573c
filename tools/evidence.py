#!/usr/bin/env python
"""Which networks see the order of time? Train I2D, I3D, S3D, S3D-G and Fast-S3D at equal budget and test both orders.

Reads the config; the synthetic videos are drawn where they are not there yet. Each run trains in
OUTPUT_DIR/<network>_seed<n>, as tools/train_classifier.py does. Writes OUTPUT_DIR/results.json and table.md and prints
the table: per cent of the test videos, mean ± standard deviation over the seeds. Started again it goes on where it was
stopped. About half an hour on two CPU cores.

  tools/evidence.py
"""

from detect.utils.cli import add_config, old_name, running_tool, tool_parser

NETWORKS = ("i2d", "i3d", "s3d", "s3dg", "fast_s3d")


def build_parser():
    parser = tool_parser(__doc__)
    parser.add_argument(
        "--network", nargs="+", action="extend", metavar="NAME", help=f"repeatable ({' '.join(NETWORKS)})"
    )
    old_name(parser, "--networks", "--network", type=lambda text: text.split(","))
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="seeds 0 to N - 1 (3)")
    add_config(parser, "the common config (%(default)s)", default="configs/synthetic_cls.yaml")
    return parser


def main(arguments=None) -> None:
    args = build_parser().parse_args(arguments)
    with running_tool():
        from detect.tasks.evidence import evidence_table, gather_evidence

        found = gather_evidence(args.config_file, args.opts, args.network or NETWORKS, range(args.seeds))
        print(evidence_table(found))


if __name__ == "__main__":
    main()
