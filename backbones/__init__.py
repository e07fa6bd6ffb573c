"""Video networks of "Rethinking Spatiotemporal Feature Learning" and the ResNet of the keyframe.

>>> import backbones
>>> net = backbones.build("s3dg", num_classes=400)
>>> trunk, tail = net.split("mixed_4e")
"""

import difflib
from dataclasses import fields, replace

from .checkpoint import load_network, network_facts, network_from, network_state
from .inception import InceptionNet, fold_batch_norm, freeze_batch_norm
from .preprocessing import Preprocessing
from .variants import ENDPOINTS, VARIANTS, VariantSpec, per_frame_endpoint, temporal_stride

__all__ = [
    "ENDPOINTS",
    "InceptionNet",
    "Preprocessing",
    "VariantSpec",
    "build",
    "fold_batch_norm",
    "freeze_batch_norm",
    "load_network",
    "names",
    "network_facts",
    "network_from",
    "network_state",
    "per_frame_endpoint",
    "temporal_stride",
    "variant",
]


def names() -> tuple[str, ...]:
    """Every network that `build` knows."""
    return tuple(VARIANTS)


def build(
    name: str, *, num_classes: int = 400, in_channels: int = 3, width: float = 1.0, dropout: float = 0.2, **overrides
) -> InceptionNet:
    """A network of the family with random weights.

    name: one of `names()`.  in_channels: 3 for RGB, 2 for flow.  width: multiplies every layer's channels.
    overrides: fields of `VariantSpec`.  Raises ValueError for an unknown name, field or value.
    """
    return InceptionNet(
        variant(name, **overrides), num_classes=num_classes, in_channels=in_channels, width=width, dropout=dropout
    )


def variant(name: str, **overrides) -> VariantSpec:
    """The row of a network, with fields changed: what `build` builds. ValueError as there."""
    if name not in VARIANTS:
        close = difflib.get_close_matches(name, VARIANTS, n=3) or list(VARIANTS)[:5]
        raise ValueError(f"unknown network {name!r}; did you mean {', '.join(close)}? backbones.names() lists all")
    legal = {field.name for field in fields(VariantSpec)}
    for key in overrides:
        if key not in legal:
            raise ValueError(f"unknown field {key!r} of a network; the fields are {', '.join(sorted(legal))}")
    return replace(VARIANTS[name], **overrides)
