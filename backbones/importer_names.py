"""What each source of weights calls our parameters: one function for each, our parameter -> its array.

Batch normalisation has weight, bias, running_mean, running_var in PyTorch, gamma, beta, moving_mean, moving_variance in
TensorFlow.
"""

import re
from typing import NamedTuple

from .variants import STAGES

_KEY = re.compile(
    r"(?:stages\.(?P<stage>\w+)\.)?(?:branch_(?P<branch>\d)\.)?(?:(?P<step>\d)\.)?(?:(?P<part>spatial|temporal|gate)\.)?"
    r"(?P<layer>conv|bn|fc|logits)\.(?P<leaf>\w+)"
)


class Key(NamedTuple):
    """A parameter of ours taken apart: mixed_3b, branch 1, step 1, temporal, conv, weight."""

    stage: str | None
    branch: int | None
    step: int | None
    part: str | None
    layer: str
    leaf: str

    @classmethod
    def parse(cls, name: str) -> "Key":
        groups = _KEY.fullmatch(name).groupdict()
        numbers = {k: None if groups[k] is None else int(groups[k]) for k in ("branch", "step")}
        return cls(**{**groups, **numbers})

    @property
    def reduces(self) -> bool:
        """The 1 x 1 before a branch's 3 x 3."""
        return self.branch in (1, 2) and self.step == 0

    @property
    def is_k_by_k(self) -> bool:
        """Of a unit that is k x k in space: the ones that S3D separates."""
        return self.stage != "conv2d_2b_1x1" if self.branch is None else self.branch in (1, 2) and not self.reduces


# One function for each source: our parameter -> the name of the source's array. Batch normalisation has weight, bias,
# running_mean, running_var in PyTorch, gamma, beta, moving_mean, moving_variance in TensorFlow.
_TF_NORM = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}


def _tf_scope(key: Key, conv: str) -> str:
    """InceptionV1-style scope below the network's: Mixed_3b/Branch_1/Conv2d_0b_3x3 (`conv` is Conv2d or Conv3d)."""
    stage = re.sub("^conv2d", conv, key.stage) if key.branch is None else key.stage.capitalize()
    if key.branch is None:
        return stage
    size = "3x3" if key.branch in (1, 2) and not key.reduces else "1x1"
    place = "0a" if key.branch == 0 or key.reduces else "0b"
    return f"{stage}/Branch_{key.branch}/{conv}_{place}_{size}"


def slim(key: Key) -> str:
    if key.layer == "logits":
        return f"InceptionV1/Logits/Conv2d_0c_1x1/{'weights' if key.leaf == 'weight' else 'biases'}"
    scope = f"InceptionV1/{_tf_scope(key, 'Conv2d')}"
    if key.part == "gate":
        return f"{scope}/self_gating/transformer_W/{'weights' if key.leaf == 'weight' else 'biases'}"
    scope += "/temporal" if key.part == "temporal" else ""
    if key.layer == "bn":
        return f"{scope}/BatchNorm/{_TF_NORM[key.leaf]}"
    return f"{scope}/{'weights' if key.leaf == 'weight' else 'biases'}"


def slim_inception_v1(key: Key) -> str:
    return slim(key).replace("Mixed_5b/Branch_2/Conv2d_0b_3x3", "Mixed_5b/Branch_2/Conv2d_0a_3x3")  # slim's slip


def deepmind(key: Key) -> str:
    if key.layer == "logits":
        return f"Logits/Conv3d_0c_1x1/conv_3d/{key.leaf[0]}"
    scope = _tf_scope(key, "Conv3d").replace("Mixed_5b/Branch_2/Conv3d_0b_3x3", "Mixed_5b/Branch_2/Conv3d_0a_3x3")
    return f"{scope}/batch_norm/{_TF_NORM[key.leaf]}" if key.layer == "bn" else f"{scope}/conv_3d/{key.leaf[0]}"


def piergiaj(key: Key) -> str:
    if key.layer == "logits":
        return f"logits.conv3d.{key.leaf}"
    layer = "conv3d" if key.layer == "conv" else "bn"
    if key.branch is None:
        return f"{re.sub('^conv2d', 'Conv3d', key.stage)}.{layer}.{key.leaf}"
    unit = f"b{key.branch}" + ("" if key.branch == 0 else "a" if key.reduces else "b")
    return f"{key.stage.capitalize()}.{unit}.{layer}.{key.leaf}"


def hassony2(key: Key) -> str:
    if key.layer == "logits":
        return f"conv3d_0c_1x1.conv3d.{key.leaf}"
    layer = "conv3d" if key.layer == "conv" else "batch3d"
    unit = re.sub("^conv2d", "conv3d", key.stage)
    unit += "" if key.branch is None else f".branch_{key.branch}" + ("" if key.step is None else f".{key.step}")
    return f"{unit}.{layer}.{key.leaf}"


_INDEX = {name: index for index, (name, *_) in enumerate(STAGES)}


def _sequential(key: Key) -> str:
    """kylemin and torchvision number the stages: 5.branch1.0 is the reducing convolution of mixed_3b."""
    unit = str(_INDEX[key.stage])
    if key.branch is None:
        return unit
    return f"{unit}.branch{key.branch}" + (f".{key.step}" if key.step is not None else "")


def kylemin(key: Key) -> str:
    if key.layer == "logits":
        return f"fc.0.{key.leaf}"
    suffix = f"_{key.part[0]}" if key.is_k_by_k else ""
    unit = _sequential(key) + (".0" if key.branch == 0 else "")
    return f"base.{unit}.{key.layer}{suffix}.{key.leaf}"


def torchvision(key: Key) -> str:
    if key.layer == "logits":
        return f"classifier.1.{key.leaf}"
    part = f".{('spatial', 'temporal').index(key.part)}" if key.is_k_by_k else ""
    return f"features.{_sequential(key)}{part}.{('conv', 'bn').index(key.layer)}.{key.leaf}"


def howto100m(key: Key) -> str:
    if key.layer == "logits":
        return f"fc.{key.leaf}"
    if key.part == "gate":
        unit = "gating" if key.branch is None else f"{key.stage}.gating_b{key.branch}"
        return f"{unit}.fc.{key.leaf}"
    number = 2 if key.part == "temporal" else 1
    stems = {"conv2d_1a_7x7": "conv1", "conv2d_2b_1x1": "conv_2b", "conv2d_2c_3x3": "conv_2c"}
    if key.branch is None:
        unit = stems[key.stage]
    else:
        unit = f"{key.stage}.conv_b{key.branch}" + ("" if key.branch == 0 else "_a" if key.reduces else "_b")
    return f"{unit}.{key.layer}{number}.{key.leaf}"


def googlenet(key: Key) -> str:
    if key.layer == "logits":
        return f"fc.{key.leaf}"
    stems = {"conv2d_1a_7x7": "conv1", "conv2d_2b_1x1": "conv2", "conv2d_2c_3x3": "conv3"}
    if key.branch is None:
        return f"{stems[key.stage]}.{key.layer}.{key.leaf}"
    step = "" if key.step is None else f".{key.step}"
    block = key.stage[-2:]  # its blocks start at "a", which in the video networks is the pool
    letter = chr(ord(block[1]) - 1)
    return f"inception{block[0]}{letter}.branch{key.branch + 1}{step}.{key.layer}.{key.leaf}"
