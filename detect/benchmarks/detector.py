"""A keyframe of the whole detector, part by part, against the same computed with torchvision's parts as they are."""

import statistics
import time
from collections.abc import Callable, Sequence

import torch
import torchvision
from torch import Tensor, nn
from torch.nn.functional import max_pool3d
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead
from torchvision.ops import roi_align

from detect.benchmarks.networks import calibrate
from detect.benchmarks.sheet import Sheet, milliseconds, publish
from detect.benchmarks.video import PARTS, Watched, moving_frames, random_detector, watch
from detect.config import ActionCfgNode

VIDEO_SIZE = (240, 320)  # height, width
TAP = 12  # stages of torchvision's s3d.features up to Mixed_4e
FRAMES = 3  # keyframes a round
THEIRS = "torchvision's parts"


class TorchvisionParts:
    """ResNet-50 to layer3, RPN, s3d to Mixed_4e, RoIAlign of each step at twice the resolution and max-pooled, the rest
    of s3d: eager, fp32, random weights. What joins them into a detector is not counted.
    """

    def __init__(
        self, size: tuple[int, int], frames: int, regions: int, batch: int = 1, device: torch.device | str = "cpu"
    ):
        torch.manual_seed(0)
        net, s3d = torchvision.models.resnet50(weights=None), torchvision.models.video.s3d(weights=None)
        calibrate(s3d)
        stem = (net.conv1, net.bn1, net.relu, net.maxpool)
        self.trunk = nn.Sequential(*stem, net.layer1, net.layer2, net.layer3).eval().to(device)
        anchors = AnchorGenerator(((64, 128, 256, 512),), ((0.5, 1.0, 2.0),))
        counts = ({"training": 2000, "testing": 2000}, {"training": regions, "testing": regions})
        head = RPNHead(1024, anchors.num_anchors_per_location()[0])
        self.rpn = RegionProposalNetwork(anchors, head, 0.7, 0.3, 256, 0.5, *counts, 1.0).eval().to(device)
        features = s3d.eval().features.to(device)
        self.context, self.tail = features[:TAP], features[TAP:]
        self.image = torch.randn(batch, 3, *size, device=device)
        self.clip = torch.randn(batch, 3, frames, *size, device=device)
        self.boxes = [spread_boxes(regions, size).to(device)] * batch

    def seconds(self) -> dict[str, float]:
        """{part: seconds} of one batch of keyframes."""
        found: dict[str, float] = {}
        with torch.inference_mode():
            feature = _timed(found, PARTS[0], self.trunk, self.image)
            images = ImageList(self.image, [tuple(self.image.shape[2:])] * len(self.image))
            _timed(found, PARTS[1], self.rpn, images, {"0": feature})
            maps = _timed(found, PARTS[2], self.context, self.clip)
            _timed(found, PARTS[3], self._head, maps)
        return found

    def _head(self, maps: Tensor) -> Tensor:
        steps = [roi_align(step, self.boxes, 14, 1 / 16, 1, aligned=True) for step in maps.unbind(2)]
        return self.tail(max_pool3d(torch.stack(steps, 2), (1, 2, 2))).mean(dim=(2, 3, 4))


def spread_boxes(count: int, size: tuple[int, int]) -> Tensor:
    """(count, 4) boxes of a fifth to four fifths of an image of `size` (height, width), anywhere in it."""
    generator = torch.Generator().manual_seed(0)
    extent = torch.tensor([size[1], size[0]], dtype=torch.float32)
    sides = (0.2 + 0.6 * torch.rand(count, 2, generator=generator)) * extent
    corner = torch.rand(count, 2, generator=generator) * (extent - sides)
    return torch.cat([corner, corner + sides], 1)


def _timed(found: dict[str, float], part: str, call: Callable, *arguments):
    start = time.perf_counter()
    result = call(*arguments)
    found[part] = time.perf_counter() - start
    return result


def benchmark_detector(
    cfg: ActionCfgNode, regions: Sequence[int], *, rounds: int = 3, json_file: str = "", command: str = ""
) -> None:
    """A row for torchvision's parts and one for each precision of ours, for each number of regions."""
    size, frames = tuple(cfg.INPUT.SIZE), moving_frames(FRAMES, VIDEO_SIZE)
    theirs = {count: TorchvisionParts(size, cfg.INPUT.NUM_FRAMES, count) for count in regions}
    keys = {
        (count, precision): cfg.changed(["MODEL.RPN.POST_NMS_TOPK_TEST", count, "MODEL.PRECISION", precision])
        for count in regions
        for precision in ("fp32", "bf16")
    }
    models = {key: random_detector(one) for key, one in keys.items()}
    found: dict[tuple, list[dict[str, float]]] = {}
    for turn in range(rounds + 1):
        for count, parts in theirs.items():
            runs = [((THEIRS, count), parts.seconds())]
            runs += [
                ((f"ours, {key[1]}", count), _parts(watch(models[key], keys[key], frames)))
                for key in keys
                if key[0] == count
            ]
            for key, seconds in runs:
                if turn:
                    found.setdefault(key, []).append(seconds)
    publish(
        _sheet(found, f"A keyframe at {size[0]} x {size[1]}, {cfg.INPUT.NUM_FRAMES} frames,", rounds, command),
        json_file,
    )


def _parts(run: Watched) -> dict[str, float]:
    return {part: seconds / run.frames for part, seconds in run.parts.items()} | {"rest": run.rest / run.frames}


def _sheet(found: dict[tuple, list[dict[str, float]]], what: str, rounds: int, command: str) -> Sheet:
    rows, data = [], {}
    for (name, count), runs in found.items():
        totals, reference = (
            [sum(run.values()) for run in runs],
            [sum(run.values()) for run in found[THEIRS, count]],
        )
        ratio = statistics.median(theirs / ours for theirs, ours in zip(reference, totals, strict=True))
        parts = {part: statistics.median(run.get(part, 0.0) for run in runs) for part in (*PARTS, "rest")}
        data[f"{name}, {count} regions"] = {"seconds": totals, "parts": parts, "ratio": ratio}
        times = (milliseconds(seconds) if seconds else "" for seconds in parts.values())
        rows.append([name, str(count), milliseconds(statistics.median(totals)), f"{ratio:.2f}", *times])
    columns = ["", "regions", "ms", "times torchvision's parts", *(f"{part}, ms" for part in (*PARTS, "rest"))]
    return Sheet("detector", command, f"{what} medians of {rounds} interleaved rounds,", columns, rows, data)
