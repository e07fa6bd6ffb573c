"""Other engines as rows of a benchmark: the same network, exported to ONNX, in ONNX Runtime and OpenVINO.

They are optional (`pip install -e '.[export]'`); a row of an engine that is not installed is left out.
"""

import importlib.util
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

Run = Callable[[], Tensor]
HINTS = {"fp32": "f32", "bf16": "bf16"}  # precision -> OpenVINO's name of it


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
        rows |= {f"OpenVINO {precision}": _openvino(path, clip, hint) for precision, hint in HINTS.items()}
    return rows


def installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def _onnx_runtime(path: Path, clip: Tensor) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    (name,), array = (entry.name for entry in session.get_inputs()), clip.numpy()
    return lambda: torch.from_numpy(session.run(None, {name: array})[0])


def _openvino(path: Path, clip: Tensor, hint: str) -> Run:
    import openvino

    threads = {"INFERENCE_NUM_THREADS": torch.get_num_threads(), "PERFORMANCE_HINT": "LATENCY"}
    compiled = openvino.Core().compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": hint, **threads})
    request, array = compiled.create_infer_request(), clip.numpy()
    return lambda: torch.from_numpy(request.infer([array])[0])
