"""The whole detector as files of tools/export.py in other engines, against PyTorch."""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from detect.benchmarks.networks import measure
from detect.benchmarks.sheet import publish, timed_sheet
from detect.benchmarks.video import random_detector
from detect.config import ActionCfgNode
from detect.export.facts import ExportFacts
from detect.export.graphs import part_graph
from detect.export.model import load_exported
from detect.export.quantise import quantise
from detect.export.write import write_graph

FIRST = "PyTorch fp32"
CALIBRATION = 4  # clips; the ranges of 8 bits do not change the time
ENGINES = {"ONNX Runtime": "onnxruntime", "OpenVINO": "openvino"}


def benchmark_exported(cfg: ActionCfgNode, *, rounds: int = 5, json_file: str = "", command: str = "") -> None:
    """A row for each engine and precision: a keyframe with a window of its own, from the clip to the detections."""
    height, width = cfg.INPUT.SIZE
    (inputs,) = _clips(cfg, 1)
    item = {"clip": torch.from_numpy(inputs["clip"][0]), "height": height, "width": width}
    with tempfile.TemporaryDirectory() as folder:
        runs = {name: partial(_run, model, item) for name, model in _models(cfg, Path(folder))}
        times = measure(runs, rounds)
    sizes = f"{height} x {width}, {cfg.INPUT.NUM_FRAMES} frames, {cfg.MODEL.RPN.POST_NMS_TOPK_TEST} regions"
    what = f"A keyframe at {sizes}, medians of {rounds} interleaved rounds,"
    publish(timed_sheet("export", command, what, times, FIRST), json_file)


@torch.inference_mode()
def _run(model: Callable, item: dict) -> None:
    model([item])


def _models(cfg: ActionCfgNode, folder: Path) -> Iterator[tuple[str, Callable]]:
    single, lower = (cfg.changed(["MODEL.PRECISION", precision]) for precision in ("fp32", "bf16"))
    model = random_detector(single)
    yield FIRST, model
    yield "PyTorch bf16", random_detector(lower)
    whole, int8 = _files(model, single, folder)
    for engine in ENGINES:
        yield f"{engine} fp32", _exported(whole, engine)
    yield "OpenVINO bf16", _exported(whole, "OpenVINO", "bf16")
    for engine in ENGINES:
        yield f"{engine} int8", _exported(int8, engine)


def _exported(path: str, engine: str, precision: str = "fp32") -> Callable:
    return load_exported(path, ENGINES[engine], ["MODEL.PRECISION", precision]).model


def _files(model: nn.Module, cfg: ActionCfgNode, folder: Path) -> tuple[str, str]:
    """The detector as .onnx, in single precision and in int8."""
    whole, int8 = str(folder / "whole.onnx"), str(folder / "int8.onnx")
    regions = cfg.MODEL.RPN.POST_NMS_TOPK_TEST
    graph, inputs = part_graph(model, cfg, "whole", regions=regions)
    classes = [str(label) for label in range(cfg.MODEL.ROI_HEADS.NUM_CLASSES)]
    facts = ExportFacts("whole", classes, cfg.dump(), "", regions)
    write_graph(whole, graph, inputs, facts)
    quantise(whole, int8, _clips(cfg, CALIBRATION), replace(facts, int8=True))
    return whole, int8


def _clips(cfg: ActionCfgNode, count: int) -> Iterator[dict[str, np.ndarray]]:
    generator = np.random.default_rng(0)
    for _ in range(count):
        yield {"clip": generator.integers(0, 256, (1, cfg.INPUT.NUM_FRAMES, *cfg.INPUT.SIZE, 3), dtype=np.uint8)}
