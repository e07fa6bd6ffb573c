"""The context branch: 3D networks over the frames around the keyframe, of RGB, flow or both, cut in two at the pooled
feature map."""

from dataclasses import fields
from typing import NamedTuple

import backbones
from backbones import Preprocessing
from backbones.inception import InceptionNet, freeze_batch_norm
from backbones.stages import Stages
from detect.d2 import CfgNode
from detect.modeling.context_weights import load_context_weights
from detect.modeling.sync_batch_norm import sync_batch_norm
from detect.utils.errors import UserError

CHANNELS = {"rgb": 3, "flow": 2}
SECTIONS = {"rgb": "MODEL.CONTEXT", "flow": "MODEL.FLOW"}  # of the config, by stream


class ContextNetworks(NamedTuple):
    """trunks: {stream: the stages up to MODEL.CONTEXT.TAP}, run once a clip. tail: those after it, run once a region;
    of the first stream. inputs: {stream: how its frames are normalised}."""

    trunks: dict[str, Stages]
    tail: Stages
    inputs: dict[str, Preprocessing]


def build_context_networks(cfg: CfgNode) -> ContextNetworks:
    """The networks of MODEL.STREAMS. The input of the RGB one is as the config says or, where it has the default, as
    MODEL.CONTEXT.WEIGHTS want it.
    """
    trunks, inputs, tail = {}, {}, None
    for stream in cfg.MODEL.STREAMS:
        options = stream_options(cfg, stream)
        net = build_network(options, num_classes=1, in_channels=CHANNELS[stream])
        net.preprocessing = Preprocessing(
            tuple(options.PIXEL_MEAN), tuple(options.PIXEL_STD), Preprocessing.default(CHANNELS[stream]).channel_order
        )
        if options.WEIGHTS:
            adopt = stream == "rgb" and net.preprocessing == Preprocessing()
            load_context_weights(net, options.WEIGHTS, adopt=adopt, section=SECTIONS[stream])
        apply_norm(net, options)
        trunks[stream], rest = _split(net, options, "TAP")
        tail = rest if tail is None else tail
        inputs[stream] = net.preprocessing
    channels = {stream: trunk.feature_info[cfg.MODEL.CONTEXT.TAP]["channels"] for stream, trunk in trunks.items()}
    if len(set(channels.values())) > 1:
        raise UserError(f"the maps of the two streams have {channels} channels; their widths and networks must agree")
    return ContextNetworks(trunks, tail, inputs)


def stream_options(cfg: CfgNode, stream: str) -> CfgNode:
    """The section of one stream: MODEL.CONTEXT, or what MODEL.FLOW changes of it."""
    options = cfg.MODEL.CONTEXT
    if stream == "rgb":
        return options
    options = options.clone()
    options.defrost()
    for key, value in cfg.MODEL.FLOW.items():
        if key == "OVERRIDES":
            options.OVERRIDES.update(value)
        elif value not in ("", None) or (value == "" and key in ("WEIGHTS", "FREEZE_AT")):  # of these "" is a value
            options[key] = value
    return options


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
