"""int8 by static quantisation: the convolutions, with their inputs and outputs, in 8 bits.

Kept in single precision: the first convolution of each network, gates, box arithmetic, RoI pooling and the last layers
of the RPN and of the head. Concatenations too: in 8 bits the branches of an Inception block would share one range. On
31 clips of real people that cost two points of frame-mAP, and the first convolutions about half a one.
"""

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from detect.export.facts import ExportFacts, require
from detect.export.write import quiet, save_onnx

QUANTISED = ("Conv", "Relu", "MaxPool")
# Parts of the names of weights: the stems, and the last layers of the RPN; those of the head are no convolutions.
KEPT = ("backbone.trunk.conv1.", ".conv2d_1a_7x7.spatial.", "objectness_logits", "anchor_deltas")


def quantise(source: str, path: str, clips: Iterable[dict[str, np.ndarray]], facts: ExportFacts) -> None:
    """Write the int8 form of the .onnx file `source`.

    clips: inputs of the graph, by name, whose activations' least and greatest values become the ends of 8 bits; facts:
    of the new file.  Weights are symmetric, a scale for each output channel.
    """
    onnx, quantization = require("onnx"), require("onnxruntime.quantization")
    with tempfile.TemporaryDirectory() as folder, quiet():
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
            nodes_to_exclude=_kept(onnx.load(source)),
        )
        save_onnx(path, onnx.load(result), facts)


def _kept(model) -> list[str]:
    """Names of the nodes whose weights are those of `KEPT`."""
    return [node.name for node in model.graph.node if any(part in name for part in KEPT for name in node.input)]


def _reader(quantization, clips: Iterator[dict[str, np.ndarray]]):
    class Reader(quantization.CalibrationDataReader):
        def get_next(self):
            return next(clips, None)

    return Reader()
