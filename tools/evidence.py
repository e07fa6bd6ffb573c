#!/usr/bin/env python
"""The paper's comparisons on videos drawn by code, several networks and seeds at equal budget.

--table order: which networks see the order of time? I2D, I3D, S3D, S3D-G and Fast-S3D as classifiers, tested with the
frames in both orders; half an hour on two CPU cores. --table streams: the detector with RGB, with flow (DIS, computed
first) and with both, S3D-G and I3D; an hour and a half.

Reads the config; the synthetic videos are drawn where they are not there yet. Each run trains in
OUTPUT_DIR/<network>_..._seed<n>, as the training tools do. Writes OUTPUT_DIR/results.json
and table.md and prints the table: per cent, mean ± standard deviation over the seeds. Started again it goes on where it
was stopped.

  tools/evidence.py
  tools/evidence.py --table streams OUTPUT_DIR output/streams
"""

from detect.utils.cli import add_config, old_name, running_tool, tool_parser

TABLES = {  # name -> its config and networks
    "order": ("configs/synthetic_cls.yaml", ("i2d", "i3d", "s3d", "s3dg", "fast_s3d")),
    "streams": ("configs/quickstart.yaml", ("s3dg", "i3d")),
}


def build_parser():
    parser = tool_parser(__doc__)
    parser.add_argument("--table", choices=TABLES, default="order", help="what is compared (order)")
    parser.add_argument("--network", nargs="+", action="extend", metavar="NAME", help="repeatable (those named above)")
    old_name(parser, "--networks", "--network", type=lambda text: text.split(","))
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="seeds 0 to N - 1 (3)")
    shown = ", ".join(config for config, _ in TABLES.values())
    add_config(parser, f"the common config ({shown})", default="")
    return parser


def main(arguments=None) -> None:
    args = build_parser().parse_args(arguments)
    with running_tool():
        config, networks = TABLES[args.table]
        config, networks = args.config_file or config, args.network or networks
        if args.table == "order":
            from detect.tasks.evidence import evidence_table, gather_evidence

            print(evidence_table(gather_evidence(config, args.opts, networks, range(args.seeds))))
        else:
            from detect.tasks.detection_evidence import gather_stream_evidence, stream_table

            print(stream_table(gather_stream_evidence(config, args.opts, networks, range(args.seeds))))


if __name__ == "__main__":
    main()
