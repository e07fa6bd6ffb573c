"""A ResNet-50 as Detectron2 and Caffe2 name it, run by hand: the reference of the importers."""

import re

import numpy as np
import torch
import torch.nn.functional as F

BLOCKS = {2: 3, 3: 4, 4: 6}  # res2, res3, res4 of ResNet-50
EPSILON = 1e-5


def detectron2_resnet50(seed=0, prefix="") -> dict[str, np.ndarray]:
    """Stem to res4 with random weights and statistics: He-scaled kernels, so that res4 still varies."""
    numbers = np.random.default_rng(seed)
    arrays = {}

    def conv(name, outputs, inputs, size):
        kernel = numbers.standard_normal((outputs, inputs, size, size)) * (2 / (inputs * size * size)) ** 0.5
        arrays[f"{prefix}{name}.weight"] = kernel.astype(np.float32)
        for leaf, low, high in (("weight", 0.5, 1.5), ("bias", -0.2, 0.2), ("running_mean", -0.2, 0.2),
                                ("running_var", 0.5, 1.5)):  # fmt: skip
            arrays[f"{prefix}{name}.norm.{leaf}"] = numbers.uniform(low, high, outputs).astype(np.float32)

    conv("stem.conv1", 64, 3, 7)
    inputs = 64
    for stage, blocks in BLOCKS.items():
        width = 64 * 2 ** (stage - 2)
        for block in range(blocks):
            if block == 0:
                conv(f"res{stage}.0.shortcut", 4 * width, inputs, 1)
            conv(f"res{stage}.{block}.conv1", width, inputs, 1)
            conv(f"res{stage}.{block}.conv2", width, width, 3)
            conv(f"res{stage}.{block}.conv3", 4 * width, width, 1)
            inputs = 4 * width
    return arrays


def res4(arrays: dict[str, np.ndarray], x: torch.Tensor, stride_in_1x1: bool, prefix="") -> torch.Tensor:
    """The network of `detectron2_resnet50` in double precision, layer by layer."""

    def conv(x, name, stride=1, padding=0):
        kernel, scale, shift, mean, variance = (
            torch.from_numpy(arrays[f"{prefix}{name}.{leaf}"]).double()
            for leaf in ("weight", "norm.weight", "norm.bias", "norm.running_mean", "norm.running_var")
        )
        y = F.conv2d(x, kernel, stride=stride, padding=padding)
        scale = scale / (variance + EPSILON).sqrt()
        return y * scale[:, None, None] + (shift - mean * scale)[:, None, None]

    x = F.max_pool2d(F.relu(conv(x.double(), "stem.conv1", stride=2, padding=3)), 3, stride=2, padding=1)
    for stage, blocks in BLOCKS.items():
        for block in range(blocks):
            name, stride = f"res{stage}.{block}", 2 if stage > 2 and block == 0 else 1
            first, second = (stride, 1) if stride_in_1x1 else (1, stride)
            y = F.relu(conv(x, f"{name}.conv1", stride=first))
            y = F.relu(conv(y, f"{name}.conv2", stride=second, padding=1))
            y = conv(y, f"{name}.conv3")
            x = F.relu(y + (conv(x, f"{name}.shortcut", stride=stride) if block == 0 else x))
    return x


def caffe2_names(arrays: dict[str, np.ndarray], folded: bool, words=("gamma", "beta", "running_mean", "running_var")):
    """The same arrays as Caffe2 names them; `folded`: statistics in scale and shift. words: for the four statistics."""
    renamed = {}
    for name, array in arrays.items():
        layer, _, leaf = name.partition(".norm.")
        if not leaf:
            layer = name.removesuffix(".weight")
        blob = re.sub(r"\.", "_", layer).replace("shortcut", "branch1")
        blob = re.sub(r"conv([123])$", lambda found: "branch2" + " abc"[int(found[1])], blob)
        blob = blob.replace("stem_branch2a", "res_conv1" if leaf else "conv1")
        if not leaf:
            renamed[f"{blob}_w"] = array
        elif not folded:
            renamed[f"{blob}_bn_{words[('weight', 'bias', 'running_mean', 'running_var').index(leaf)]}"] = array
        elif leaf == "weight":
            scale = array / np.sqrt(arrays[f"{layer}.norm.running_var"] + EPSILON)
            renamed[f"{blob}_bn_s"] = scale
            renamed[f"{blob}_bn_b"] = arrays[f"{layer}.norm.bias"] - arrays[f"{layer}.norm.running_mean"] * scale
    return renamed
