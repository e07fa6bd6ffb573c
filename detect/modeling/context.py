"""The context branch: a 3D network over the frames around the keyframe, cut in two at the pooled feature map."""

from dataclasses import fields

import backbones
from backbones.inception import Stages, freeze_batch_norm
from detect.d2 import CfgNode
from detect.weights import read_checkpoint


def build_context_network(cfg: CfgNode) -> tuple[Stages, Stages]:
    """The stages up to `MODEL.CONTEXT.TAP` (run once a clip) and those after it (run once a region)."""
    options = cfg.MODEL.CONTEXT
    legal = [field.name for field in fields(backbones.VariantSpec)]
    if unknown := sorted(set(options.OVERRIDES) - set(legal)):
        raise ValueError(f"MODEL.CONTEXT.OVERRIDES has {', '.join(unknown)}; the fields are {', '.join(legal)}")
    net = backbones.build(options.NAME, width=options.WIDTH, num_classes=1, **options.OVERRIDES)
    if options.WEIGHTS:
        load_classifier_weights(net, options.WEIGHTS)
    if options.NORM not in ("FrozenBN", "BN"):
        raise ValueError(f"MODEL.CONTEXT.NORM is {options.NORM!r}; it must be 'FrozenBN' or 'BN'")
    if options.NORM == "FrozenBN":
        freeze_batch_norm(net)
    if options.FREEZE_AT:
        frozen, _ = net.split(options.FREEZE_AT)
        freeze_batch_norm(frozen.requires_grad_(False))
    return net.split(options.TAP)


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
