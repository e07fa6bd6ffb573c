"""Engines that run an exported file: each takes and gives arrays by name.

All run on the CPU, with as many threads as PyTorch has when they are made, and in single precision (int8 where the file
is); OpenVINO in bf16 where MODEL.PRECISION says so.
"""

import os
import warnings
from collections.abc import Callable
from unittest import mock

import numpy as np
import torch

from detect.export.facts import OUTPUTS, ExportFacts, require
from detect.utils.checkpoint_files import CheckpointError, first_line
from detect.utils.errors import MissingExtraError, UserError

Arrays = dict[str, np.ndarray]


def onnx_session(path: str):
    """ONNX Runtime's session of a file."""
    runtime = require("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = torch.get_num_threads(), 3
    return runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def openvino_model(path: str, precision: str):
    """OpenVINO's compiled model of a file. precision: as MODEL.PRECISION."""
    options = {"INFERENCE_NUM_THREADS": torch.get_num_threads(), "PERFORMANCE_HINT": "LATENCY"}
    if precision != "auto":  # unasked it takes bf16 where the CPU has it
        options["INFERENCE_PRECISION_HINT"] = {"fp32": "f32"}.get(precision, precision)
    return require("openvino").Core().compile_model(path, "CPU", options)


class OnnxRuntime:
    def __init__(self, path: str, part: str):
        self._session = onnx_session(path)
        self._names = OUTPUTS[part]

    def __call__(self, inputs: Arrays) -> Arrays:
        return dict(zip(self._names, self._session.run(self._names, inputs), strict=True))


class OpenVino:
    def __init__(self, path: str, part: str, precision: str = "fp32"):
        self._model = openvino_model(path, precision)
        self._names = OUTPUTS[part]

    def __call__(self, inputs: Arrays) -> Arrays:
        found = self._model(inputs)
        return {name: np.array(found[name]) for name in self._names}  # a copy: the engine's buffer is used again


class TorchExport:
    def __init__(self, path: str, part: str):
        forced = {"TORCH_FORCE_WEIGHTS_ONLY_LOAD": "1"}  # torch.export.load would unpickle anything
        with mock.patch.dict(os.environ, forced), warnings.catch_warnings(action="ignore"):
            self._module = torch.export.load(path).module()
        self._names = OUTPUTS[part]

    @torch.no_grad()
    def __call__(self, inputs: Arrays) -> Arrays:
        found = self._module(*map(torch.from_numpy, inputs.values()))
        found = (found,) if isinstance(found, torch.Tensor) else found
        return {name: value.numpy() for name, value in zip(self._names, found, strict=True)}


ENGINES: dict[str, tuple[type, str]] = {  # name -> class, suffix of its files
    "onnxruntime": (OnnxRuntime, ".onnx"),
    "openvino": (OpenVino, ".onnx"),
    "torch": (TorchExport, ".pt2"),
}


def open_engine(
    path: str, facts: ExportFacts, engine: str | None = None, precision: str = "fp32"
) -> Callable[[Arrays], Arrays]:
    """What runs the file: by default ONNX Runtime an .onnx, PyTorch a .pt2. UserError for an engine that does not.

    precision: as MODEL.PRECISION; other than "fp32" of OpenVINO only.
    """
    fitting = [name for name, (_, suffix) in ENGINES.items() if path.endswith(suffix)]
    engine = fitting[0] if engine is None else engine
    if engine not in fitting:
        raise UserError(f"{path}: the engine is {engine!r}; such a file is run by {' or '.join(fitting)}")
    if precision != "fp32" and engine != "openvino":
        raise UserError(f"{path}: MODEL.PRECISION is {precision}; of an exported file {engine} runs fp32 only")
    options = {} if precision == "fp32" else {"precision": precision}
    try:
        return ENGINES[engine][0](path, facts.part, **options)
    except MissingExtraError:
        raise
    except Exception as error:  # each engine has errors of its own
        raise CheckpointError(f"{path}: {engine} cannot load it: {first_line(error)}; export it anew") from error
