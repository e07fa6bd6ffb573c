"""What `tools/convert_weights.py` does: weights of other code in, a checkpoint of ours out."""

import ast
from collections.abc import Sequence
from typing import Any

import torch

import backbones
from backbones.checkpoint import network_from
from backbones.importers import SOURCES, detect_source, import_weights
from detect.modeling.context_weights import config_lines
from detect.utils.checkpoint_files import CheckpointError, read_arrays
from detect.utils.errors import UserError
from detect.utils.files import atomic_file


def convert(
    weights: str,
    output: str,
    *,
    source: str | None = None,
    network: str | None = None,
    fields: Sequence[str] = (),
    num_classes: int | None = None,
    in_channels: int | None = None,
) -> None:
    """See the docstring of tools/convert_weights.py. UserError for bad input; then nothing is written.

    source: a key of `backbones.importers.SOURCES`; None to tell it by the arrays' names.
    """
    arrays, _ = read_arrays(weights)
    try:
        source = source or detect_source(arrays)
        net, report = import_weights(source, arrays, network=network, **parse_fields(fields))
        if num_classes or in_channels:
            net = network_from(backbones.network_state(net), num_classes=num_classes, in_channels=in_channels)
    except ValueError as error:
        raise CheckpointError(f"{weights}: {error}\nthe sources are {', '.join(SOURCES)}") from None
    with atomic_file(output) as file:
        torch.save({**backbones.network_state(net), "source": {"format": source, "file": str(weights)}}, file)
    print(report.text())
    lines = {"MODEL.CONTEXT.WEIGHTS": output, **config_lines(net.spec, net.preprocessing, net.width)}
    print(f"written: {output}, of {source}; its config lines:\n  " + " ".join(f"{k} {v}" for k, v in lines.items()))


def parse_fields(words: Sequence[str]) -> dict[str, Any]:
    """["stem_kernel=3", "padding=symmetric"] -> {"stem_kernel": 3, "padding": "symmetric"}."""
    fields = {}
    for word in words:
        key, sign, text = word.partition("=")
        if not sign:
            raise UserError(f"--set {word}: write FIELD=VALUE; the fields are those of backbones.VariantSpec")
        try:
            fields[key] = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            fields[key] = text
    return fields
