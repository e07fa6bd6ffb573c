"""The benchmark of exported detectors: a row for each engine and precision, from files that it makes."""

import json

import pytest

from detect.benchmarks.exported import FIRST, benchmark_exported
from tests.tiny import tiny_cfg


def test_every_engine_and_precision_runs(tmp_path):
    for package in ("onnx", "onnxscript", "onnxruntime", "openvino"):
        pytest.importorskip(package)
    path = tmp_path / "export.json"
    cfg = tiny_cfg("MODEL.RPN.POST_NMS_TOPK_TEST", 4)
    benchmark_exported(cfg, rounds=2, json_file=str(path), command="the command")
    sheet = json.loads(path.read_text())
    assert sheet["name"] == "export" and sheet["command"] == "the command" and "4 regions" in sheet["what"]
    other = [f"{engine} {precision}" for precision in ("fp32", "int8") for engine in ("ONNX Runtime", "OpenVINO")]
    assert {row[0] for row in sheet["rows"]} == {FIRST, "PyTorch bf16", "OpenVINO bf16", *other}
    assert all(len(row["seconds"]) == 2 for row in sheet["data"].values())
