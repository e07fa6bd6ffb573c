"""What `tools/model_info.py` does: say what a checkpoint holds, ours or of other code."""

import os
from collections.abc import Mapping
from typing import Any

import yaml

from backbones import VariantSpec, resnet_importers
from backbones.checkpoint import describe
from backbones.importers import detect_source, import_weights
from detect.config import changed_keys
from detect.engine.checkpoint import load_cfg_and_checkpoint
from detect.utils.checkpoint_files import RUN_STATES, read_any
from detect.utils.download import local_file
from detect.utils.files import hash_files, write_json

SHOWN_CLASSES = 8
OF_THIS_MACHINE = ("MODEL.WEIGHTS", "OUTPUT_DIR")


def run_model_info(weights: str, *, json_file: str | None = None) -> None:
    """See the docstring of tools/model_info.py. UserError for a file that cannot be read."""
    facts = model_info(weights)
    for name, value in facts.items():
        print(f"{name}: {_text(value)}")
    if json_file:
        write_json(json_file, facts)


def model_info(weights: str) -> dict[str, Any]:
    """The facts of a checkpoint, by name; what it does not say is left out."""
    data, file = read_any(weights), local_file(weights)
    arrays = data["model"]
    facts: dict[str, Any] = {"file": weights}
    if os.path.isfile(file):
        facts |= {"bytes": os.path.getsize(file), "sha256": hash_files(file)}
    facts |= {"kind": _kind(data, arrays), "arrays": len(arrays), "numbers": sum(_count(a) for a in arrays.values())}
    tag = data.get("tag", {})
    facts |= {name: tag[name] for name in ("modality", "streams", "classes") if tag.get(name)}
    facts |= _network(data) if "network" in data else {}
    facts |= {name: data[name] for name in ("preprocessing", "source", "provenance") if data.get(name)}
    if isinstance(data.get("config"), str):
        cfg, _ = load_cfg_and_checkpoint("", (), weights, contents=data)
        facts["config"] = {name: value for name, value in changed_keys(cfg).items() if name not in OF_THIS_MACHINE}
    if "iteration" in data:
        facts["iterations done"] = data["iteration"] + 1
    if states := [name for name in RUN_STATES if name in data]:
        facts["also holds"] = states
    return facts


def _kind(data: Mapping[str, Any], arrays: Mapping[str, Any]) -> str:
    architecture = data.get("tag", {}).get("meta_architecture")
    if architecture:
        return f"{architecture} of this project" + ("" if "config" in data else ", without its config (0.1)")
    if "network" in data:
        return "a network of this project"
    parts = {name.split(".")[0] for name in arrays}
    if "roi_heads" in parts and parts & {"context", "flow"}:
        return "a state dict of this project's detector, without more"
    if any(name.startswith("stages.") for name in arrays):
        return "a state dict of this project's networks, which does not say of which"
    try:
        return _foreign(arrays)
    except ValueError as error:
        return f"unknown: {error}"


def _foreign(arrays: Mapping[str, Any]) -> str:
    try:
        source = detect_source(arrays)
    except ValueError:
        source, prefix = resnet_importers.detect_source(arrays)
        return f"a ResNet as {source} names it" + (f", below {prefix}" if prefix else "")
    net, _ = import_weights(source, arrays)
    name, fields = describe(net.spec)
    changed = f" with {fields}" if fields else ""
    return f"weights of {source}: {name}{changed}, {net.logits.out_channels} classes"


def _network(data: Mapping[str, Any]) -> dict[str, Any]:
    facts = dict(data["network"])
    name, fields = describe(VariantSpec(**facts.pop("spec")))
    return {"network": {"name": name, **facts, **({"fields": fields} if fields else {})}}


def _count(array: Any) -> int:
    return array.numel() if hasattr(array, "numel") else getattr(array, "size", 0)


def _text(value: Any) -> str:
    if isinstance(value, list) and len(value) > SHOWN_CLASSES and all(isinstance(v, str) for v in value):
        return f"{len(value)}: {', '.join(value[:SHOWN_CLASSES])}, ..."
    if isinstance(value, list) and all(isinstance(v, str) for v in value):
        return f"{len(value)}: {', '.join(value)}"
    if isinstance(value, Mapping):
        lines = yaml.safe_dump(_as_yaml(value), sort_keys=False, default_flow_style=None, width=110).rstrip()
        return "".join(f"\n  {line}" for line in lines.splitlines())
    return str(value)


def _as_yaml(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _as_yaml(item) for key, item in value.items()}
    return [_as_yaml(item) for item in value] if isinstance(value, (list, tuple)) else value
