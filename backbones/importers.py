"""Weights of other code: one name map for each source, strict, with a report.

    net = backbones.importers.load("torchvision", arrays)

`arrays` maps the source's own variable names to arrays in the source's layout. The network that the source's code
computes is worked out from them, so that `net` gives the source's numbers at every endpoint. What each source computes,
and the commits that were read, stand in docs/weights.md.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from . import build
from .inception import InceptionNet
from .inflate import load_inflated
from .preprocessing import Preprocessing
from .report import LoadReport, first_names
from .variants import STAGES

_KEY = re.compile(
    r"(?:stages\.(?P<stage>\w+)\.)?(?:branch_(?P<branch>\d)\.)?(?:(?P<step>\d)\.)?(?:(?P<part>spatial|temporal|gate)\.)?"
    r"(?P<layer>conv|bn|fc|logits)\.(?P<leaf>\w+)"
)
Arrays = Mapping[str, Any]


class WeightsError(ValueError):
    """Arrays that are not, or not wholly, what the source's network has; `report` says what is amiss."""

    def __init__(self, message: str, report: LoadReport | None = None):
        super().__init__(message if report is None else f"{message}\n{report.text()}")
        self.report = report


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


def _slim(key: Key) -> str:
    if key.layer == "logits":
        return f"InceptionV1/Logits/Conv2d_0c_1x1/{'weights' if key.leaf == 'weight' else 'biases'}"
    scope = f"InceptionV1/{_tf_scope(key, 'Conv2d')}"
    if key.part == "gate":
        return f"{scope}/self_gating/transformer_W/{'weights' if key.leaf == 'weight' else 'biases'}"
    scope += "/temporal" if key.part == "temporal" else ""
    if key.layer == "bn":
        return f"{scope}/BatchNorm/{_TF_NORM[key.leaf]}"
    return f"{scope}/{'weights' if key.leaf == 'weight' else 'biases'}"


def _slim_inception_v1(key: Key) -> str:
    return _slim(key).replace("Mixed_5b/Branch_2/Conv2d_0b_3x3", "Mixed_5b/Branch_2/Conv2d_0a_3x3")  # slim's slip


def _deepmind(key: Key) -> str:
    if key.layer == "logits":
        return f"Logits/Conv3d_0c_1x1/conv_3d/{key.leaf[0]}"
    scope = _tf_scope(key, "Conv3d").replace("Mixed_5b/Branch_2/Conv3d_0b_3x3", "Mixed_5b/Branch_2/Conv3d_0a_3x3")
    return f"{scope}/batch_norm/{_TF_NORM[key.leaf]}" if key.layer == "bn" else f"{scope}/conv_3d/{key.leaf[0]}"


def _piergiaj(key: Key) -> str:
    if key.layer == "logits":
        return f"logits.conv3d.{key.leaf}"
    layer = "conv3d" if key.layer == "conv" else "bn"
    if key.branch is None:
        return f"{re.sub('^conv2d', 'Conv3d', key.stage)}.{layer}.{key.leaf}"
    unit = f"b{key.branch}" + ("" if key.branch == 0 else "a" if key.reduces else "b")
    return f"{key.stage.capitalize()}.{unit}.{layer}.{key.leaf}"


def _hassony2(key: Key) -> str:
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


def _kylemin(key: Key) -> str:
    if key.layer == "logits":
        return f"fc.0.{key.leaf}"
    separable = key.branch is None and key.stage != "conv2d_2b_1x1" or key.branch in (1, 2) and not key.reduces
    suffix = f"_{key.part[0]}" if separable else ""
    unit = _sequential(key) + (".0" if key.branch == 0 else "")
    return f"base.{unit}.{key.layer}{suffix}.{key.leaf}"


