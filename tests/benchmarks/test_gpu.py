"""The benchmark of accelerators, on the CPU: every way to run the detector, with a backend that compiles nothing."""

import json
from functools import partial

import torch

from detect.benchmarks.detector import THEIRS
from detect.benchmarks.gpu import TRAINING, WAYS, benchmark_gpu
from tests.tiny import tiny_cfg


def test_every_way_runs(tmp_path, monkeypatch):
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    path = tmp_path / "gpu.json"
    benchmark_gpu(tiny_cfg("INPUT.SIZE", (64, 64)), (2,), rounds=1, json_file=str(path))
    sheet = json.loads(path.read_text())
    ways = [f"inference, {THEIRS}, {name}" for name in ("fp32", "TF32")]
    ways += [f"inference, {name}" for name in WAYS if "CUDA" not in name]
    ways += [f"training step, {name}" for name in TRAINING]
    ways += [f"training step of {whose} S3D alone, {name}" for name in TRAINING for whose in ("torchvision's", "our")]
    assert [row[0] for row in sheet["rows"]] == ways
    for row, facts in zip(sheet["rows"], sheet["data"].values(), strict=True):
        assert row[1] == "2" and float(row[2]) > 0 and len(facts["seconds"]) == 1
