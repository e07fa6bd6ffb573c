"""The paper's detector: a 2D network proposes regions on the keyframe, a 3D network says what happens in them.

    clip (T, H, W, 3) --+-- keyframe T//2 -> ResNet -> RPN -> proposals ----+
                        +-- all frames -> 3D trunk -> 3D RoI pooling <------+ -> 3D tail -> class, box

Source: Xie et al., ECCV 2018, section 5.3; Gu et al. (AVA), CVPR 2018.
"""

import torch
from torch import Tensor, nn

from backbones.inception import Stages
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
from detect.modeling.boxes import require_finite
from detect.modeling.context import build_context_network
from detect.modeling.keyframe_weights import load_keyframe_weights
from detect.utils.errors import UserError


@META_ARCH_REGISTRY.register()
class ActionRCNN(nn.Module):
    """Faster R-CNN whose region features come from the frames around the keyframe."""

    @configurable
    def __init__(
        self,
        *,
        backbone: Backbone,
        context: Stages,
        proposal_generator: nn.Module,
        roi_heads: nn.Module,
        pixel_mean: tuple[float, ...],
        pixel_std: tuple[float, ...],
        context_pixel_mean: tuple[float, ...],
        context_pixel_std: tuple[float, ...],
        input_format: str = "RGB",
    ):
        """Means and deviations are of 0..255 values; the keyframe's in `input_format` order, the context's in RGB."""
        super().__init__()
        self.backbone, self.context = backbone, context
        self.proposal_generator, self.roi_heads = proposal_generator, roi_heads
        if input_format not in ("RGB", "BGR"):
            raise UserError(f"INPUT.FORMAT is {input_format!r}; it must be 'RGB' or 'BGR'")
        self.channel_order = [0, 1, 2] if input_format == "RGB" else [2, 1, 0]
        for name, values, shape in (
            ("pixel_mean", pixel_mean, (3, 1, 1)),
            ("pixel_std", pixel_std, (3, 1, 1)),
            ("context_pixel_mean", context_pixel_mean, (3,)),
            ("context_pixel_std", context_pixel_std, (3,)),
        ):
            self.register_buffer(name, torch.tensor(values).reshape(shape), persistent=False)
        self._preprocessing = {
            "keyframe": {"mean": list(pixel_mean), "std": list(pixel_std), "channel_order": input_format},
            "context": {"mean": list(context_pixel_mean), "std": list(context_pixel_std), "channel_order": "RGB"},
        }

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict:
        if cfg.MODEL.BACKBONE.WEIGHTS and cfg.MODEL.BACKBONE.NAME != "build_keyframe_resnet":
            raise UserError(
                f"MODEL.BACKBONE.WEIGHTS is for build_keyframe_resnet; {cfg.MODEL.BACKBONE.NAME} takes weights with "
                "the whole model's, through MODEL.WEIGHTS and tools/d2_train_net.py"
            )
        context, tail, context_input = build_context_network(cfg)
        backbone = registered(BACKBONE_REGISTRY, cfg.MODEL.BACKBONE.NAME)(cfg, ShapeSpec(channels=3))
        build_rpn = registered(PROPOSAL_GENERATOR_REGISTRY, cfg.MODEL.PROPOSAL_GENERATOR.NAME)
        rpn = build_rpn(cfg, backbone.output_shape())
        if cfg.MODEL.BACKBONE.WEIGHTS:
            load_keyframe_weights(cfg, backbone.trunk, rpn)
        head = registered(ROI_HEADS_REGISTRY, cfg.MODEL.ROI_HEADS.NAME)
        return {
            "backbone": backbone,
            "context": context,
            "proposal_generator": rpn,
            "roi_heads": head(cfg, context.feature_info[cfg.MODEL.CONTEXT.TAP], tail),
            "pixel_mean": tuple(cfg.MODEL.PIXEL_MEAN),
            "pixel_std": tuple(cfg.MODEL.PIXEL_STD),
            "context_pixel_mean": context_input.mean,
            "context_pixel_std": context_input.std,
            "input_format": cfg.INPUT.FORMAT,
        }

    def preprocessing(self) -> dict[str, dict]:
        """The input of both branches, as a checkpoint notes it: (pixel - mean) / std, pixel 0..255."""
        return self._preprocessing

    @property
    def device(self) -> torch.device:
        return self.pixel_mean.device

    def forward(self, batch: list[dict]) -> dict[str, Tensor] | list[dict]:
        """batch: dicts with `clip` (T, H, W, 3) uint8 RGB, keyframe at T//2, all of one size; in training also
        `instances` with gt_boxes (pixels of the clip) and gt_classes; in inference `height`, `width` of the original.

        Returns the four losses in training; else for each clip {"instances": detections in the original frame,
        "proposals": the RPN's, in the original frame}.
        """
        clips = self.stack_clips(batch)
        images = self.keyframes(clips)
        gt_instances = [item["instances"].to(self.device) for item in batch] if self.training else None
        features, context = self.backbone(images.tensor), self.context(self.context_input(clips))
        if not self.training:
            require_finite("keyframe network", *features.values())
            require_finite("context network", context)
        proposals, rpn_losses = self.proposal_generator(images, features, gt_instances)
        detections, head_losses = self.roi_heads(images, context, proposals, gt_instances)
        if self.training:
            return {**rpn_losses, **head_losses}
        return [
            {"instances": to_original_frame(d, item), "proposals": to_original_frame(p, item)}
            for d, p, item in zip(detections, proposals, batch, strict=True)
        ]

    def stack_clips(self, batch: list[dict]) -> Tensor:
        """(N, T, H, W, 3) uint8 on the model's device."""
        shapes = {tuple(item["clip"].shape) for item in batch}
        if len(shapes) != 1:
            raise ValueError(f"the clips of a batch must have one shape (T, H, W, 3), not {sorted(shapes)}")
        return torch.stack([item["clip"].to(self.device, non_blocking=True) for item in batch])

    def keyframes(self, clips: Tensor) -> ImageList:
        """(N, 3, H, W) normalised middle frames."""
        frames = clips[:, clips.shape[1] // 2].permute(0, 3, 1, 2)[:, self.channel_order].float()
        sizes = [tuple(frames.shape[2:])] * len(frames)
        return ImageList((frames - self.pixel_mean) / self.pixel_std, sizes)

    def context_input(self, clips: Tensor) -> Tensor:
        """(N, 3, T, H, W) normalised frames, a channels-last view."""
        return ((clips.float() - self.context_pixel_mean) / self.context_pixel_std).permute(0, 4, 1, 2, 3)


def to_original_frame(result: Instances, item: dict) -> Instances:
    """The same boxes in pixels of the original frame."""
    height, width = item["height"], item["width"]
    scale_y, scale_x = height / result.image_size[0], width / result.image_size[1]
    mapped = Instances((height, width), **result.get_fields())
    for name in ("pred_boxes", "proposal_boxes"):
        if mapped.has(name):
            boxes = mapped.get(name).clone()
            boxes.scale(scale_x, scale_y)
            boxes.clip((height, width))
            mapped.set(name, boxes)
    return mapped


def registered(registry, name: str):
    """The component of that name; UserError lists the registered ones."""
    if name in registry:
        return registry.get(name)
    hint = "" if HAS_DETECTRON2 else " (Detectron2's own components need Detectron2, which is not installed)"
    known = ", ".join(known for known, _ in registry)
    raise UserError(f"the config names {name!r}, which is not registered{hint}; registered: {known}")
