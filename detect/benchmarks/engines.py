"""Other engines as rows of a benchmark: the same network, exported to ONNX, in ONNX Runtime and OpenVINO.

They are optional (`pip install -e '.[export]'`); a row of an engine that is not installed is left out.
"""

import importlib.util
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from detect.export.engines import onnx_session, openvino_model

Run = Callable[[], Tensor]


def export_onnx(net: nn.Module, clip: Tensor, path: Path) -> None:
    with torch.inference_mode():
        program = torch.onnx.export(net, (clip,), dynamo=True, verbose=False)
    program.save(path)


def engine_rows(path: Path, clip: Tensor) -> dict[str, Run]:
    """{"OpenVINO bf16": a call that gives the output, ...} of an ONNX file with one input and one output, on as many
    threads as PyTorch has.
    """
    rows = {"ONNX Runtime fp32": _onnx_runtime(path, clip)} if installed("onnxruntime") else {}
    if installed("openvino"):
        rows |= {f"OpenVINO {precision}": _openvino(path, clip, precision) for precision in ("fp32", "bf16")}
    return rows


def installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def _onnx_runtime(path: Path, clip: Tensor) -> Run:
    session = onnx_session(str(path))
    (name,), array = (entry.name for entry in session.get_inputs()), clip.numpy()
    return lambda: torch.from_numpy(session.run(None, {name: array})[0])


def _openvino(path: Path, clip: Tensor, precision: str) -> Run:
    request, array = openvino_model(str(path), precision).create_infer_request(), clip.numpy()
    return lambda: torch.from_numpy(request.infer([array])[0])