def _torchvision(key: Key) -> str:
    if key.layer == "logits":
        return f"classifier.1.{key.leaf}"
    separable = key.branch is None and key.stage != "conv2d_2b_1x1" or key.branch in (1, 2) and not key.reduces
    part = f".{('spatial', 'temporal').index(key.part)}" if separable else ""
    return f"features.{_sequential(key)}{part}.{('conv', 'bn').index(key.layer)}.{key.leaf}"


def _howto100m(key: Key) -> str:
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


def _googlenet(key: Key) -> str:
    if key.layer == "logits":
        return f"fc.{key.leaf}"
    stems = {"conv2d_1a_7x7": "conv1", "conv2d_2b_1x1": "conv2", "conv2d_2c_3x3": "conv3"}
    if key.branch is None:
        return f"{stems[key.stage]}.{key.layer}.{key.leaf}"
    step = "" if key.step is None else f".{key.step}"
    block = key.stage[-2:]  # its blocks start at "a", which in the video networks is the pool
    letter = chr(ord(block[1]) - 1)
    return f"inception{block[0]}{letter}.branch{key.branch + 1}{step}.{key.layer}.{key.leaf}"


def _slim_row(arrays: Arrays) -> tuple[str, dict[str, Any]]:
    """S3D, S3D-G or I3D, its stem, first temporal and first gated unit, from the shapes."""

    temporal, gated, full, extents = [], [], False, {}
    for stage, kind, unit, _ in STAGES:
        if unit is None:
            continue
        scope = f"InceptionV1/{stage.capitalize()}"
        inside = [name for name in arrays if name.startswith(f"{scope}/")]
        kernel = arrays.get(f"{scope}/Branch_1/Conv2d_0b_3x3/weights" if kind == "block" else f"{scope}/weights")
        extents[unit] = kernel.shape[0] if kernel is not None and kernel.ndim == 5 else 1
        full = full or (unit > 0 and extents[unit] > 1)
        if extents[unit] > 1 or any("/temporal/" in name for name in inside):
            temporal.append(unit)
        if any("/self_gating/" in name for name in inside):
            gated.append(unit)
    gamma = any(name.endswith("BatchNorm/gamma") for name in arrays)
    overrides = {"temporal_units": temporal, "gated_units": gated, "stem_kernel": extents[0], "bn_gamma": gamma}
    return ("slim_i3d" if full else "slim_s3dg"), overrides


def _howto100m_row(arrays: Arrays) -> tuple[str, dict[str, Any]]:
    first = arrays.get("conv1.conv1.weight")
    if first is not None and first.ndim == 5 and first.shape[1] == 24:
        return "howto100m_s3dg", {}
    return "howto100m_s3dg", {"stem": "joint", "stem_kernel": 3}


def _unfold_stem(name: str, array: np.ndarray) -> np.ndarray:
    """HowTo100M's space-to-depth kernel (O, 2*2*2*3, 2, 4, 4) as the equal kernel (O, 3, 4, 8, 8) on pixels."""
    if name != "conv1.conv1.weight" or array.ndim != 5 or array.shape[1] != 24:
        return array
    o, _, kt, kh, kw = array.shape
    parts = array.reshape(o, 2, 2, 2, 3, kt, kh, kw)  # O, offsets in time, rows, columns, C, kernel
    return parts.transpose(0, 4, 5, 1, 6, 2, 7, 3).reshape(o, 3, 2 * kt, 2 * kh, 2 * kw)


def _torch_layout(name: str, array: np.ndarray) -> np.ndarray:
    return array


def _tf_layout(name: str, array: np.ndarray) -> np.ndarray:
    """(kT, kH, kW, I, O) and (kH, kW, I, O) to (O, I, ...); (1, 1, 1, 1, C) to (C,)."""
    if re.search(r"/(weights|w)$", name):
        return np.moveaxis(array, (-1, -2), (0, 1)) if array.ndim > 1 else array
    return array.reshape(-1) if array.shape[-1:] == (array.size,) else array


