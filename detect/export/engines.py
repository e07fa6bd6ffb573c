"""Engines that run an exported file: each takes and gives arrays by name.

All run on the CPU, in single precision (int8 where the file is), with as many threads as PyTorch has when they are
made.
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


class OnnxRuntime:
    def __init__(self, path: str, part: str):
        runtime = require("onnxruntime")
        options = runtime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = torch.get_num_threads(), 3
        self._session = runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self._names = OUTPUTS[part]

    def __call__(self, inputs: Arrays) -> Arrays:
        return dict(zip(self._names, self._session.run(self._names, inputs), strict=True))


class OpenVino:
    def __init__(self, path: str, part: str):
        openvino = require("openvino")
        # it would take bf16 unasked where the CPU has it
        options = {"INFERENCE_NUM_THREADS": torch.get_num_threads(), "INFERENCE_PRECISION_HINT": "f32"}
        self._model = openvino.Core().compile_model(path, "CPU", options)
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


def open_engine(path: str, facts: ExportFacts, engine: str | None = None) -> Callable[[Arrays], Arrays]:
    """What runs the file: by default ONNX Runtime an .onnx, PyTorch a .pt2. UserError for an engine that does not."""
    fitting = [name for name, (_, suffix) in ENGINES.items() if path.endswith(suffix)]
    engine = fitting[0] if engine is None else engine
    if engine not in fitting:
        raise UserError(f"{path}: the engine is {engine!r}; such a file is run by {' or '.join(fitting)}")
    try:
        return ENGINES[engine][0](path, facts.part)
    except MissingExtraError:
        raise
    except Exception as error:  # each engine has errors of its own
        raise CheckpointError(f"{path}: {engine} cannot load it: {first_line(error)}; export it anew") from error
