"""The keyframe branch: a 2D ResNet that gives the region proposal network its feature map."""

from torch import Tensor

from backbones.resnet import ResNetTrunk
from detect.d2 import BACKBONE_REGISTRY, Backbone, CfgNode, ShapeSpec


class KeyframeResNet(Backbone):
    """(N, 3, H, W) normalised keyframes -> {"res4": (N, C, H/16, W/16)}."""

    def __init__(self, trunk: ResNetTrunk):
        super().__init__()
        self.trunk = trunk

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return {"res4": self.trunk(images)}

    def output_shape(self) -> dict[str, ShapeSpec]:
        return {"res4": ShapeSpec(channels=self.trunk.channels, stride=self.trunk.stride)}


@BACKBONE_REGISTRY.register()
def build_keyframe_resnet(cfg: CfgNode, input_shape: ShapeSpec) -> KeyframeResNet:
    """With random weights; `ActionRCNN` loads MODEL.BACKBONE.WEIGHTS, which may be the proposal generator's too."""
    options = cfg.MODEL.RESNETS
    trunk = ResNetTrunk(options.DEPTH, options.NORM, options.STRIDE_IN_1X1, freeze_at=cfg.MODEL.BACKBONE.FREEZE_AT)
    return KeyframeResNet(trunk)
