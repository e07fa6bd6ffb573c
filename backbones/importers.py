"""Weights of other code: one name map for each source, strict, with a report.

    net = backbones.importers.load("torchvision", arrays)

`arrays` maps the source's own variable names to arrays in the source's layout. The network that the source's code
computes is worked out from them, so that `net` gives the source's numbers at every endpoint. What each source computes,
and the commits that were read, stand in docs/weights.md.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from . import build
from . import importer_names as named
from .importer_names import Key
from .inception import InceptionNet
from .inflate import load_inflated
from .preprocessing import Preprocessing
from .report import LoadReport, first_names
from .variants import STAGES

Arrays = Mapping[str, Any]
FIRST_AND_LAST = ("stages.conv2d_1a_7x7.spatial.conv.weight", "logits.weight")


class WeightsError(ValueError):
    """Arrays that are not, or not wholly, what the source's network has; `report` says what is amiss."""

    def __init__(self, message: str, report: LoadReport | None = None):
        super().__init__(message if report is None else f"{message}\n{report.text()}")
        self.report = report


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
    "slim": Source(named.slim, _slim_row, _tf_layout, ignored=_TF_EXTRA),
    "slim_inception_v1": Source(
        named.slim_inception_v1, _always("i2d", head_window=(1, 7)), _tf_layout, two_d=True, ignored=_TF_EXTRA
    ),
    "deepmind": Source(named.deepmind, _always("slim_i3d"), _tf_layout, ignored=_TF_EXTRA),
    "piergiaj": Source(named.piergiaj, _always("i3d"), preprocessing=Preprocessing(frame_rate=25.0)),
    "hassony2": Source(named.hassony2, _always("hassony2_i3d"), preprocessing=Preprocessing(frame_rate=25.0)),
    "kylemin": Source(named.kylemin, _always("kylemin_s3d")),
    "torchvision": Source(named.torchvision, _always("torchvision_s3d"), preprocessing=_TORCHVISION),
    "howto100m": Source(
        named.howto100m, _howto100m_row, _unfold_stem, ignored=r"text_module\..*|.*\.num_batches_tracked",
        preprocessing=_UNIT_RANGE,
    ),
    "googlenet": Source(
        named.googlenet, _always("googlenet_i2d"), two_d=True, ignored=r"aux\d?\..*|.*\.num_batches_tracked"
    ),
}  # fmt: skip


def detect_source(arrays: Arrays) -> str:
    """The one source whose first and last layer are among the arrays; WeightsError if that is none, or several."""
    found = []
    for name, rules in SOURCES.items():
        try:
            plain = _plain_names(name, arrays)
        except WeightsError:  # names that this source does not have; its own message would mislead
            continue
        if {rules.name_of(Key.parse(key)) for key in FIRST_AND_LAST} <= plain.keys():
            found.append(name)
    if len(found) == 1:
        return found[0]
    what = f"could be of {' or '.join(found)}" if found else "are of none of the sources"
    raise WeightsError(f"the {len(arrays)} arrays ({first_names(sorted(arrays))}) {what}; name the source")


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
    first, last = (rules.name_of(Key.parse(key)) for key in FIRST_AND_LAST)
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
    plain = [re.sub(prefix, "", name).removesuffix(":0") for name in arrays]
    values = dict(zip(plain, arrays.values(), strict=True))
    if len(values) < len(arrays):
        twice = [name for name in values if plain.count(name) > 1]
        raise WeightsError(f"more than one network: {first_names(twice)} are there twice; give the arrays of one")
    return {name: _as_numpy(value) for name, value in values.items()}


def _as_numpy(value: Any) -> np.ndarray:
    if not isinstance(value, Tensor):
        return np.asarray(value)
    value = value.detach().cpu()
    return (value.float() if value.dtype == torch.bfloat16 else value).numpy()  # numpy has no bfloat16


def _rename(net: InceptionNet, rules: Source, arrays: Arrays, report: LoadReport) -> dict[str, Tensor]:
    """Our names -> the source's arrays; what does not fit goes into the report."""
    state: dict[str, Tensor] = {}
    without_scale = rules.layout is _tf_layout and not any(name.endswith("gamma") for name in arrays)
    for ours, parameter in net.state_dict().items():
        if ours.endswith("num_batches_tracked"):
            continue
        theirs = rules.name_of(Key.parse(ours))
        if theirs not in arrays:
            if without_scale and ours.endswith(".bn.weight"):
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
