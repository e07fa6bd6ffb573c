"""A detector and a classifier as objects: load a checkpoint, give it a video."""

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

import backbones
from backbones import network_from
from detect.classification.clips import EvalPlan
from detect.classification.evaluation import ScoreKeeper
from detect.config import ActionCfgNode
from detect.d2 import Instances
from detect.data.keyframe_mapper import KeyframeMapper
from detect.evaluation.linking.actors import TrackOptions
from detect.export.facts import is_exported
from detect.export.model import load_exported
from detect.modeling.stream import detect_stream
from detect.speed import speed_lines
from detect.tracking import FrameDetections, Tracking
from detect.utils.checkpoint_files import CheckpointError, first_line, read_checkpoint
from detect.utils.errors import UserError
from detect.video.readers import FrameReadError, container_facts, iter_frames
from detect.video.video_flow import flow_as_frames_arrive
from detect.video.windows import SpanPlan

ONLY_AS_EXPORTED = (
    "an exported file has its config inside, runs on the CPU and gives each keyframe a window of its own: leave out "
    "the config file, the device and the speed; every=8 (--every 8) looks at every eighth frame"
)
Video = str | os.PathLike | Iterable[np.ndarray]  # a file, a folder of frames, or the frames (h, w, 3) uint8 RGB


class ActionDetector:
    """The detector of a checkpoint: who does what, where, in every frame of a video.

    classes: names, in the order of the labels.  cfg: its config, frozen.  model: the `ActionRCNN`, which `load` folds
    for inference, or the `ExportedRCNN` of an exported file.  weights_hash: of the checkpoint's weights, before they
    are folded, as an evaluation notes it; "" of a detector that was not loaded.  plan: how keyframes share frames; as
    the config says.
    """

    def __init__(
        self,
        model: nn.Module,
        cfg: ActionCfgNode,
        classes: Sequence[str],
        weights_hash: str = "",
        plan: SpanPlan | None = None,
    ):
        self.model, self.cfg, self.classes, self.weights_hash = model.eval(), cfg, tuple(classes), weights_hash
        if plan is None:
            from detect.modeling.sharing import span_plan  # here and below: an exported file runs without the networks

            plan = span_plan(cfg, is_train=False)
        self._mapper = KeyframeMapper.from_config(cfg, is_train=False, plan=plan)

    @classmethod
    def load(
        cls,
        weights: str | os.PathLike,
        *,
        device: str | None = None,
        config_file: str | os.PathLike = "",
        overrides: Sequence[Any] = (),
        speed: str = "exact",
        engine: str | None = None,
    ) -> "ActionDetector":
        """The detector of a checkpoint of tools/train_net.py, or of an .onnx or .pt2 file of tools/export.py.

        weights: a file or an address (https://...).  device: "cpu", "cuda", "cuda:1"; a GPU where there is one.
        config_file: for a checkpoint that holds no config.  overrides: KEY, VALUE, ... of the config.  speed: "exact",
        the paper's way; "balanced" or "fast", see `detect.speed`; overrides come after it.  engine: what runs it:
        "onnxruntime", the default, or "openvino" an .onnx, "torch" all else. An exported file runs on the CPU, has its
        config inside, and no other speed than "exact".  CheckpointError for a file that cannot be read or is of
        something else.
        """
        weights, config_file = os.fspath(weights), os.fspath(config_file)
        if is_exported(weights):
            if config_file or speed != "exact" or device not in (None, "cpu"):
                raise UserError(f"{weights}: {ONLY_AS_EXPORTED}")
            model, cfg, classes = load_exported(weights, engine, overrides)
            plan = SpanPlan.stepped(cfg.INPUT.NUM_FRAMES, cfg.INPUT.FRAME_STEP)
            return cls(model, cfg, classes, model.weights_hash, plan)
        if engine not in (None, "torch"):
            raise UserError(f"{weights}: a checkpoint is run by torch, not {engine}; tools/export.py makes an .onnx")
        overrides = [*speed_lines(speed), *overrides, *(("MODEL.DEVICE", device) if device else ())]
        return cls._of_checkpoint(weights, config_file, overrides)

    @classmethod
    def _of_checkpoint(cls, weights: str, config_file: str, overrides: Sequence[Any]) -> "ActionDetector":
        from detect.engine.checkpoint import ActionCheckpointer, load_cfg_and_checkpoint, weights_hash
        from detect.modeling import build_model, fold_for_inference
        from detect.modeling.precision import inference_options

        cfg, contents = load_cfg_and_checkpoint(config_file, overrides, weights)
        contents = read_checkpoint(weights) if contents is None else contents
        if cfg.MODEL.META_ARCHITECTURE == "ActionClassifier":
            raise CheckpointError(f"{weights}: is of a classifier, see VideoClassifier; a detector is needed")
        classes = _classes(contents, weights)
        if len(classes) != cfg.MODEL.ROI_HEADS.NUM_CLASSES:
            raise CheckpointError(
                f"{weights}: has {len(classes)} classes, the config's MODEL.ROI_HEADS.NUM_CLASSES is "
                f"{cfg.MODEL.ROI_HEADS.NUM_CLASSES}; give the config it was trained with (config.yaml beside it)"
            )
        model = build_model(cfg, initial_weights=False)
        ActionCheckpointer(model).load(weights, checkpointables=[], contents=contents)
        digest = weights_hash(model)  # 0.1 s
        return cls(fold_for_inference(model, **inference_options(cfg)), cfg, classes, digest)

    def detect(
        self,
        video: Video,
        *,
        every: int | None = None,
        batch_size: int = 1,
        threshold: float = 0.0,
        fps: float | None = None,
        flow: str = "dis",
    ) -> Iterator[FrameDetections]:
        """One result a frame, in order; each frame is decoded once, and memory does not grow with the video.

        video: a file, a folder of numbered images, or any iterable of frames (h, w, 3) uint8 RGB.  every: run the
        detector on every n-th frame (TEST.KEYFRAME_STRIDE of the config); between them boxes move along.  batch_size:
        keyframes a forward pass.  threshold: the lowest score given.  fps: of an iterable, for `time`.  flow: how flow
        is computed for a detector that sees it, "dis" or "tvl1".  FrameReadError where a frame does not decode, after
        the results of those before it.
        """
        options = {"every": every, "batch_size": batch_size, "threshold": threshold, "fps": fps, "flow": flow}
        for _, found in self.detect_with_frames(video, **options):
            yield found

    def detect_with_frames(
        self,
        video: Video,
        *,
        every: int | None = None,
        batch_size: int = 1,
        threshold: float = 0.0,
        fps: float | None = None,
        flow: str = "dis",
    ) -> Iterator[tuple[np.ndarray, FrameDetections]]:
        """As `detect`, each result with its frame (h, w, 3) uint8 RGB, for drawing."""
        every = self.every(every)
        if every < 1 or batch_size < 1:
            raise UserError(f"every is {every}, batch_size {batch_size}; both must be at least 1")
        if isinstance(video, (str, os.PathLike)):
            fps = container_facts(video)[0] if fps is None else fps
            video = iter_frames(video, threads=0)
        frames = _UntilUnreadable(video)
        stream = detect_stream(self.model, frames, self._mapper, every=every, batch_size=batch_size, flow=flow)
        for k, frame, found in stream:
            yield frame, self._result(k, None if fps is None else k / fps, found, threshold)
        if frames.error:
            raise frames.error

    def track(
        self,
        video: Video,
        *,
        every: int | None = None,
        batch_size: int = 1,
        threshold: float = 0.4,
        fps: float | None = None,
        flow: str = "dis",
    ) -> Tracking:
        """As `detect`, with detections made actors: each has one number (`tubes`) and one label over its frames.

        threshold: the mean score along its tube from which an actor is shown; the other arguments are those of
        `detect`. The results come some frames later (see `detect.evaluation.linking.actors`); `tubes` of what is
        returned are the whole tubes, when they have ended.
        """
        options = TrackOptions.for_stream(threshold, self.every(every))
        results = self.detect_with_frames(video, every=every, batch_size=batch_size, fps=fps, flow=flow)
        return Tracking(results, self.classes, options)

    def every(self, every: int | None) -> int:
        """On every how manyth frame the detector runs: `every`, or as its config says."""
        return self.cfg.TEST.KEYFRAME_STRIDE if every is None else every

    def detect_clip(
        self, frames: Sequence[np.ndarray] | np.ndarray, *, threshold: float = 0.0, flow: str = "dis"
    ) -> FrameDetections:
        """The result of the middle frame, number T // 2, of a clip of T frames (h, w, 3) uint8 RGB.

        The detector looks at INPUT.NUM_FRAMES frames around it, INPUT.FRAME_STEP apart; a shorter clip is continued by
        its edge frames.
        """
        key = len(frames) // 2
        (span,) = self._mapper.plan.spans([key])
        indices = span.indices(len(frames))
        sample = {"file_name": "the clip", "height": frames[key].shape[0], "width": frames[key].shape[1]}
        flows = [motion for _, motion in flow_as_frames_arrive(frames, flow)] if self._mapper.flow else None
        pairs = {k: self._mapper.prepare(sample, frames[k], flows and flows[k]) for k in set(indices.tolist())}
        with torch.no_grad():
            (output,) = self.model.eval()([self._mapper.pack([sample], [pairs[k] for k in indices.tolist()], span)])
        return self._result(key, None, output["instances"].to("cpu"), threshold)

    def _result(self, frame: int, time: float | None, found: Instances, threshold: float) -> FrameDetections:
        found = found[found.scores >= threshold]
        labels = found.pred_classes.numpy()
        names = tuple(self.classes[label] for label in labels)
        return FrameDetections(frame, time, found.pred_boxes.tensor.numpy(), labels, names, found.scores.numpy())


