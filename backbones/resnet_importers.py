"""ResNet weights of other code bases, renamed for `ResNetTrunk`.

torchvision  its state dicts, and those of code that keeps its names.
detectron2   Detectron2's names (stem.conv1.norm.weight, res2.0.shortcut.weight), bare or below the `backbone.` of a
             detector or the `backbone.bottom_up.` of one with a feature pyramid.
caffe2       Caffe2's names (conv1_w, res2_0_branch2a_bn_s), which Detectron's models and Detectron2's R-50.pkl have.

Source of the names: Detectron2, checkpoint/c2_model_loading.py and tools/convert-torchvision-to-d2.py.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from .report import LoadReport, first_names
from .resnet import ResNetTrunk


@dataclass(frozen=True)
class Convention:
    """How a network was trained; run in another way, its weights mean nothing.

    pixel_mean, pixel_std: of 0..255 values, in the order of input_format ("RGB" or "BGR").
    stride_in_1x1: see `ResNetTrunk`.
    folded: the statistics of batch normalisation are in its scale and shift, so that it cannot be trained on.
    """

    input_format: str
    pixel_mean: tuple[float, ...]
    pixel_std: tuple[float, ...]
    stride_in_1x1: bool
    folded: bool = False


# fmt: off
CONVENTIONS = {  # Detectron2's defaults, for the networks that MSRA published, and its notes on torchvision's
    "msra":        Convention("BGR", (103.53, 116.28, 123.675), (1.0, 1.0, 1.0), stride_in_1x1=True),
    "torchvision": Convention("RGB", (123.675, 116.28, 103.53), (58.395, 57.12, 57.375), stride_in_1x1=False),
}

DETECTRON2_PREFIXES = ("", "backbone.", "backbone.bottom_up.")
CAFFE2_STATISTICS = {  # folded or FAIR's, then MSRA's
    "weight": ("s", "gamma"), "bias": ("b", "beta"), "running_mean": ("rm", "running_mean"),
    "running_var": ("riv", "running_var"),  # a variance, whatever its name says
}
# What a source has besides the trunk: res5, classifiers, detector heads, an optimiser's state. The `conv1_b` of MSRA's
# ResNet-50 stands before a batch normalisation; Detectron2 leaves it out too.
IGNORED = {
    "torchvision": r"(layer4|fc)\.|.*num_batches_tracked$|pixel_(mean|std)$",
    "detectron2": r"(backbone\.)?(bottom_up\.)?(res5|linear|fc|stem\.fc)\.|backbone\.(fpn|top_block)|"
                  r"(proposal_generator|roi_heads|head|sem_seg_head)\.|.*num_batches_tracked$|pixel_(mean|std)$",
    "caffe2": r"res5_|fc\d+_|pred_|conv1_b$|.*_momentum$|lr$|conv_rpn|rpn_|fpn_|bbox_pred_|cls_score_|"
              r"mask_|_\[mask\]_|conv5_mask|conv_fcn|kps_|pixel_(mean|std)$",
}
# fmt: on


def import_resnet(
    arrays: Mapping[str, np.ndarray | Tensor], depth: int = 50, author: str = ""
) -> tuple[dict[str, Tensor], LoadReport, Convention]:
    """(float32 state dict for `ResNetTrunk(depth)`, what became of each array, how the network was trained).

    author: the `__author__` of a Detectron2 file.  Arrays `pixel_mean` and `pixel_std`, where there are any, tell the
    convention. Load the state dict only if the report is `ok`: it lacks what is missing or of another shape.
    ValueError if the names are of none of the three sources.
    """
    source, prefix = detect_source(arrays)
    with torch.device("meta"):  # for the names and shapes only
        trunk = ResNetTrunk(depth)
    wanted = {name: tuple(value.shape) for name, value in trunk.state_dict().items()}
    sought = {name: [prefix + foreign for foreign in foreign_names(name, source)] for name in wanted}
    found = {name: next((n for n in names if n in arrays), "") for name, names in sought.items()}
    statistics = [name for name in wanted if ".running_" in name]
    folded = source != "torchvision" and not any(found[name] for name in statistics)
    state, report = {}, LoadReport()
    for name, shape in wanted.items():
        if folded and name in statistics:  # the scale is 1 / sqrt(variance + epsilon)
            state[name] = torch.full(shape, 0.0 if name.endswith("mean") else 1.0 - trunk.bn1.eps)
        elif not found[name]:
            report.missing.append(sought[name][0])
        elif tuple(arrays[found[name]].shape) != shape:
            report.wrong_shape.append(f"{found[name]}: {tuple(arrays[found[name]].shape)}, not {shape}")
        else:
            report.used.append(found[name])
            state[name] = to_tensor(arrays[found[name]])
    for name in arrays.keys() - set(found.values()):
        (report.ignored if re.match(IGNORED[source], name) else report.unexpected).append(name)
    report.ignored.sort()
    report.unexpected.sort()
    return state, report, convention_of(arrays, source, author, folded)


def detect_source(arrays: Mapping[str, object]) -> tuple[str, str]:
    """(torchvision, detectron2 or caffe2; what stands before the trunk's names), from the name of the stem."""
    if "conv1.weight" in arrays:
        return "torchvision", ""
    if "conv1_w" in arrays:
        return "caffe2", ""
    for prefix in DETECTRON2_PREFIXES:
        if f"{prefix}stem.conv1.weight" in arrays:
            return "detectron2", prefix
    raise ValueError(
        "no ResNet: none of conv1.weight (torchvision), stem.conv1.weight (Detectron2, also below backbone.) and "
        f"conv1_w (Caffe2) is among its {len(arrays)} arrays ({first_names(sorted(arrays))})"
    )


def foreign_names(name: str, source: str) -> list[str]:
    """What a source may call `name` of the trunk, the likeliest first: layer2.0.conv1.weight -> res3_0_branch2a_w."""
    if source == "torchvision":
        return [name]
    stage, block, kind, number, leaf = re.fullmatch(
        r"(?:layer(\d)\.(\d+)\.)?(conv|bn|downsample\.)(\d)\.(\w+)", name
    ).groups()
    is_shortcut = kind == "downsample."  # .0 is its convolution, .1 its normalisation
    is_norm = kind == "bn" or (is_shortcut and number == "1")
    if source == "detectron2":
        at = f"res{int(stage) + 1}.{block}" if stage else "stem"
        layer = "shortcut" if is_shortcut else f"conv{number}"
        return [f"{at}.{layer}.norm.{leaf}" if is_norm else f"{at}.{layer}.{leaf}"]
    if stage:
        branch = "branch1" if is_shortcut else "branch2" + "abc"[int(number) - 1]
        layer = f"res{int(stage) + 1}_{block}_{branch}"
    else:
        layer = "res_conv1" if is_norm else "conv1"
    return [f"{layer}_bn_{word}" for word in CAFFE2_STATISTICS[leaf]] if is_norm else [f"{layer}_w"]


def convention_of(arrays: Mapping[str, np.ndarray | Tensor], source: str, author: str, folded: bool) -> Convention:
    """By the pixel statistics in the file, or else by its source. ImageNet's red is its brightest channel; a deviation
    of 1 comes with MSRA's networks, the only ones with the stride in the 1x1 convolution."""
    usual = CONVENTIONS["torchvision" if "torchvision" in (source, author) else "msra"]
    if "pixel_mean" not in arrays or "pixel_std" not in arrays:
        return replace(usual, folded=folded)
    mean, std = (
        tuple(round(float(v), 3) for v in to_tensor(arrays[name]).flatten()) for name in ("pixel_mean", "pixel_std")
    )
    order = usual.input_format if mean[0] == mean[-1] else "RGB" if mean[0] > mean[-1] else "BGR"
    return Convention(order, mean, std, stride_in_1x1=all(v == 1 for v in std), folded=folded)


def to_tensor(array: np.ndarray | Tensor) -> Tensor:
    return (array.detach() if isinstance(array, Tensor) else torch.from_numpy(np.array(array))).float()
