"""What `tools/convert_weights.py` does: weights of other code in, a checkpoint of ours out."""

import argparse
import ast
from typing import Any

import torch

import backbones
from backbones.checkpoint import network_from
from backbones.importers import SOURCES, WeightsError, import_weights
from detect.files import atomic_file
from detect.modeling.context_weights import config_lines
from detect.weights import CheckpointError, read_arrays


def convert(args: argparse.Namespace) -> None:
    """See the docstring of tools/convert_weights.py. CheckpointError or ValueError for bad input; then nothing is
    written."""
    arrays, _ = read_arrays(args.input)
    try:
        net, report = import_weights(args.source, arrays, network=args.network, **parse_fields(args.fields))
    except WeightsError as error:
        raise CheckpointError(f"{args.input}: {error}\nthe sources are {', '.join(SOURCES)}") from None
    sizes = {"num_classes": args.num_classes, "in_channels": args.in_channels}
    if any(sizes.values()):
        net = network_from(backbones.network_state(net), **sizes)
    with atomic_file(args.output) as file:
        torch.save({**backbones.network_state(net), "source": {"format": args.source, "file": str(args.input)}}, file)
    print(report.text())
    lines = {"MODEL.CONTEXT.WEIGHTS": args.output, **config_lines(net.spec, net.preprocessing, net.width)}
    print(f"written: {args.output}; its config lines:\n  " + " ".join(f"{k} {v}" for k, v in lines.items()))


def parse_fields(words: list[str]) -> dict[str, Any]:
    """["stem_kernel=3", "padding=symmetric"] -> {"stem_kernel": 3, "padding": "symmetric"}."""
    fields = {}
    for word in words:
        key, sign, text = word.partition("=")
        if not sign:
            raise ValueError(f"--set {word}: write FIELD=VALUE; the fields are those of backbones.VariantSpec")
        try:
            fields[key] = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            fields[key] = text
    return fields
