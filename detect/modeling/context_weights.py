"""MODEL.CONTEXT.WEIGHTS into the context network: the same network, fed as its weights want it."""

import logging
from dataclasses import fields
from typing import Any

import numpy as np

from backbones import InceptionNet, Preprocessing, VariantSpec, network_state
from backbones.checkpoint import TRAINING_FIELDS, describe, with_input_channels
from backbones.importers import SOURCES, detect_source, import_weights
from detect.utils.checkpoint_files import CheckpointError, read_any
from detect.utils.download import torchvision_weights

logger = logging.getLogger(__name__)


def load_context_weights(
    net: InceptionNet, path: str, *, adopt: bool = False, section: str = "MODEL.CONTEXT"
) -> dict[str, Any]:
    """Load all of a classifier's checkpoint but its logits; returns what the file holds.

    `net.preprocessing` says what the network will be fed; with `adopt` it becomes what the weights want. For other
    input channels (flow from RGB) the first convolution's weights are their mean over the input channels. section: of
    the config, for messages.
    CheckpointError, with `net` untouched and the config lines to set, where the file is of another network, or of one
    of another normalisation.
    """
    data = read_network(path, net.spec)
    if "network" in data and "preprocessing" in data:
        if adopt and data["network"]["in_channels"] == net.in_channels == 3:
            net.preprocessing = Preprocessing.from_dict(data["preprocessing"])
        check_network(net, data, path, section)
    state = {key: value for key, value in data["model"].items() if not key.startswith("logits.")}
    first = state.get("stages.conv2d_1a_7x7.spatial.conv.weight")
    if first is not None and first.shape[1] != net.in_channels:
        logger.info("%s: its %d input channels are averaged for %d", path, first.shape[1], net.in_channels)
        state = with_input_channels(state, net.in_channels)
    expected = {key: value for key, value in net.state_dict().items() if not key.startswith("logits.")}
    wrong = [
        key
        for key in expected.keys() | state.keys()
        if key not in state or key not in expected or state[key].shape != expected[key].shape
    ]
    if wrong:
        raise CheckpointError(
            f"{path} is not a checkpoint of this context network: {len(wrong)} of {len(expected)} arrays are missing, "
            f"unknown or of another shape, first {sorted(wrong)[:3]}; check {section}.NAME, WIDTH and OVERRIDES, "
            "or convert it by tools/convert_weights.py"
        )
    net.load_state_dict(state, strict=False)
    return data


def read_network(path: str, spec: VariantSpec | None = None) -> dict[str, Any]:
    """The contents of a network's checkpoint, ours or of other code, which is then converted by its importer.

    path: a file or an address. spec: of the network that image weights are inflated to. Of torchvision's weights by
    name, the classes are in "tag". CheckpointError if the file is of no known source, or not wholly.
    """
    data = read_any(path)
    arrays = data["model"]
    if "network" in data or any(name.startswith(("stages.", "module.stages.")) for name in arrays):
        check_network_entries(data, path)
        return data
    try:
        source = detect_source(arrays)
        inflated = spec is not None and SOURCES[source].two_d and bool(spec.temporal_units)
        name, fields = describe(spec) if inflated else (None, {})
        net, report = import_weights(source, arrays, network=name, **fields)
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}") from None
    counts = (len(report.used), len(report.ignored))
    logger.info("%s: converted from %s, %d arrays used, %d left out on purpose", path, source, *counts)
    classes = torchvision_weights(path).meta["categories"] if path.startswith("torchvision://") else None
    tag = {"tag": {"classes": list(classes)}} if classes else {}
    return {**network_state(net), **tag, "source": {"format": source, "file": path}}


def check_network_entries(data: dict[str, Any], path: str) -> None:
    """CheckpointError if what a checkpoint says of its network, beside the arrays, has other types than it should."""
    try:
        if "network" in data:
            facts = dict(data["network"])
            VariantSpec(**facts.pop("spec"))
            types = {"num_classes": int, "in_channels": int, "width": float, "dropout": float}
            wrong = [name for name, kind in types.items() if type(facts[name]) not in (kind, int)]
            if wrong or facts.keys() != types.keys():
                raise ValueError(f"entries {', '.join(wrong) or ', '.join(facts)}")
        if "preprocessing" in data and "network" in data:
            wanted = Preprocessing.from_dict(data["preprocessing"])
            channels = data["network"]["in_channels"]
            usable = all(len(v) == channels and np.isfinite(v).all() for v in (wanted.mean, wanted.std))
            if not usable or 0 in wanted.std:
                raise ValueError(f"mean {wanted.mean} and deviation {wanted.std} for {channels} channels")
        if not isinstance(data.get("tag", {}), dict):
            raise TypeError(f"tag is a {type(data['tag']).__name__}")
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise CheckpointError(
            f"{path}: what it says of its network cannot be used ({type(error).__name__}: {error}); it is damaged, or "
            "of a later version"
        ) from None


def check_network(net: InceptionNet, data: dict[str, Any], path: str, section: str = "MODEL.CONTEXT") -> None:
    """CheckpointError with the lines to set, if the file's network or its normalisation is another."""
    spec = VariantSpec(**data["network"]["spec"])
    preprocessing = Preprocessing.from_dict(data["preprocessing"])
    names = [field.name for field in fields(spec) if field.name not in TRAINING_FIELDS]
    differing = [name for name in names if getattr(spec, name) != getattr(net.spec, name)]
    given, wanted = ((p.mean, p.std) for p in (net.preprocessing, preprocessing))
    same_input = data["network"]["in_channels"] == net.in_channels
    other_normalisation = same_input and not np.allclose(given, wanted, rtol=1e-5)
    width = data["network"]["width"]
    if not (differing or other_normalisation or width != net.width):
        return
    lines = config_lines(spec, preprocessing if same_input else net.preprocessing, width, section)
    differing += ["width"] * (width != net.width) + [
        f"normalisation, which is mean {wanted[0]} and deviation {wanted[1]}"
    ] * other_normalisation
    raise CheckpointError(
        f"{path} is of a network that differs from the config's in {', '.join(differing)}; set\n    "
        + " ".join(f"{key} {value}" for key, value in lines.items())
    )


def config_lines(
    spec: VariantSpec, preprocessing: Preprocessing, width: float, section: str = "MODEL.CONTEXT"
) -> dict[str, str]:
    """The overrides, as typed in a shell, with which a config's context network is this one."""
    name, overrides = describe(spec)
    lines: dict[str, Any] = {"NAME": name, **{f"OVERRIDES.{key}": value for key, value in overrides.items()}}
    if width != 1.0:
        lines["WIDTH"] = width
    if len(preprocessing.mean) == 3 or section == "MODEL.FLOW":  # a flow classifier has no such keys
        lines["PIXEL_MEAN"], lines["PIXEL_STD"] = list(preprocessing.mean), list(preprocessing.std)
    return {f"{section}.{key}": _typed(value) for key, value in lines.items()}


def _typed(value: Any) -> str:
    return f'"{value}"' if isinstance(value, (tuple, list)) else str(value)
