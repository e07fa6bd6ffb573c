"""Graphs as files: ONNX and torch.export, with what inference needs inside."""

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from detect.export.facts import KEY, OUTPUTS, ExportFacts, require
from detect.utils.errors import UserError
from detect.utils.files import atomic_file

MOST_BYTES = 2**31 - 1  # of a protobuf message


def write_graph(path: str, graph: nn.Module, inputs: dict[str, Tensor], facts: ExportFacts) -> None:
    """Write an .onnx or a .pt2, as the name says. MissingExtraError without the packages for ONNX."""
    (write_onnx if path.endswith(".onnx") else write_pt2)(path, graph, inputs, facts)


def write_onnx(path: str, graph: nn.Module, inputs: dict[str, Tensor], facts: ExportFacts) -> None:
    for package in ("onnx", "onnxscript"):
        require(package)
    names = {"input_names": list(inputs), "output_names": list(OUTPUTS[facts.part])}
    with torch.no_grad(), quiet():
        program = torch.onnx.export(graph, tuple(inputs.values()), dynamo=True, verbose=False, **names)
    save_onnx(path, program.model_proto, facts)


def save_onnx(path: str, proto: Any, facts: ExportFacts) -> None:
    """Write an `onnx.ModelProto`, atomically, with `facts` in its metadata."""
    if proto.ByteSize() > MOST_BYTES:
        raise UserError(f"{path}: the graph has {proto.ByteSize():,} bytes, and a file of ONNX at most {MOST_BYTES:,}")
    kept = {item.key: item.value for item in proto.metadata_props} | {KEY: facts.to_json()}
    require("onnx").helper.set_model_props(proto, kept)
    with atomic_file(path, proto.ByteSize()) as file:
        file.write(proto.SerializeToString())


def write_pt2(path: str, graph: nn.Module, inputs: dict[str, Tensor], facts: ExportFacts) -> None:
    buffer = io.BytesIO()
    with torch.no_grad(), quiet():
        program = torch.export.export(graph, tuple(inputs.values()))
        torch.export.save(program, buffer, extra_files={f"{KEY}.json": facts.to_json()})
    with atomic_file(path, buffer.tell()) as file:
        file.write(buffer.getvalue())


@contextmanager
def quiet() -> Iterator[None]:
    """Without the exporters' notes on their own workings."""
    loggers = [logging.getLogger(name) for name in ("", "torch.onnx", "torch.export", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