@dataclass(frozen=True)
class Source:
    """A foreign code base.

    row: arrays -> (row of `variants`, fields to override).  two_d: a network of images, to be inflated.
    ignored: arrays that are left out on purpose (full match).
    """

    name_of: Callable[[Key], str]
    row: Callable[[Arrays], tuple[str, dict[str, Any]]]
    layout: Callable[[str, np.ndarray], np.ndarray] = _torch_layout
    two_d: bool = False
    ignored: str = r".*\.num_batches_tracked"
    preprocessing: Preprocessing = field(default_factory=Preprocessing)


def _always(row: str, **overrides: Any) -> Callable[[Arrays], tuple[str, dict[str, Any]]]:
    return lambda arrays: (row, dict(overrides))


_TF_EXTRA = r"global_step|.*/(Momentum|RMSProp(_1)?|Adam(_1)?|ExponentialMovingAverage)|.*/AuxLogits/.*"
_UNIT_RANGE = Preprocessing((0.0,) * 3, (255.0,) * 3)
# torchvision's S3D_Weights.KINETICS400_V1 transforms: mean and std of 0..1 values
_TORCHVISION = Preprocessing((110.2008, 100.63983, 95.99475), (58.14765, 56.46975, 55.332195))

SOURCES: dict[str, Source] = {
    "slim": Source(_slim, _slim_row, _tf_layout, ignored=_TF_EXTRA),
    "slim_inception_v1": Source(
        _slim_inception_v1, _always("i2d", head_window=(1, 7)), _tf_layout, two_d=True, ignored=_TF_EXTRA
    ),
    "deepmind": Source(_deepmind, _always("slim_i3d"), _tf_layout, ignored=_TF_EXTRA),
    "piergiaj": Source(_piergiaj, _always("i3d"), preprocessing=Preprocessing(frame_rate=25.0)),
    "hassony2": Source(_hassony2, _always("hassony2_i3d"), preprocessing=Preprocessing(frame_rate=25.0)),
    "kylemin": Source(_kylemin, _always("kylemin_s3d")),
    "torchvision": Source(_torchvision, _always("torchvision_s3d"), preprocessing=_TORCHVISION),
    "howto100m": Source(
        _howto100m, _howto100m_row, _unfold_stem, ignored=r"text_module\..*|.*\.num_batches_tracked",
        preprocessing=_UNIT_RANGE,
    ),
    "googlenet": Source(
        _googlenet, _always("googlenet_i2d"), two_d=True, ignored=r"aux\d?\..*|.*\.num_batches_tracked"
    ),
}  # fmt: skip


def load(source: str, arrays: Arrays, **options: Any) -> InceptionNet:
    """The network of `import_weights` alone."""
    return import_weights(source, arrays, **options)[0]


def import_weights(
    source: str, arrays: Arrays, *, network: str | None = None, **overrides: Any
) -> tuple[InceptionNet, LoadReport]:
    """The network that `source`'s code computes, with these weights, in evaluation mode; and what became of each array.

    source: a key of `SOURCES`.  arrays: name -> numpy array or tensor, named and laid out as the source does.
    network, overrides: for the 2D sources, the row of the family that is inflated from them and fields of it to change,
    e.g. network="s3dg"; by default the 2D network itself, applied to every frame (its two max-pools with temporal
    stride still pool over time).  Raises ValueError for an unknown source, WeightsError, with the report, where an
    array is missing, unexpected or of the wrong shape.
    """
    if source not in SOURCES:
        raise ValueError(f"unknown source {source!r}; the sources are {', '.join(SOURCES)}")
    rules = SOURCES[source]
    if (network or overrides) and not rules.two_d:
        raise ValueError(f"{source} is a 3D source: its weights fix the network; network and fields are for 2D sources")
    arrays = _plain_names(source, arrays)
    row, fields = rules.row(arrays)
    first, last = (rules.name_of(Key.parse(k)) for k in ("stages.conv2d_1a_7x7.spatial.conv.weight", "logits.weight"))
    report = LoadReport(missing=[name for name in (first, last) if name not in arrays])
    if report.missing:
        raise WeightsError(f"these are not the weights of {source}", _sorted_out(report, rules, arrays))
    shapes = [rules.layout(name, arrays[name]).shape for name in (first, last)]
    for name, shape in zip((first, last), shapes, strict=True):
        if len(shape) < 2:
            report.wrong_shape.append(f"{name}: {arrays[name].shape}, not that of a convolution")
            raise WeightsError(f"these are not the weights of {source}", _sorted_out(report, rules, arrays))
    sizes = {"in_channels": shapes[0][1], "num_classes": shapes[1][0]}
    net = build(row, **sizes, **fields)
    state = _rename(net, rules, arrays, report)
    if not report.ok:
        raise WeightsError(f"these are not the weights of {source}'s network", report)
    net.load_state_dict(state, strict=False)
    if network or overrides:
        fields = {} if network else fields
        image_net, net = net, build(network or row, **sizes, **{**fields, "padding": net.spec.padding, **overrides})
        load_inflated(net, image_net)
    three_channels = sizes["in_channels"] == 3
    net.preprocessing = rules.preprocessing if three_channels else Preprocessing.default(sizes["in_channels"])
    return net.eval(), report


