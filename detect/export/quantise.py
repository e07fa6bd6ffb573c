"""int8 by static quantisation: the convolutions, and what passes between them, in 8 bits.

Kept in single precision: gates, box arithmetic, RoI pooling and the last layers of the RPN and of the head.
"""

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from detect.export.facts import ExportFacts, require
from detect.export.write import save_onnx

QUANTISED = ("Conv", "Relu", "MaxPool", "Concat")
LAST_LAYERS = ("objectness_logits", "anchor_deltas")  # of the RPN; the head's are no convolutions


def quantise(source: str, path: str, clips: Iterable[dict[str, np.ndarray]], facts: ExportFacts) -> None:
    """Write the int8 form of the .onnx file `source`.

    clips: inputs of the graph, by name, whose activations' least and greatest values become the ends of 8 bits; facts:
    of the new file.  Weights are symmetric, a scale for each output channel.
    """
    onnx, quantization = require("onnx"), require("onnxruntime.quantization")
    with tempfile.TemporaryDirectory() as folder:
        result = str(Path(folder) / "int8.onnx")
        quantization.quantize_static(
            source,
            result,
            _reader(quantization, iter(clips)),
            quant_format=quantization.QuantFormat.QDQ,
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            op_types_to_quantize=list(QUANTISED),
            nodes_to_exclude=_last_layers(onnx.load(source)),
        )
        save_onnx(path, onnx.load(result), facts)


def _last_layers(model) -> list[str]:
    """Names of the nodes whose weights are those of `LAST_LAYERS`."""
    return [node.name for node in model.graph.node if any(part in name for part in LAST_LAYERS for name in node.input)]


def _reader(quantization, clips: Iterator[dict[str, np.ndarray]]):
    class Reader(quantization.CalibrationDataReader):
        def get_next(self):
            return next(clips, None)

    return Reader()
