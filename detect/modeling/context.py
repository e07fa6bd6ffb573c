"""The context branch: a 3D network over the frames around the keyframe, cut in two at the pooled feature map."""

from dataclasses import fields

import backbones
from backbones.inception import InceptionNet, Stages, freeze_batch_norm
from detect.d2 import CfgNode
from detect.modeling.sync_batch_norm import sync_batch_norm
from detect.weights import read_checkpoint


def build_context_network(cfg: CfgNode) -> tuple[Stages, Stages]:
    """The stages up to `MODEL.CONTEXT.TAP` (run once a clip) and those after it (run once a region)."""
    options = cfg.MODEL.CONTEXT
    net = build_network(options, num_classes=1)
    if options.WEIGHTS:
        load_classifier_weights(net, options.WEIGHTS)
    apply_norm(net, options)
    return net.split(options.TAP)


def build_network(options: CfgNode, **arguments) -> InceptionNet:
    """The network that `options`, the section MODEL.CONTEXT, names; `arguments` as for `backbones.build`."""
    legal = [field.name for field in fields(backbones.VariantSpec)]
    if unknown := sorted(set(options.OVERRIDES) - set(legal)):
        raise ValueError(f"MODEL.CONTEXT.OVERRIDES has {', '.join(unknown)}; the fields are {', '.join(legal)}")
    return backbones.build(options.NAME, width=options.WIDTH, **arguments, **options.OVERRIDES)


def apply_norm(net: InceptionNet, options: CfgNode) -> None:
    """Make batch normalisation what MODEL.CONTEXT.NORM says, and freeze the stages up to FREEZE_AT."""
    if options.NORM not in ("FrozenBN", "BN", "SyncBN"):
        raise ValueError(f"MODEL.CONTEXT.NORM is {options.NORM!r}; it must be 'FrozenBN', 'BN' or 'SyncBN'")
    if options.NORM == "FrozenBN":
        freeze_batch_norm(net)
    if options.NORM == "SyncBN":
        sync_batch_norm(net)
    if options.FREEZE_AT:
        frozen, _ = net.split(options.FREEZE_AT)
        freeze_batch_norm(frozen.requires_grad_(False))


def load_classifier_weights(net: backbones.InceptionNet, path: str) -> None:
    """Load all of a classification checkpoint but its logits into `net`; ValueError names what does not fit."""
    state = {k: v for k, v in read_checkpoint(path)["model"].items() if not k.startswith("logits.")}
    expected = {k: v for k, v in net.state_dict().items() if not k.startswith("logits.")}
    wrong = [
        k
        for k in expected.keys() | state.keys()
        if k not in state or k not in expected or state[k].shape != expected[k].shape
    ]
    if wrong:
        raise ValueError(
            f"{path} is not a checkpoint of this context network: {len(wrong)} of {len(expected)} arrays are missing, "
            f"unknown or of another shape, first {sorted(wrong)[:3]}; check MODEL.CONTEXT.NAME, WIDTH and OVERRIDES"
        )
    net.load_state_dict(state, strict=False)
