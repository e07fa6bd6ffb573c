#!/usr/bin/env python
"""Whether a copy of a data set is complete.

Reads the annotation and decodes every video, in parallel; what was decoded is not decoded again while its files stay as
they are. Prints a line `path: what, value, expected` for each thing that is wrong, ten of a kind, then a row of counts
for each set beside the published ones. The last line is `this copy is complete`, of files of one's own `no problems`,
with exit status 0, or `N problems`, with 1.

A name is a set (ucf24_test, jhmdb_split1_train, kinetics400_val), all parts of one (ucf24, jhmdb, synthetic, ucf101,
hmdb51, ...), or a file of one's own: json:FILE, or list:FILE for classification.

  tools/check_dataset.py ucf24 --root /data
"""

from detect.utils.cli import process_count, running_tool, tool_parser


def build_parser():
    parser = tool_parser(__doc__)
    parser.add_argument("names", nargs="+", metavar="NAME", help="sets")
    parser.add_argument("--root", default="", metavar="FOLDER", help="holds ucf24/, jhmdb/, ... (DETECT_DATASETS)")
    parser.add_argument("--no-decode", dest="decode", action="store_false", help="see only whether the files are there")
    parser.add_argument("--workers", type=process_count, metavar="N", help="processes that decode (one for each core)")
    parser.add_argument("--json", dest="json_file", metavar="FILE", help="counts and problems to write")
    return parser


def main(arguments=None) -> None:
    args = build_parser().parse_args(arguments)
    with running_tool():
        from detect.tasks.check_dataset import check_datasets

        check_datasets(**vars(args))


if __name__ == "__main__":
    main()
