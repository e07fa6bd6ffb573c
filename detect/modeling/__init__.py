"""The detector and its registered components."""

import torch
from torch import nn

from detect.d2 import META_ARCH_REGISTRY, CfgNode
from detect.modeling import keyframe, roi_head, rpn  # noqa: F401  (registers the components)
from detect.modeling.action_rcnn import ActionRCNN

__all__ = ["ActionRCNN", "build_model"]


def build_model(cfg: CfgNode) -> nn.Module:
    """The model that `cfg.MODEL.META_ARCHITECTURE` names, on `cfg.MODEL.DEVICE`, with initial weights."""
    return META_ARCH_REGISTRY.get(cfg.MODEL.META_ARCHITECTURE)(cfg).to(torch.device(cfg.MODEL.DEVICE))
