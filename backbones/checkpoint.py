"""A network in a file, with everything that its numbers depend on.

    {"model": state dict, "network": {"spec", "num_classes", "in_channels", "width", "dropout"},
     "preprocessing": {"mean", "std", "channel_order", "frame_rate"}, ...}

so that a file is enough to run the network: `load_network(path)`. More entries may stand beside these.
"""

import os
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

import torch
from torch import Tensor

from .inception import InceptionNet
from .preprocessing import Preprocessing
from .variants import VARIANTS, VariantSpec

# Fields that decide how a network starts or trains, not what it computes.
TRAINING_FIELDS = ("bn_momentum", "gate_init", "temporal_init", "conv_std")


def network_state(net: InceptionNet) -> dict[str, Any]:
    """What `torch.save` should write: see the head of this module."""
    return {"model": net.state_dict(), **network_facts(net)}


def network_facts(net: InceptionNet) -> dict[str, Any]:
    """The entries beside "model"."""
    spec = {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(net.spec).items()}
    sizes = {"num_classes": net.logits.out_channels, "in_channels": net.in_channels, "width": net.width}
    network = {"spec": spec, **sizes, "dropout": net.dropout.p}
    return {"network": network, "preprocessing": net.preprocessing.to_dict()}


def load_network(
    path: str | os.PathLike, *, num_classes: int | None = None, in_channels: int | None = None
) -> InceptionNet:
    """The network of a file of ours, in evaluation mode; read with `weights_only=True`, which runs no code of it.

    num_classes, in_channels: for other classes the head starts anew; for other input channels (RGB to flow) the first
    convolution's weights are their mean over the input channels. ValueError where the file is something else.
    """
    data = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(data, dict) or not {"model", "network", "preprocessing"} <= data.keys():
        raise ValueError(f"{path} does not say which network it holds; tools/convert_weights.py makes files that do")
    return network_from(data, num_classes=num_classes, in_channels=in_channels)


def network_from(
    data: Mapping[str, Any], *, num_classes: int | None = None, in_channels: int | None = None
) -> InceptionNet:
    """`load_network` of a file's contents."""
    facts, state = dict(data["network"]), dict(data["model"])
    known = {field.name for field in fields(VariantSpec)}
    if unknown := sorted(set(facts["spec"]) - known):
        raise ValueError(
            f"the file's network has the fields {', '.join(unknown)}; known are {', '.join(sorted(known))}"
        )
    spec, preprocessing = VariantSpec(**facts.pop("spec")), Preprocessing.from_dict(data["preprocessing"])
    if num_classes not in (None, facts["num_classes"]):
        facts["num_classes"] = num_classes
        state = {key: value for key, value in state.items() if not key.startswith("logits.")}
    if in_channels not in (None, facts["in_channels"]):
        facts["in_channels"], preprocessing = in_channels, Preprocessing.default(in_channels)
        state = with_input_channels(state, in_channels)
    net = InceptionNet(spec, **facts)
    state = {**{k: v for k, v in net.state_dict().items() if k.startswith("logits.")}, **state}
    net.load_state_dict(state)
    net.preprocessing = preprocessing
    return net.eval()


def with_input_channels(state: Mapping[str, Tensor], channels: int) -> dict[str, Tensor]:
    """The state for other input channels: each gets the first convolution's mean weight (Wang et al., TSN, 2016)."""
    first = "stages.conv2d_1a_7x7.spatial.conv.weight"
    return {**state, first: state[first].mean(1, keepdim=True).repeat(1, channels, 1, 1, 1)}


def describe(spec: VariantSpec) -> tuple[str, dict[str, Any]]:
    """The row of the family that is nearest to `spec`, and the fields that must be overridden to get it."""

    def difference(name: str) -> dict[str, Any]:
        row = VARIANTS[name]
        names = [f.name for f in fields(spec) if f.name not in TRAINING_FIELDS]
        return {key: getattr(spec, key) for key in names if getattr(spec, key) != getattr(row, key)}

    name = min(VARIANTS, key=lambda name: len(difference(name)))
    return name, difference(name)
