"""The detector on an accelerator: keyframes and training samples a second and peak memory, in every way to run it.

Written for CUDA; on a CPU everything runs too, which is how it is tested.
"""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch

from detect.benchmarks.sheet import Sheet, publish
from detect.benchmarks.video import random_detector
from detect.config import ActionCfgNode
from detect.d2 import Boxes, Instances
from detect.modeling import build_model

WAYS = {  # name -> (TF32 in matrix products and convolutions, precision, mode of torch.compile, or None)
    "fp32": (False, "fp32", None),
    "TF32": (True, "fp32", None),
    "bf16": (True, "bf16", None),
    "bf16, compiled": (True, "bf16", "default"),
    "bf16, compiled, CUDA graphs": (True, "bf16", "reduce-overhead"),
}
TRAINING = {"fp32": (False, None), "TF32": (True, None), "bf16 autocast": (True, torch.bfloat16)}


def benchmark_gpu(
    cfg: ActionCfgNode,
    batches: Sequence[int] = (1, 8),
    *,
    rounds: int = 10,
    backend: str = "inductor",
    json_file: str = "",
    command: str = "",
) -> None:
    """Rows of inference and of training for each batch size. backend: of torch.compile."""
    rows, data = [], {}
    for batch in batches:
        for name, (tf32, precision, mode) in WAYS.items():
            if "CUDA" in name and not cfg.MODEL.DEVICE.startswith("cuda"):
                continue
            with _tf32(tf32):
                run = _inference(cfg.changed(["MODEL.PRECISION", precision]), batch, mode, backend)
                _add(rows, data, f"inference, {name}", batch, *_measure(run, rounds))
        for name, (tf32, dtype) in TRAINING.items():
            with _tf32(tf32):
                _add(rows, data, f"training step, {name}", batch, *_measure(_training(cfg, batch, dtype), rounds))
    size = " x ".join(map(str, (cfg.INPUT.NUM_FRAMES, *cfg.INPUT.SIZE)))
    what = f"{cfg.MODEL.CONTEXT.NAME} at {size}, {cfg.MODEL.RPN.POST_NMS_TOPK_TEST} regions, medians of {rounds} steps,"
    columns = ["", "batch", "keyframes a second", "ms a step", "peak memory, GiB"]
    publish(Sheet("gpu", command, what, columns, rows, data), json_file)


def _inference(cfg: ActionCfgNode, batch: int, mode: str | None, backend: str) -> Callable[[], object]:
    model, items = random_detector(cfg), _items(cfg, batch)
    if mode:
        for part in (model.backbone, model.context, model.roi_heads.tail):
            part.compile(mode=mode if backend == "inductor" else None, backend=backend, dynamic=False)

    def run() -> object:
        with torch.inference_mode():
            return model(items)

    return run


def _training(cfg: ActionCfgNode, batch: int, dtype: torch.dtype | None) -> Callable[[], object]:
    torch.manual_seed(0)
    model, items = build_model(cfg, initial_weights=False).train(), _items(cfg, batch)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-6, momentum=0.9)

    def run() -> None:
        with torch.autocast(model.device.type, dtype, enabled=dtype is not None):
            losses = model(items)
        sum(losses.values()).backward()
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
