"""The paper's detector: a 2D network proposes regions on the keyframe, a 3D network says what happens in them.

    clip (T, H, W, 3) --+-- keyframe T//2 -> ResNet -> RPN -> proposals ----+
                        +-- all frames -> 3D trunk --+-> 3D RoI pooling <---+ -> 3D tail -> class, box
    flow (T, H, W, 2) ----- all flows  -> 3D trunk --+   (the mean of the maps there are)

Source: Xie et al., ECCV 2018, section 5.3; Gu et al. (AVA), CVPR 2018.
"""

import torch
from torch import Tensor, nn

from backbones import Preprocessing
from backbones.stages import Stages
from detect.d2 import (
    BACKBONE_REGISTRY,
    HAS_DETECTRON2,
    META_ARCH_REGISTRY,
    PROPOSAL_GENERATOR_REGISTRY,
    ROI_HEADS_REGISTRY,
    Backbone,
    CfgNode,
    ImageList,
    Instances,
    ShapeSpec,
    configurable,
)
from detect.data.keyframe_mapper import keyframe_items
from detect.modeling.boxes import require_finite
from detect.modeling.context import build_context_networks
from detect.modeling.cuda_graphs import aside
from detect.modeling.keyframe_weights import load_keyframe_weights
from detect.modeling.results import to_original_frame
from detect.modeling.sharing import shared_endpoint, window_maps
from detect.utils.errors import UserError

BRANCHES = {"rgb": "context", "flow": "flow"}  # stream -> its network's attribute


