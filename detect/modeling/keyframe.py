"""The keyframe branch: a 2D ResNet that gives the region proposal network its feature map."""

from torch import Tensor

from backbones.resnet import ResNetTrunk
from detect.d2 import BACKBONE_REGISTRY, Backbone, CfgNode, ShapeSpec
from detect.weights import read_checkpoint


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
    options = cfg.MODEL.RESNETS
    trunk = ResNetTrunk(options.DEPTH, options.NORM, options.STRIDE_IN_1X1, freeze_at=cfg.MODEL.BACKBONE.FREEZE_AT)
    if cfg.MODEL.BACKBONE.WEIGHTS:
        load_imagenet_weights(trunk, cfg.MODEL.BACKBONE.WEIGHTS)
    return KeyframeResNet(trunk)


def load_imagenet_weights(trunk: ResNetTrunk, path: str) -> None:
    """Load a torchvision ResNet checkpoint file (a state dict); ValueError names what does not fit."""
    state = read_checkpoint(path)["model"]
    try:
        trunk.load_imagenet(state)
    except (KeyError, RuntimeError) as error:
        raise ValueError(
            f"{path} is not a torchvision checkpoint of this ResNet ({str(error).splitlines()[0]}); "
            "check MODEL.BACKBONE.WEIGHTS and MODEL.RESNETS.DEPTH"
        ) from None
