#!/usr/bin/env python
"""Make a checkpoint of a training small enough to pass on: the weights and what says how to use them.

Reads a checkpoint of tools/train_net.py or tools/train_classifier.py. Writes OUTPUT without what only --resume needs
(the optimiser, the schedule, the random generators): half of the size with sgd, a third with adamw. Everything that
evaluates, detects or starts from weights takes it. Prints both sizes and the sha256.

  tools/publish_model.py output/quickstart/model_final.pth quickstart.pth
"""

from detect.utils.cli import running_tool, tool_parser


def build_parser():
    parser = tool_parser(__doc__)
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="file of a training")
    parser.add_argument("output", metavar="OUTPUT", help="file to write, .pth")
    return parser


def main(arguments=None) -> None:
    args = build_parser().parse_args(arguments)
    with running_tool():
        from detect.tasks.publish import publish

        publish(**vars(args))


if __name__ == "__main__":
    main()
