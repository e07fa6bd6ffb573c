"""The keyframe's network: torchvision's ResNet up to res4 (stride 16)."""

import torch
import torchvision
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torchvision.ops import FrozenBatchNorm2d

NORMS: dict[str, type[nn.Module]] = {"FrozenBN": FrozenBatchNorm2d, "BN": nn.BatchNorm2d}
DEPTHS = (18, 34, 50, 101, 152)


class ResNetTrunk(nn.Module):
    """Stem, res2, res3 and res4 of a ResNet, with torchvision's parameter names (conv1, bn1, layer1 ... layer3).

    depth: 18, 34, 50, 101 or 152.  norm: "FrozenBN" (statistics and scale fixed) or "BN".
    stride_in_1x1: stride 2 sits in a bottleneck's first 1x1 convolution, as in the original (MSRA) weights that
    Detectron2 ships, instead of its 3x3 (torchvision's weights).
    freeze_at: 0 trains everything, 1 holds the stem, 2 also res2, and so on (Detectron2's meaning).
    Input (N, 3, H, W), output (N, channels, H/16, W/16).
    """

    stride = 16

    def __init__(self, depth: int = 50, norm: str = "FrozenBN", stride_in_1x1: bool = False, freeze_at: int = 0):
        super().__init__()
        if depth not in DEPTHS or norm not in NORMS:
            raise ValueError(f"ResNet depth {depth}, norm {norm!r}: the depths are {DEPTHS}, the norms {tuple(NORMS)}")
        net = getattr(torchvision.models, f"resnet{depth}")(weights=None, norm_layer=NORMS[norm])
        self.conv1, self.bn1, self.relu, self.maxpool = net.conv1, net.bn1, net.relu, net.maxpool
        self.layer1, self.layer2, self.layer3 = net.layer1, net.layer2, net.layer3
        self.channels = net.layer4[0].conv1.in_channels
        if stride_in_1x1 and depth >= 50:
            for block in (self.layer2[0], self.layer3[0]):
                block.conv1.stride, block.conv2.stride = (2, 2), (1, 1)
        stages = ((self.conv1, self.bn1), (self.layer1,), (self.layer2,), (self.layer3,))  # stem, res2, res3, res4
        self.frozen = [module for modules in stages[:freeze_at] for module in modules]
        for module in self.frozen:
            module.requires_grad_(False)

    def train(self, mode: bool = True) -> "ResNetTrunk":
        super().train(mode)
        for module in self.frozen:  # their batch statistics too
            module.eval()
        return self

    def load_imagenet(self, state: dict[str, Tensor]) -> None:
        """Load a torchvision ResNet's state dict; its res5 and classifier are left out. KeyError or RuntimeError if
        anything else is missing or of another shape."""
        wanted = [key for key in self.state_dict() if key in state or "num_batches_tracked" not in key]
        self.load_state_dict({key: state[key] for key in wanted}, strict=False)

    @torch.no_grad()
    def fold(self) -> "ResNetTrunk":
        """Move every normalisation into the convolution before it, for inference and for good; returns itself."""
        pairs = (("conv1", "bn1"), ("conv2", "bn2"), ("conv3", "bn3"), ("0", "1"))  # the last: a downsampling path
        for module in self.modules():
            children = dict(module.named_children())
            for conv, norm in pairs:
                if isinstance(children.get(norm), tuple(NORMS.values())):
                    convolution, n = children[conv], children[norm]
                    weights = (convolution.weight, convolution.bias, n.running_mean, n.running_var, n.eps)
                    folded = fuse_conv_bn_weights(*weights, n.weight, n.bias)
                    convolution.weight, convolution.bias = folded
                    setattr(module, norm, nn.Identity())
        return self.to(memory_format=torch.channels_last)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x.to(self.conv1.weight.dtype)))))
        return self.layer3(self.layer2(self.layer1(x)))
