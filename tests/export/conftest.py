"""A tiny detector and its exported files."""

import pytest

from detect.tasks.export import export
from tests.export.lively import save_lively_detector


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    return save_lively_detector(tmp_path_factory.mktemp("export") / "model_final.pth")


@pytest.fixture(scope="session")
def onnx_file(checkpoint):
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package)
    path = checkpoint.with_name("model.onnx")
    export(str(checkpoint), str(path))
    return path


@pytest.fixture(scope="session")
def pt2_file(checkpoint):
    path = checkpoint.with_name("model.pt2")
    export(str(checkpoint), str(path))
    return path
