"""Frames a second of the detector on a video, and in which part the time goes."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn

from detect.config import ActionCfgNode
from detect.data.keyframe_mapper import KeyframeMapper
from detect.modeling import build_model, fold_for_inference
from detect.modeling.precision import inference_options
from detect.modeling.sharing import span_plan
from detect.modeling.stream import detect_stream

PARTS = ("keyframe trunk", "proposals", "context trunk", "region head")


@dataclass
class Watched:
    """seconds: for all frames. parts: of these, by part of the model. keyframes, regions: how many there were."""

    frames: int
    seconds: float
    parts: dict[str, float]
    keyframes: int
    regions: int

    @property
    def fps(self) -> float:
        return self.frames / self.seconds

    @property
    def rest(self) -> float:
        """Frames prepared, gathered, boxes moved, flow computed."""
        return self.seconds - sum(self.parts.values())


@dataclass
class Clock:
    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    keyframes: int = 0
    regions: int = 0

    def around(self, part: str, call: Callable, after: Callable | None = None) -> Callable:
        def timed(*args, **kwargs):
            start = _now()
            result = call(*args, **kwargs)
            self.seconds[part] += _now() - start
            if after:
                after(result)
            return result

        return timed

    def count(self, proposals) -> None:
        self.keyframes += len(proposals[0])
        self.regions += sum(map(len, proposals[0]))


def watch(model: nn.Module, cfg: ActionCfgNode, frames: np.ndarray, flow: str = "dis") -> Watched:
    """Run the detector over `frames` (n, h, w, 3) uint8 RGB as the demo does, the model's parts timed."""
    mapper = KeyframeMapper.from_config(cfg, is_train=False, plan=span_plan(cfg, is_train=False))
    with _timed(model) as clock:
        start = _now()
        found = sum(1 for _ in detect_stream(model, frames, mapper, every=cfg.TEST.KEYFRAME_STRIDE, flow=flow))
        seconds = _now() - start
    return Watched(found, seconds, {part: clock.seconds[part] for part in PARTS}, clock.keyframes, clock.regions)


@contextmanager
def _timed(model: nn.Module) -> Iterator[Clock]:
    clock = Clock()
    rpn, head = model.proposal_generator, model.roi_heads
    replaced = {
        (model.backbone, "forward"): clock.around(PARTS[0], model.backbone.forward),
        (rpn, "forward"): clock.around(PARTS[1], rpn.forward, clock.count),
        (model, "context_maps"): clock.around(PARTS[2], model.context_maps),
        (head, "forward"): clock.around(PARTS[3], head.forward),
    }
    for (owner, name), call in replaced.items():
        setattr(owner, name, call)
    try:
        yield clock
    finally:
        for owner, name in replaced:
            delattr(owner, name)


def _now() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def random_detector(cfg: ActionCfgNode) -> nn.Module:
    """With random weights, for times: the same shapes, and as many regions as the config keeps at most."""
    torch.manual_seed(0)
    model = build_model(cfg, initial_weights=False)
    if hasattr(model.proposal_generator, "nms_thresh"):
        model.proposal_generator.nms_thresh[False] = 1.0  # suppression leaves half of random boxes
    return fold_for_inference(model.eval(), **inference_options(cfg))


def moving_frames(count: int, size: tuple[int, int]) -> np.ndarray:
    """(count, h, w, 3) uint8: a soft pattern that drifts, so that flow has something to find."""
    h, w = size
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (h // 8 + 1, (w + 4 * count) // 8 + 1, 3), np.uint8)
    wide = np.repeat(np.repeat(small, 8, 0), 8, 1)
    return np.stack([wide[:h, 3 * k : 3 * k + w] for k in range(count)])
