"""From the dataset dict of a keyframe to the frames around it, at the network's input size."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from detect.d2 import Boxes, Instances
from detect.utils.errors import UserError
from detect.video import transforms
from detect.video.background import check_background, replace_background
from detect.video.flow import flip_flow
from detect.video.modality import mirror_rgb
from detect.video.readers import FrameReadError, read_frames
from detect.video.video_flow import VideoFlow
from detect.video.windows import Span, SpanPlan, random_speed

MIN_VISIBLE = 0.3  # boxes of which a zoom leaves less than this share of the area are dropped


class Pair(NamedTuple):
    """A frame (h, w, 3) and, for a detector that sees motion, the flow from it to the next one (h, w, 2); uint8."""

    rgb: np.ndarray
    flow: np.ndarray | None = None


class KeyframeMapper:
    """Reads and resizes the frames around a keyframe and, in training, augments them and makes its targets.

    Arguments:
        num_frames: of a keyframe's window, T. size: (height, width) of the frames; the aspect ratio is not kept.
        is_train: augment, and add `instances`. flip_prob: probability of mirroring. 0 for classes that tell left from
        right. color_jitter: strength s; brightness, contrast and saturation are each multiplied by 1 - s .. 1
        + s. scale_jitter: (lowest, highest) zoom; beyond 1 a part of the frame is seen, below 1 it gets a
        grey border. speed_jitter: (slowest, fastest) speed at which the frames around the keyframe are taken, drawn
        log-uniformly; RGB of windows only. background_prob: probability of a random texture in place of what is not
        near a box, see `detect.video.background`; flow stays. streams: "rgb", "flow" or both; frames are read in any
        case, for the keyframe. plan: how keyframes share frames, by default each has its own. span_keyframes: of a span
        in training, drawn anew; 0: all there are.
    """

    def __init__(
        self,
        num_frames: int,
        size: Sequence[int],
        *,
        is_train: bool,
        flip_prob: float = 0.0,
        color_jitter: float = 0.0,
        scale_jitter: Sequence[float] = (1.0, 1.0),
        speed_jitter: Sequence[float] = (1.0, 1.0),
        background_prob: float = 0.0,
        streams: Sequence[str] = ("rgb",),
        plan: SpanPlan | None = None,
        span_keyframes: int = 0,
    ):
        transforms.check_augmentation(flip_prob, color_jitter, scale_jitter, speed_jitter)
        check_background(background_prob)
        if num_frames < 1 or len(size) != 2 or min(size) < 1:
            raise UserError(f"a clip of {num_frames} frames, size {size}; expected 1 or more, (height, width)")
        self.num_frames, self.size, self.is_train = num_frames, (int(size[0]), int(size[1])), is_train
        self.flip_prob, self.color_jitter, self.scale_jitter = flip_prob, color_jitter, tuple(scale_jitter)
        self.flow = "flow" in streams
        self.speed_jitter, self.background_prob = tuple(speed_jitter), background_prob
        self.plan, self.span_keyframes = plan or SpanPlan(num_frames), span_keyframes
        if is_train and self.flow:
            transforms.check_one_speed(speed_jitter, "MODEL.STREAMS has flow, which is motion at the recorded speed")
        if is_train and self.plan.shares:
            transforms.check_one_speed(speed_jitter, "keyframes share frames by INPUT.SPAN_FRAMES")

    @classmethod
    def from_config(cls, cfg, is_train: bool, plan: SpanPlan | None = None) -> "KeyframeMapper":
        return cls(
            cfg.INPUT.NUM_FRAMES,
            cfg.INPUT.SIZE,
            is_train=is_train,
            flip_prob=cfg.INPUT.FLIP_PROB,
            color_jitter=cfg.INPUT.COLOR_JITTER,
            scale_jitter=cfg.INPUT.SCALE_JITTER,
            speed_jitter=cfg.INPUT.SPEED_JITTER,
            background_prob=cfg.INPUT.BACKGROUND_PROB,
            streams=cfg.MODEL.STREAMS,
            plan=plan or SpanPlan.stepped(cfg.INPUT.NUM_FRAMES, cfg.INPUT.FRAME_STEP),
            span_keyframes=cfg.INPUT.SPAN_KEYFRAMES,
        )

    def __call__(self, sample: dict[str, Any], rng: np.random.Generator | None = None) -> dict[str, Any]:
        """A copy of `sample` without `annotations`, with `clip` (T, H, W, 3) uint8 RGB, `flow` (T, H, W, 2) uint8
        where it is asked for and, in training, `instances`, `mirrored`, `view`, the `Window` of the frame in it,
        `speed`, and `new_background`, whether it has one.

        `instances` holds gt_boxes in pixels of the clip and gt_classes (n,) int64. `height` and `width` stay
        those of the original frame. Where a video ends earlier than annotated, its last frame is repeated and
        the key `decoded_frames` is added; where flow does, `flow_images`. `rng` is needed in training; equal states
        give equal results. With a plan of spans, in training, the sample has `neighbours`, and the result is of a span
        of them, see `pack`; its `instances` is a list. Raises FrameReadError for a frame or flow image that cannot be
        read, or of another size than annotated.
        """
        if self.is_train and rng is None:
            raise ValueError("a mapper for training needs the random generator of the sample")
        span, known = self._span(sample, rng)
        frames, flows, rows, span, extra = self._read(sample, span)
        if not self.is_train:
            pairs = [self.prepare(sample, *pair) for pair in zip(frames, flows, strict=True)]
            return {**self.pack([sample], [pairs[row] for row in rows], span), **extra}
        check_size(sample, frames[0])
        clip, flow, place, done = self._augment(frames, flows, [a for of_one in known.values() for a in of_one], rng)
        instances = [self._instances(known[k], place, done["mirrored"]) for k in span.keyframes]
        pairs = [Pair(clip[row], None if flow is None else flow[row]) for row in rows]
        item = self.pack([{**sample, "frame_index": k} for k in span.keyframes], pairs, span)
        item["instances"] = instances if self.plan.shares else instances[0]
        return {**item, "view": place, "speed": span.speed, **done, **extra}

    def prepare(self, sample: dict[str, Any], frame: np.ndarray, flow: np.ndarray | None = None) -> Pair:
        """One frame, and its flow, at the input size, without augmentation."""
        check_size(sample, frame)
        return Pair(
            transforms.resize(frame, self.size), None if flow is None else transforms.resize(flow, self.size)
        )

    def pack(self, samples: Sequence[dict[str, Any]], pairs: Sequence[Pair], span: Span) -> dict[str, Any]:
        """What the model takes: the first sample without its annotations, with `clip` and `flow`.

        Of a plan that shares frames also `positions`, where in the clip each keyframe is, `offsets`, where its window
        begins, and `samples`, theirs without annotations.
        """
        kept = [_without_annotations(sample) for sample in samples]
        item = {**kept[0], "clip": torch.from_numpy(np.stack([pair.rgb for pair in pairs]))}
        if self.flow:
            item["flow"] = torch.from_numpy(np.stack([pair.flow for pair in pairs]))
        if self.plan.shares:
            item |= {"positions": span.positions, "offsets": list(span.offsets), "samples": kept}
        return item

    def _span(self, sample: dict[str, Any], rng: np.random.Generator | None) -> tuple[Span, dict[int, list]]:
        """The frames to look at and, in training, the annotations of the keyframes in them."""
        keyframe, plan = sample["frame_index"], self.plan
        (window,) = plan.spans([keyframe])
        known = {keyframe: sample["annotations"]} if self.is_train else {}
        if self.is_train and not plan.shares:
            return window._replace(speed=random_speed(self.speed_jitter, rng)), known
        if not self.is_train:
            return window, known
        known = dict(sorted({**known, **dict(sample["neighbours"])}.items()))
        grid, most = list(known), plan.reach // plan.stride + 1
        own = grid.index(keyframe)
        # any run of `most` keyframes that has this one; at the ends of the annotation, as many as there are
        first = grid[int(rng.integers(max(0, own + 1 - most), max(0, min(own, len(grid) - most)) + 1))]
        inside = [k for k in grid if 0 <= k - first <= plan.reach]
        if 0 < self.span_keyframes < len(inside):
            others = rng.permutation([k for k in inside if k != keyframe])[: self.span_keyframes - 1]
            inside = sorted([keyframe, *others.tolist()])
        offsets = tuple(k - first for k in inside)
        return Span(first - self.num_frames // 2, plan.reach + plan.window, plan.window, tuple(inside), offsets), known

    def _read(self, sample: dict[str, Any], span: Span):
        """Distinct frames and flows, which of them stands at each position, the span, cut where the video ends too
        early, and the true lengths where they are not as annotated.
        """
        path, num_frames, extra = sample["file_name"], sample["num_frames"], {}
        flow = VideoFlow(sample["flow_folder"], num_frames) if self.flow else None
        if flow is not None and flow.mismatch:
            extra["flow_images"] = flow.count
        usable = num_frames if flow is None else min(num_frames, flow.usable)
        try:
            indices, span = self._usable(sample, span, usable, flow)
            frames = read_frames(path, np.unique(indices))
        except FrameReadError as error:
            if error.decoded is None or sample["frame_index"] >= error.decoded:
                raise
            extra["decoded_frames"] = error.decoded
            indices, span = self._usable(sample, span, min(error.decoded, usable), flow)
            frames = read_frames(path, np.unique(indices))
        distinct, rows = np.unique(indices, return_inverse=True)
        flows = [None] * len(distinct) if flow is None else flow.read(distinct, frames[0].shape[:2])
        return frames, flows, rows.tolist(), span, extra

    def _usable(self, sample, span: Span, count: int, flow: "VideoFlow | None") -> tuple[np.ndarray, Span]:
        if flow is not None and sample["frame_index"] >= count:
            raise FrameReadError(flow.too_few(sample["frame_index"]))
        span = span.only(lambda keyframe: keyframe < count)
        return span.indices(count), span

    def _augment(self, frames: np.ndarray, flows: Sequence, annotations: Sequence[dict], rng: np.random.Generator):
        """One random zoom, colour change, background and mirroring for all frames: RGB, flow or None, where the zoom
        looked, and whether the others of these were done.
        """
        zoom, mirror = rng.uniform(*self.scale_jitter), bool(rng.random() < self.flip_prob)
        factors = rng.uniform(1 - self.color_jitter, 1 + self.color_jitter, 3)
        place = transforms.Window.random(*frames.shape[1:3], zoom, rng)
        clip = np.stack([transforms.resize(place.cut(frame), self.size) for frame in frames])
        flow = np.stack([transforms.resize(place.cut(f), self.size) for f in flows]) if self.flow else None
        if self.color_jitter:
            clip = transforms.apply_color(clip, transforms.color_matrix(*factors))
        new = self.background_prob > 0 and bool(rng.random() < self.background_prob) and len(annotations) > 0
        if new:
            (seen,) = place.map_boxes(np.array([[0, 0, frames.shape[2], frames.shape[1]]]), self.size)
            clip = replace_background(clip, self._boxes(annotations, place), seen, rng)
        if mirror:
            clip, flow = mirror_rgb(clip), None if flow is None else flip_flow(flow)
        return clip, flow, place, {"mirrored": mirror, "new_background": new}

    def _boxes(self, annotations: Sequence[dict], place: transforms.Window) -> np.ndarray:
        """(n, 4) in pixels of the clip before it is mirrored; not cut at its borders."""
        return place.map_boxes(np.array([a["bbox"] for a in annotations], np.float64).reshape(-1, 4), self.size)

    def _instances(self, annotations: Sequence[dict], place: transforms.Window, mirror: bool) -> Instances:
        boxes = self._boxes(annotations, place)
        boxes, visible = transforms.clip_boxes(
            transforms.flip_boxes(boxes, self.size[1]) if mirror else boxes, self.size
        )
        keep = visible >= MIN_VISIBLE
        instances = Instances(self.size)
        instances.gt_boxes = Boxes(torch.from_numpy(boxes[keep].astype(np.float32)))
        labels = np.array([a["category_id"] for a in annotations], np.int64)[keep]
        instances.gt_classes = torch.from_numpy(labels)
        return instances


def keyframe_items(batch: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The keyframes of a batch, one dict each, in the order of the model's results."""
    return [sample for item in batch for sample in item.get("samples", (item,))]


def _without_annotations(sample: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in sample.items() if key not in ("annotations", "neighbours")}


def check_size(sample: dict[str, Any], frame: np.ndarray) -> None:
    """Boxes are pixels of the annotated size, so a frame of another size would get wrong ones:
    FrameReadError.
    """
    annotated = (sample["height"], sample["width"])
    if frame.shape[:2] != annotated:
        raise FrameReadError(
            f"{sample['file_name']}: frames are {frame.shape[1]} x {frame.shape[0]} pixels, "
            f"the annotation is for {annotated[1]} x {annotated[0]}"
        )
