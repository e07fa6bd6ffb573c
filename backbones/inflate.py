"""Start a video network from an image network (paper, section 2)."""

import torch
from torch import Tensor

from .inception import InceptionNet
from .initialise import identity_kernel
from .layers import BatchNorm


@torch.no_grad()
def load_inflated(net: InceptionNet, image_net: InceptionNet) -> None:
    """Set `net` to what gives the activations of `image_net`, of the 2D row, on a video that stands still.

    Joint kernels: the 2D filter repeated over time and divided by the temporal extent.  Separable: the spatial part is
    the 2D filter, the temporal one the identity, its batch normalisation without effect.  Gates stay as initialised
    (they are not in a 2D network, and scale every channel).  Away from the ends of the clip the activations are equal;
    at the ends joint kernels see the zeros of the padding.  ValueError, and `net` as it was, where the channels of a
    layer differ or only one of the two networks has scales in its batch normalisation.
    """
    if net.spec.bn_gamma != image_net.spec.bn_gamma:
        has, lacks = ("image", "video") if image_net.spec.bn_gamma else ("video", "image")
        raise ValueError(f"batch normalisation scales in the {has} network, not in the {lacks} network; set bn_gamma")
    image = image_net.state_dict()
    state = dict(net.state_dict())
    for name, value in state.items():
        part = name.split(".")[-3] if not name.startswith("logits") else ""
        if part == "temporal":
            state[name] = _identity(name, value, net)
        elif part != "gate":
            state[name] = _inflated(name, image[name], value)
    net.load_state_dict(state)


def _inflated(name: str, image: Tensor, target: Tensor) -> Tensor:
    if image.ndim == 5:
        extent = target.shape[2]
        image = image.expand(-1, -1, extent, -1, -1) / extent
    if image.shape != target.shape:
        shapes = f"{tuple(image.shape)} in the image network, {tuple(target.shape)} in the video network"
        raise ValueError(f"{name} is {shapes}; both must have the same width, input channels and classes")
    return image


def _identity(name: str, value: Tensor, net: InceptionNet) -> Tensor:
    unit = net.get_submodule(name.rsplit(".", 1)[0])
    if isinstance(unit, BatchNorm):
        neutral = {"weight": 1.0, "running_var": 1.0 - unit.eps}
        return torch.full_like(value, neutral.get(name.rsplit(".", 1)[1], 0))
    return identity_kernel(value.shape[0], value.shape[2]) if value.ndim == 5 else torch.zeros_like(value)