def _plain_names(source: str, arrays: Arrays) -> dict[str, np.ndarray]:
    """numpy arrays; names without ":0", DataParallel's "module." and DeepMind's "RGB/inception_i3d/"."""
    prefix = r"^(module\.|(RGB|Flow)/inception_i3d/)" if source != "slim" else r"^module\."
    values = {re.sub(prefix, "", name).removesuffix(":0"): value for name, value in arrays.items()}
    if len(values) < len(arrays):
        plain = [re.sub(prefix, "", name).removesuffix(":0") for name in arrays]
        twice = [name for name in values if plain.count(name) > 1]
        raise WeightsError(f"more than one network: {first_names(twice)} are there twice; give the arrays of one")
    return {n: v.detach().cpu().numpy() if isinstance(v, Tensor) else np.asarray(v) for n, v in values.items()}


def _rename(net: InceptionNet, rules: Source, arrays: Arrays, report: LoadReport) -> dict[str, Tensor]:
    """Our names -> the source's arrays; what does not fit goes into the report."""
    state: dict[str, Tensor] = {}
    for ours, parameter in net.state_dict().items():
        if ours.endswith("num_batches_tracked"):
            continue
        theirs = rules.name_of(Key.parse(ours))
        if theirs not in arrays:
            if ours.endswith(".bn.weight") and not any(name.endswith("gamma") for name in arrays) and "/" in theirs:
                continue  # TensorFlow's batch normalisation without scale: it stays 1
            report.missing.append(theirs)
            continue
        array = rules.layout(theirs, arrays[theirs])
        if array.ndim < parameter.ndim:  # an image's kernel, a linear layer: the missing extents are 1
            extra = (1,) * (parameter.ndim - array.ndim)
            array = array.reshape(*array.shape[:2], *extra, *array.shape[2:])
        if set(array.shape[parameter.ndim :]) <= {1}:  # a linear layer written as a 1 x 1 x 1 convolution
            array = array.reshape(array.shape[: parameter.ndim])
        if array.shape != parameter.shape:
            report.wrong_shape.append(f"{theirs}: {tuple(arrays[theirs].shape)}, not as {tuple(parameter.shape)}")
            continue
        state[ours] = torch.from_numpy(np.ascontiguousarray(array)).to(parameter.dtype)
        report.used.append(theirs)
    _sorted_out(report, rules, arrays)
    return state


def _sorted_out(report: LoadReport, rules: Source, arrays: Arrays) -> LoadReport:
    """Add the arrays that were not used."""
    used = {*report.used, *(line.split(":")[0] for line in report.wrong_shape)}
    for name in arrays:
        if name not in used:
            (report.ignored if re.fullmatch(rules.ignored, name) else report.unexpected).append(name)
    return report
