"""The context branch: a 3D network over the frames around the keyframe, cut in two at the pooled feature map."""

from dataclasses import fields

import backbones
from backbones import Preprocessing
from backbones.inception import InceptionNet, Stages, freeze_batch_norm
from detect.d2 import CfgNode
from detect.modeling.context_weights import load_context_weights
from detect.modeling.sync_batch_norm import sync_batch_norm
from detect.utils.errors import UserError


def build_context_network(cfg: CfgNode) -> tuple[Stages, Stages, Preprocessing]:
    """The stages up to `MODEL.CONTEXT.TAP` (run once a clip), those after it (run once a region), and the input of the
    first ones: as the config says or, where it has the default, as MODEL.CONTEXT.WEIGHTS want it.
    """
    options = cfg.MODEL.CONTEXT
    net = build_network(options, num_classes=1)
    net.preprocessing = Preprocessing(tuple(options.PIXEL_MEAN), tuple(options.PIXEL_STD))
    if options.WEIGHTS:
        load_context_weights(net, options.WEIGHTS, adopt=net.preprocessing == Preprocessing())
    apply_norm(net, options)
    return *_split(net, options, "TAP"), net.preprocessing


def build_network(options: CfgNode, **arguments) -> InceptionNet:
    """The network that `options`, the section MODEL.CONTEXT, names; `arguments` as for `backbones.build`."""
    legal = [field.name for field in fields(backbones.VariantSpec)]
    if unknown := sorted(set(options.OVERRIDES) - set(legal)):
        raise UserError(f"MODEL.CONTEXT.OVERRIDES has {', '.join(unknown)}; the fields are {', '.join(legal)}")
    try:
        net = backbones.build(options.NAME, width=options.WIDTH, **arguments, **options.OVERRIDES)
    except ValueError as error:
        raise UserError(f"MODEL.CONTEXT: {error}") from error
    net.stages.checkpointing = options.ACTIVATION_CHECKPOINT
    return net


def apply_norm(net: InceptionNet, options: CfgNode) -> None:
    """Make batch normalisation what MODEL.CONTEXT.NORM says, and freeze the stages up to FREEZE_AT."""
    if options.NORM not in ("FrozenBN", "BN", "SyncBN"):
        raise UserError(f"MODEL.CONTEXT.NORM is {options.NORM!r}; it must be 'FrozenBN', 'BN' or 'SyncBN'")
    if options.NORM == "FrozenBN":
        freeze_batch_norm(net)
    if options.NORM == "SyncBN":
        sync_batch_norm(net)
    if options.FREEZE_AT:
        frozen, _ = _split(net, options, "FREEZE_AT")
        freeze_batch_norm(frozen.requires_grad_(False))


def _split(net: InceptionNet, options: CfgNode, key: str) -> tuple[Stages, Stages]:
    try:
        return net.split(options[key])
    except ValueError as error:
        raise UserError(f"MODEL.CONTEXT.{key}: {error}") from error