@META_ARCH_REGISTRY.register()
class ActionRCNN(nn.Module):
    """Faster R-CNN whose region features come from the frames around the keyframe."""

    @configurable
    def __init__(
        self,
        *,
        backbone: Backbone,
        streams: dict[str, Stages],
        stream_inputs: dict[str, Preprocessing],
        proposal_generator: nn.Module,
        roi_heads: nn.Module,
        pixel_mean: tuple[float, ...],
        pixel_std: tuple[float, ...],
        input_format: str = "RGB",
        window: int = 0,
        shared: str | None = None,
    ):
        """Means and deviations are of 0..255 values; the keyframe's in `input_format` order, the context's in RGB.

        streams: the 3D trunks, by "rgb" and "flow".  window: frames that a keyframe is judged by, and shared: the
        endpoint up to which the trunks run once for a span of them; both matter for spans only.
        """
        super().__init__()
        self.backbone = backbone
        self.context, self.flow = streams.get("rgb"), streams.get("flow")
        self.window, self.shared = window, shared
        if shared:
            for trunk in streams.values():
                trunk.split(shared)[0].slide_gates(window)
        self.proposal_generator, self.roi_heads = proposal_generator, roi_heads
        if input_format not in ("RGB", "BGR"):
            raise UserError(f"INPUT.FORMAT is {input_format!r}; it must be 'RGB' or 'BGR'")
        self.reverse = input_format == "BGR"
        keyframe = Preprocessing(tuple(pixel_mean), tuple(pixel_std), input_format)
        branches = {"keyframe": keyframe, **{BRANCHES[stream]: value for stream, value in stream_inputs.items()}}
        for branch, wanted in branches.items():
            prefix, shape = ("", (3, 1, 1)) if branch == "keyframe" else (f"{branch}_", (-1,))
            for name, values in (("pixel_mean", wanted.mean), ("pixel_std", wanted.std)):
                self.register_buffer(prefix + name, torch.tensor(values).reshape(shape), persistent=False)
        self._preprocessing = {
            branch: {"mean": list(wanted.mean), "std": list(wanted.std), "channel_order": wanted.channel_order}
            for branch, wanted in branches.items()
        }

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict:
        if cfg.MODEL.BACKBONE.WEIGHTS and cfg.MODEL.BACKBONE.NAME != "build_keyframe_resnet":
            raise UserError(
                f"MODEL.BACKBONE.WEIGHTS is for build_keyframe_resnet; {cfg.MODEL.BACKBONE.NAME} takes weights with "
                "the whole model's, through MODEL.WEIGHTS and tools/d2_train_net.py"
            )
        context = build_context_networks(cfg)
        backbone = registered(BACKBONE_REGISTRY, cfg.MODEL.BACKBONE.NAME)(cfg, ShapeSpec(channels=3))
        build_rpn = registered(PROPOSAL_GENERATOR_REGISTRY, cfg.MODEL.PROPOSAL_GENERATOR.NAME)
        rpn = build_rpn(cfg, backbone.output_shape())
        if cfg.MODEL.BACKBONE.WEIGHTS:
            load_keyframe_weights(cfg, backbone.trunk, rpn)
        trunk = next(iter(context.trunks.values()))
        head = registered(ROI_HEADS_REGISTRY, cfg.MODEL.ROI_HEADS.NAME)
        return {
            "backbone": backbone,
            "streams": context.trunks,
            "stream_inputs": context.inputs,
            "proposal_generator": rpn,
            "roi_heads": head(cfg, trunk.feature_info[cfg.MODEL.CONTEXT.TAP], context.tail),
            "pixel_mean": tuple(cfg.MODEL.PIXEL_MEAN),
            "pixel_std": tuple(cfg.MODEL.PIXEL_STD),
            "input_format": cfg.INPUT.FORMAT,
            "window": cfg.INPUT.NUM_FRAMES,
            "shared": shared_endpoint(cfg),
        }

    def preprocessing(self) -> dict[str, dict]:
        """The input of every branch, as a checkpoint notes it: (pixel - mean) / std, pixel 0..255."""
        return self._preprocessing

    @property
    def device(self) -> torch.device:
        return self.pixel_mean.device

    def forward(self, batch: list[dict]) -> dict[str, Tensor] | list[dict]:
        """batch: dicts with `clip` (T, H, W, 3) uint8 RGB, keyframe at T//2, all of one size, and `flow` (T, H, W, 2)
        uint8 where that is a stream; in training also `instances` with gt_boxes (pixels of the clip) and gt_classes; in
        inference `height`, `width` of the original.

        A clip may be a span of several keyframes: `positions`, where in it they are, `offsets`, where the window of
        each begins, and `samples`, dicts of the keyframes with `height` and `width`; `instances` is then a list. Clips
        of one batch are all spans, or none is.

        Returns the four losses in training; else for each keyframe {"instances": detections in the original frame,
        "proposals": the RPN's, in the original frame}.
        """
        clips = self.stack(batch, "clip")
        images = self.keyframes(clips, batch)
        gt_instances = [gt.to(self.device) for gt in ground_truth(batch)] if self.training else None
        beside_context = aside(self.device)  # proposals are waited for, and need not wait for the context
        context = self.context_maps(clips, batch)
        with beside_context:
            features = self.backbone(images.tensor)
            if not self.training:
                require_finite("keyframe network", *features.values())
            proposals, rpn_losses = self.proposal_generator(images, features, gt_instances)
        if not self.training:
            require_finite("context network", context)
        detections, head_losses = self.roi_heads(images, context, proposals, gt_instances)
        if self.training:
            return {**rpn_losses, **head_losses}
        return [
            {"instances": to_original_frame(d, item), "proposals": to_original_frame(p, item)}
            for d, p, item in zip(detections, proposals, keyframe_items(batch), strict=True)
        ]

    def stack(self, batch: list[dict], name: str) -> Tensor:
        """(N, T, H, W, channels) uint8 on the model's device."""
        shapes = {tuple(item[name].shape) for item in batch}
        if len(shapes) != 1:
            raise ValueError(f"the clips of a batch must have one shape (T, H, W, 3), not {sorted(shapes)}")
        return torch.stack([item[name].to(self.device, non_blocking=True) for item in batch])

    def keyframes(self, clips: Tensor, batch: list[dict]) -> ImageList:
        """(K, 3, H, W) normalised keyframes: the middle frames, or those at `positions`."""
        if "positions" in batch[0]:
            chosen = torch.cat([clip[item["positions"]] for clip, item in zip(clips, batch, strict=True)])
        else:
            chosen = clips[:, clips.shape[1] // 2]
        frames = chosen.permute(0, 3, 1, 2)
        frames = (frames.flip(1) if self.reverse else frames).float()
        sizes = [tuple(frames.shape[2:])] * len(frames)
        return ImageList((frames - self.pixel_mean) / self.pixel_std, sizes)

    def context_maps(self, clips: Tensor, batch: list[dict]) -> Tensor:
        """(K, C, T', H', W') of the keyframes' windows at MODEL.CONTEXT.TAP: the mean over the streams."""
        maps = []
        for stream, branch in BRANCHES.items():
            trunk = getattr(self, branch)
            if trunk is None:
                continue
            x = self.normalised(clips if stream == "rgb" else self.stack(batch, "flow"), branch)
            if "offsets" in batch[0]:
                maps.append(window_maps(trunk, x, self.shared, self.window, [item["offsets"] for item in batch]))
            else:
                maps.append(trunk(x))
        return maps[0] if len(maps) == 1 else sum(maps) / len(maps)

    def normalised(self, clips: Tensor, branch: str = "context") -> Tensor:
        """(N, channels, T, H, W) normalised frames, a channels-last view."""
        mean, std = getattr(self, f"{branch}_pixel_mean"), getattr(self, f"{branch}_pixel_std")
        return ((clips.float() - mean) / std).permute(0, 4, 1, 2, 3)


def ground_truth(batch: list[dict]) -> list[Instances]:
    """The `instances` of each keyframe."""
    return [gt for item in batch for gt in (item["instances"] if "positions" in item else (item["instances"],))]


def registered(registry, name: str):
    """The component of that name; UserError lists the registered ones."""
    if name in registry:
        return registry.get(name)
    hint = "" if HAS_DETECTRON2 else " (Detectron2's own components need Detectron2, which is not installed)"
    known = ", ".join(known for known, _ in registry)
    raise UserError(f"the config names {name!r}, which is not registered{hint}; registered: {known}")
