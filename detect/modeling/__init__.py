"""The detector and its registered components."""

import torch
from torch import nn

from detect.d2 import META_ARCH_REGISTRY, CfgNode
from detect.modeling import keyframe, roi_head, rpn  # noqa: F401  (registers the components)
from detect.modeling.action_rcnn import ActionRCNN, registered

__all__ = ["ActionRCNN", "build_model"]


def build_model(cfg: CfgNode, initial_weights: bool = True) -> nn.Module:
    """The model that `cfg.MODEL.META_ARCHITECTURE` names, on `cfg.MODEL.DEVICE`.

    initial_weights: read the WEIGHTS of MODEL.BACKBONE, MODEL.CONTEXT and MODEL.FLOW; False where a checkpoint of the
    whole detector is loaded next, so that these files need not be at hand.
    """
    if not initial_weights:
        cfg = cfg.clone()
        cfg.defrost()
        cfg.MODEL.BACKBONE.WEIGHTS = cfg.MODEL.CONTEXT.WEIGHTS = cfg.MODEL.FLOW.WEIGHTS = ""
    build = registered(META_ARCH_REGISTRY, cfg.MODEL.META_ARCHITECTURE)
    return build(cfg).to(torch.device(cfg.MODEL.DEVICE))
