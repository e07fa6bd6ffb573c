"""Stand-ins for the registries and the backbone interface of `detectron2.modeling`."""

from __future__ import annotations

from dataclasses import dataclass

from fvcore.common.registry import Registry
from torch import nn

META_ARCH_REGISTRY = Registry("META_ARCH")
BACKBONE_REGISTRY = Registry("BACKBONE")
PROPOSAL_GENERATOR_REGISTRY = Registry("PROPOSAL_GENERATOR")
ROI_HEADS_REGISTRY = Registry("ROI_HEADS")


@dataclass
class ShapeSpec:
    """What is known of a feature map before running: channels, height, width, stride in input pixels."""

    channels: int | None = None
    height: int | None = None
    width: int | None = None
    stride: int | None = None


class Backbone(nn.Module):
    """A network from an image batch to a dict of named feature maps; `output_shape()` describes them.

    Subclasses set `_out_features`, `_out_feature_channels` and `_out_feature_strides`, or override
    `output_shape`.
    """

    def forward(self, *inputs):
        raise NotImplementedError(f"{type(self).__name__} must implement forward")

    @property
    def size_divisibility(self) -> int:
        """Height and width of the input must be multiples of this; 0 means any size."""
        return 0

    @property
    def padding_constraints(self) -> dict[str, int]:
        return {}

    def output_shape(self) -> dict[str, ShapeSpec]:
        channels, strides = self._out_feature_channels, self._out_feature_strides
        return {name: ShapeSpec(channels=channels[name], stride=strides[name]) for name in self._out_features}