class _UntilUnreadable:
    """Frames up to one that cannot be read, whose error is kept: the results of those before it come first."""

    def __init__(self, frames: Iterable[np.ndarray]):
        self.frames, self.error = frames, None

    def __iter__(self) -> Iterator[np.ndarray]:
        try:
            yield from self.frames
        except FrameReadError as error:
            self.error = error


class VideoClassifier:
    """The classifier of a checkpoint: what happens in a video.

    classes: names in the order of the scores.  network: a `backbones.InceptionNet`.  plan: how a video is looked at.
    """

    def __init__(self, network: backbones.InceptionNet, classes: Sequence[str], plan: EvalPlan, device: str = "cpu"):
        from detect.classification.model import ActionClassifier

        preprocessing = network.preprocessing
        self.network, self.classes, self.plan = network, tuple(classes), plan
        self._model = ActionClassifier(network, preprocessing.mean, preprocessing.std).to(device).eval()

    @classmethod
    def load(
        cls, weights: str | os.PathLike, *, device: str | None = None, precision: str = "fp32"
    ) -> "VideoClassifier":
        """The classifier of a checkpoint of tools/train_classifier.py, or of other code (docs/weights.md).

        weights: a file or an address, such as torchvision://S3D_Weights.KINETICS400_V1.  Videos are looked at as the
        checkpoint's config says, else whole, at 256 x 256 cropped to 224 x 224.  precision: of the convolutions:
        "fp32", "bf16" or "auto", see MODEL.PRECISION.
        """
        from detect.classification.model import fold_network
        from detect.engine.checkpoint import load_cfg_and_checkpoint
        from detect.modeling.context_weights import read_network

        weights = os.fspath(weights)
        data = read_network(weights)
        if not {"network", "preprocessing"} <= data.keys():
            raise CheckpointError(f"{weights}: does not say which network it is of; see tools/convert_weights.py")
        try:
            network = network_from(data)
        except RuntimeError as error:
            raise CheckpointError(f"{weights}: its arrays do not fit its network: {first_line(error)}") from error
        classes = data.get("tag", {}).get("classes") or [str(k) for k in range(network.logits.out_channels)]
        if network.in_channels not in (2, 3):
            raise CheckpointError(f"{weights}: takes {network.in_channels} channels; videos are RGB or flow")
        plan = EvalPlan(modality="rgb" if network.in_channels == 3 else "flow")
        if "config" in data:
            cfg, _ = load_cfg_and_checkpoint("", (), weights, contents=data)
            plan = EvalPlan.from_config(cfg)
        device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        fold_network(network, precision, torch.device(device))
        return cls(network, classes, plan, device)

    @torch.no_grad()
    def scores(self, video: Video) -> np.ndarray:
        """(K,) float32, which sum to 1: logits averaged over time, softmax, averaged over clips and crops.

        video: a file, a folder of frames (or of flow images, for a flow network), or an iterable of frames, which is
        looked at whole.
        """
        keeper = ScoreKeeper(len(self.classes))
        views = self.plan.views(os.fspath(video)) if isinstance(video, (str, os.PathLike)) else self.plan.whole(video)
        for view, clip in views:
            logits = self._model([{"clip": torch.from_numpy(np.ascontiguousarray(clip))}])
            keeper.add(0, view, len(clip), logits[0].cpu().numpy())
        keeper.close(0, None)
        if keeper.errors:
            raise UserError(f"nothing to classify: {keeper.errors[0]}")
        return keeper.scores[0]

    def classify(self, video: Video, top: int = 5) -> list[tuple[str, float]]:
        """The `top` likeliest classes, (name, score), the likeliest first."""
        scores = self.scores(video)
        return [(self.classes[k], float(scores[k])) for k in np.argsort(-scores, kind="stable")[:top]]


def _classes(contents: dict[str, Any], path: str) -> list[str]:
    tag = contents.get("tag", {})
    classes = tag.get("classes") if isinstance(tag, dict) else None
    if not isinstance(classes, list) or not classes:
        raise CheckpointError(f"{path}: does not say its classes; give a checkpoint of tools/train_net.py")
    return list(map(str, classes))
