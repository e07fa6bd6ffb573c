"""What a point of a growth curve is: one size, measured in this process. Each gives a `Measured` as a list."""

import pickle
import tempfile
from collections.abc import Iterator
from itertools import islice, repeat
from pathlib import Path
from typing import Any

import numpy as np
import torch

from detect.benchmarks.alone import Measured, measured, run_alone
from detect.benchmarks.frame_ap import CLASSES, FRAMES, PER_FRAME, VIDEOS, synthetic_tables
from detect.benchmarks.video import random_detector
from detect.config import ActionCfgNode, get_cfg
from detect.d2 import Boxes, Instances
from detect.data import ucf24
from detect.data.keyframe_mapper import KeyframeMapper
from detect.data.records import KeyframeDataset
from detect.evaluation.frame_ap import evaluate_frame_ap
from detect.modeling import build_model
from detect.modeling.stream import detect_stream
from detect.utils.malloc import tune_malloc
from detect.utils.safe_pickle import load_pickle

PAPER = (
    "MODEL.DEVICE", "cpu", "MODEL.CONTEXT.NAME", "s3dg", "MODEL.RESNETS.NORM", "BN", "MODEL.CONTEXT.NORM", "BN",
    "MODEL.ROI_HEADS.NUM_CLASSES", 24, "INPUT.SIZE", (320, 400), "INPUT.NUM_FRAMES", 20,
)  # fmt: skip
TOY = (
    "MODEL.RESNETS.DEPTH", 18, "MODEL.CONTEXT.WIDTH", 0.125, "MODEL.ANCHOR_GENERATOR.SIZES", [[16, 32]],
    "INPUT.SIZE", (64, 80), "INPUT.NUM_FRAMES", 8, "MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE", 8,
)  # fmt: skip
PROPOSALS = 100  # where something else grows
STREAM_SIZE = (48, 64)
STREAM_WINDOW = 20
SAME_CLASS = 0.05  # share of the detections that have the video's class


def context(frames: int, quick: bool) -> Measured:
    return _inference(frames, _cfg(quick, "INPUT.NUM_FRAMES", frames))


def input_size(height: int, quick: bool) -> Measured:
    """x: pixels of a frame; 5 to 4, as 400 x 320."""
    width = height * 5 // 4
    return _inference(height * width, _cfg(quick, "INPUT.SIZE", (height, width)))


def proposals(count: int, quick: bool) -> Measured:
    return _inference(count, _cfg(quick, "MODEL.RPN.POST_NMS_TOPK_TEST", count))


def training(frames: int, quick: bool) -> Measured:
    """Forward and backward of one clip."""
    tune_malloc()
    torch.manual_seed(0)
    cfg = _cfg(quick, "INPUT.NUM_FRAMES", frames)
    model, item = build_model(cfg, initial_weights=False).train(), _item(cfg)
    height, width = cfg.INPUT.SIZE
    item["instances"] = Instances((height, width))
    item["instances"].gt_boxes = Boxes(torch.tensor([[width / 4, height / 4, width / 2, height / 2]]))
    item["instances"].gt_classes = torch.tensor([1])

    def step() -> None:
        model.zero_grad(set_to_none=True)
        sum(model([item]).values()).backward()

    return measured(frames, step, warm_up=True)


def _cfg(quick: bool, *changes: Any) -> ActionCfgNode:
    cfg = get_cfg()
    most = ("MODEL.RPN.POST_NMS_TOPK_TEST", PROPOSALS)
    cfg.merge_from_list([*PAPER, *(TOY if quick else ()), *most, *changes])
    return cfg


def _item(cfg: ActionCfgNode) -> dict[str, Any]:
    height, width = cfg.INPUT.SIZE
    clip = torch.randint(0, 256, (cfg.INPUT.NUM_FRAMES, height, width, 3), dtype=torch.uint8)
    return {"clip": clip, "height": height, "width": width}


def _inference(x: float, cfg: ActionCfgNode) -> Measured:
    """One keyframe with its window."""
    tune_malloc()
    model, item = random_detector(cfg), _item(cfg)

    def run() -> None:
        with torch.inference_mode():
            model([item])

    return measured(x, run, repeats=2, warm_up=True)


def videos(count: int, quick: bool, annotation: str) -> Measured:
    """From a pyannot.pkl of that many videos to a sample of its keyframes: what a start-up does but import."""
    with tempfile.TemporaryDirectory(prefix="growth-") as folder:
        run_alone(write_annotations, folder, count, annotation)
        tune_malloc()

        def start() -> None:
            keyframes = KeyframeDataset(ucf24.load_ucf24(folder, "train"))
            keyframes[len(keyframes) // 2]

        return measured(count, start)


def write_annotations(folder: str, count: int, annotation: str) -> int:
    """A set of `count` videos whose annotations repeat those of a pyannot.pkl, or made ones where that is ""."""
    entries = load_pickle(annotation) if annotation else _made_annotations()
    copies = ((f"{name}_{turn:03d}", entry) for turn in range(count) for name, entry in entries.items())
    many = dict(islice(copies, count))
    with open(Path(folder, "pyannot.pkl"), "wb") as stream:
        pickler = pickle.Pickler(stream, protocol=3)
        pickler.fast = True  # each video in full, as if they were different ones
        pickler.dump(many)
    Path(folder, "trainlist01.txt").write_text("\n".join(many) + "\n")
    return count


def _made_annotations(count: int = 100) -> dict[str, dict]:
    """As UCF101-24's are on average: 180 frames, 1.4 tubes of 129 boxes."""
    boxes = np.tile(np.array([[100, 60, 80, 120]], np.uint8), (129, 1))
    return {
        f"Class{k % CLASSES}/v_{k:03d}": {
            "numf": np.uint8(180), "label": k % CLASSES,
            "annotations": [{"label": k % CLASSES, "sf": 20, "ef": 149, "boxes": boxes}] * (1 + (k % 5 < 2)),
        }
        for k in range(count)
    }  # fmt: skip


def detections(count: int, quick: bool) -> Measured:
    """Frame-mAP of that many, about; the tables are there before. Without `tune_malloc`, which keeps what is freed."""
    gt, det = synthetic_tables(count / (VIDEOS * FRAMES * PER_FRAME), SAME_CLASS)
    return measured(len(det), lambda: evaluate_frame_ap(gt, det, CLASSES))


class _Blind(torch.nn.Module):
    """Looks at nothing and finds one box, so that what is measured is what carries the frames."""

    def forward(self, batch: list[dict[str, Any]]) -> list[dict[str, Instances]]:
        return [{"instances": self._found(item["height"], item["width"])} for item in batch]

    def _found(self, height: int, width: int) -> Instances:
        box = Boxes(torch.tensor([[0.0, 0.0, width / 2, height / 2]]))
        label = torch.zeros(1, dtype=torch.int64)
        return Instances((height, width), pred_boxes=box, scores=torch.ones(1), pred_classes=label)


def stream(frames: int, quick: bool) -> Measured:
    """A video of that many frames through the streaming detector, whose network looks at nothing."""
    tune_malloc()
    mapper = KeyframeMapper(STREAM_WINDOW, STREAM_SIZE, is_train=False)

    def run() -> None:
        for _ in detect_stream(_Blind(), _frames(frames), mapper):
            pass

    return measured(frames, run)


def _frames(count: int) -> Iterator[np.ndarray]:
    """Each a new array, as a decoder gives them."""
    picture = np.random.default_rng(0).integers(0, 256, (*STREAM_SIZE, 3), np.uint8)
    return (one.copy() for one in repeat(picture, count))
