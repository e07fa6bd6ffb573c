"""The detector on an accelerator: keyframes and training samples a second and peak memory, in every way to run it.

Written for CUDA; on a CPU everything runs too, which is how it is tested.
"""

import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

import torch
import torchvision
from torch import nn
from torch.nn.functional import cross_entropy

import backbones
from detect.benchmarks.detector import THEIRS, TorchvisionParts
from detect.benchmarks.sheet import Sheet, publish
from detect.benchmarks.video import random_detector
from detect.config import ActionCfgNode
from detect.d2 import Boxes, Instances
from detect.modeling import build_model


class Way(NamedTuple):
    """tf32: in matrix products and convolutions.  The others: MODEL.PRECISION, CUDA_GRAPHS, COMPILE."""

    tf32: bool
    precision: str
    graphs: bool = False
    compiled: bool = False


WAYS = {
    "fp32": Way(False, "fp32"),
    "TF32": Way(True, "fp32"),
    "TF32, CUDA graphs": Way(True, "fp32", graphs=True),
    "bf16": Way(True, "bf16"),
    "bf16, CUDA graphs": Way(True, "bf16", graphs=True),
    "bf16, compiled": Way(True, "bf16", compiled=True),
    "bf16, compiled, CUDA graphs": Way(True, "bf16", graphs=True, compiled=True),
}
TRAINING = {"fp32": (False, None), "TF32": (True, None), "bf16 autocast": (True, torch.bfloat16)}


def benchmark_gpu(
    cfg: ActionCfgNode,
    batches: Sequence[int] = (1, 8),
    *,
    rounds: int = 10,
    compiled: bool = True,
    json_file: str = "",
    command: str = "",
) -> None:
    """Rows of inference and of training for each batch size. compiled: those of torch.compile too."""
    rows, data, on_gpu = [], {}, cfg.MODEL.DEVICE.startswith("cuda")
    for batch in batches:
        for name, run, tf32 in _runs(cfg, batch):
            if ("CUDA" in name and not on_gpu) or ("compiled" in name and not compiled):
                continue
            with _tf32(tf32):
                _add(rows, data, name, batch, *_measure(run(), rounds))
            print(*rows[-1], sep="  ", file=sys.stderr, flush=True)
    size = " x ".join(map(str, (cfg.INPUT.NUM_FRAMES, *cfg.INPUT.SIZE)))
    what = f"{cfg.MODEL.CONTEXT.NAME} at {size}, {cfg.MODEL.RPN.POST_NMS_TOPK_TEST} regions, medians of {rounds} steps,"
    columns = ["", "batch", "keyframes a second", "ms a step", "peak memory, GiB"]
    publish(Sheet("gpu", command, what, columns, rows, data), json_file)


def _runs(cfg: ActionCfgNode, batch: int) -> Iterator[tuple[str, Callable[[], Callable[[], object]], bool]]:
    """(row, what makes the step, with TF32 or without)."""
    for name, tf32 in (("fp32", False), ("TF32", True)):
        yield f"inference, {THEIRS}, {name}", partial(_theirs, cfg, batch), tf32
    for name, way in WAYS.items():
        yield f"inference, {name}", partial(_inference, cfg, batch, way), way.tf32
    for name, (tf32, dtype) in TRAINING.items():
        yield f"training step, {name}", partial(_training, cfg, batch, dtype), tf32
    for name, (tf32, dtype) in TRAINING.items():
        for whose in ("torchvision's", "our"):
            step = partial(_classifier_training, whose, cfg, batch, dtype)
            yield f"training step of {whose} S3D alone, {name}", step, tf32


def _theirs(cfg: ActionCfgNode, batch: int) -> Callable[[], object]:
    regions = cfg.MODEL.RPN.POST_NMS_TOPK_TEST
    return TorchvisionParts(tuple(cfg.INPUT.SIZE), cfg.INPUT.NUM_FRAMES, regions, batch, cfg.MODEL.DEVICE).seconds


def _inference(cfg: ActionCfgNode, batch: int, way: Way) -> Callable[[], object]:
    options = ["MODEL.PRECISION", way.precision, "MODEL.CUDA_GRAPHS", way.graphs, "MODEL.COMPILE", way.compiled]
    model = random_detector(cfg.changed(options))
    items = _items(cfg, batch)

    def run() -> object:
        with torch.inference_mode():
            return model(items)

    return run


def _training(cfg: ActionCfgNode, batch: int, dtype: torch.dtype | None) -> Callable[[], object]:
    torch.manual_seed(0)
    model, items = build_model(cfg, initial_weights=False).train(), _items(cfg, batch)
    return _step(model, lambda: sum(model(items).values()), dtype)


def _classifier_training(whose: str, cfg: ActionCfgNode, batch: int, dtype: torch.dtype | None) -> Callable[[], object]:
    torch.manual_seed(0)
    stages = backbones.build("s3d").stages if whose == "our" else torchvision.models.video.s3d(weights=None).features
    model = nn.Sequential(stages, nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(1024, 400))
    model = model.to(cfg.MODEL.DEVICE).train()
    clip = torch.randn(batch, 3, cfg.INPUT.NUM_FRAMES, *cfg.INPUT.SIZE, device=cfg.MODEL.DEVICE)
    labels = torch.zeros(batch, dtype=torch.int64, device=cfg.MODEL.DEVICE)
    return _step(model, lambda: cross_entropy(model(clip), labels), dtype)


def _step(model: nn.Module, loss: Callable[[], torch.Tensor], dtype: torch.dtype | None) -> Callable[[], object]:
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-6, momentum=0.9)
    device = next(model.parameters()).device.type

    def run() -> None:
        with torch.autocast(device, dtype, enabled=dtype is not None):
            total = loss()
        total.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return run


def _items(cfg: ActionCfgNode, batch: int) -> list[dict]:
    """As a loader gives them: clips in (pinned) memory, two actors each."""
    h, w = cfg.INPUT.SIZE
    boxes = torch.tensor([[0.1 * w, 0.2 * h, 0.4 * w, 0.9 * h], [0.5 * w, 0.1 * h, 0.9 * w, 0.8 * h]])
    found = []
    for seed in range(batch):
        generator = torch.Generator().manual_seed(seed)
        clip = torch.randint(0, 256, (cfg.INPUT.NUM_FRAMES, h, w, 3), generator=generator, dtype=torch.uint8)
        clip = clip.pin_memory() if torch.cuda.is_available() else clip
        actors = Instances((h, w), gt_boxes=Boxes(boxes), gt_classes=torch.zeros(2, dtype=torch.int64))
        found.append({"clip": clip, "instances": actors, "height": h, "width": w})
    return found


def _measure(run: Callable[[], object], rounds: int) -> tuple[list[float], float | None]:
    """Seconds of each of `rounds` steps after two to warm up (and compile), and peak bytes on a GPU."""
    for _ in range(2):
        run()
    on_gpu = torch.cuda.is_available()
    if on_gpu:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        run()
        if on_gpu:
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    return seconds, torch.cuda.max_memory_allocated() / 2**30 if on_gpu else None


def _add(rows: list, data: dict, name: str, batch: int, seconds: list[float], peak: float | None) -> None:
    middle = statistics.median(seconds)
    data[f"{name}, batch {batch}"] = {"seconds": seconds, "peak_gib": peak}
    rows.append(
        [name, str(batch), f"{batch / middle:.1f}", f"{1000 * middle:.1f}", "" if peak is None else f"{peak:.2f}"]
    )


@contextmanager
def _tf32(wanted: bool) -> Iterator[None]:
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = wanted
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before
