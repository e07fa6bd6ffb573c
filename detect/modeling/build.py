"""The detector from its config, and made ready for inference."""

import copy
from operator import attrgetter
from typing import Any

import torch
from torch import nn

from backbones import fold_batch_norm
from detect.d2 import META_ARCH_REGISTRY, CfgNode
from detect.modeling import keyframe, roi_head, rpn  # noqa: F401  (registers the components)
from detect.modeling.action_rcnn import ActionRCNN, registered
from detect.modeling.boxes import require_finite
from detect.modeling.cuda_graphs import record
from detect.modeling.precision import inference_dtype, lower_convolutions


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


def fold_for_inference(
    model: nn.Module, precision: str = "fp32", graphs: bool = True, compiled: bool = False
) -> nn.Module:
    """The detector with the normalisation of its own networks moved into their convolutions, for good: the same results
    up to rounding in less time; it can no longer be trained or saved as before.

    precision, graphs, compiled: as MODEL.PRECISION, CUDA_GRAPHS, COMPILE; see inference_options.
    """
    named = {"context network": "context", "flow network": "flow", "region head": "roi_heads.tail"}
    networks = []
    for name, path in named.items() if isinstance(model, ActionRCNN) else ():
        if (network := attrgetter(path)(model)) is not None:
            require_finite(name, *network.parameters())  # see backbones.convolution: ReLU may make 0 of no number
            networks.append(fold_batch_norm(network))
    if isinstance(getattr(model, "backbone", None), keyframe.KeyframeResNet):
        networks.append(model.backbone.trunk.fold())
    lowered = list(networks)
    if isinstance(getattr(model, "proposal_generator", None), rpn.KeyframeRPN):
        networks.append(model.proposal_generator.rpn_head)
        lowered.append(model.proposal_generator.rpn_head.conv)
    for network in lowered:
        lower_convolutions(network, inference_dtype(precision, model.device))
    graphs = graphs and model.device.type == "cuda"
    for network in networks if graphs or compiled else ():
        record(network, graphs, compiled)
    return model.eval()


def inference_copy(model: nn.Module, precision: str = "fp32", **options: Any) -> nn.Module:
    """A copy of the detector, folded; the model itself can be trained on. Options as fold_for_inference."""
    return fold_for_inference(copy.deepcopy(model), precision, **options)
