"""What an exported file says of itself, so that the one file is enough to run it."""

import json
import os
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from importlib import import_module
from types import ModuleType
from typing import Any

from detect.utils.checkpoint_files import CheckpointError, first_line
from detect.utils.errors import MissingExtraError

KEY = "action_detector"  # of the JSON in the metadata_props of ONNX, and of the file {KEY}.json in a .pt2
FORMAT = 1
SUFFIXES = (".onnx", ".pt2")
OUTPUTS = {  # of each part; `detect.export.graphs` says what they are
    "keyframe": ("objectness", "deltas", "regions", "real"),
    "context": ("context",),
    "head": ("boxes", "scores"),
    "whole": ("boxes", "scores", "regions", "real", "objectness"),
}
PARTS = tuple(OUTPUTS)


@dataclass(frozen=True)
class ExportFacts:
    """part: of `PARTS`.  classes: in the order of the scores.  config: of the detector, YAML.  weights_hash: of the
    checkpoint's weights.  regions: R.  int8: whether convolutions were quantised.  format: `FORMAT`.
    """

    part: str
    classes: Sequence[str]
    config: str
    weights_hash: str
    regions: int
    int8: bool = False
    format: int = FORMAT

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @property
    def identity(self) -> str:
        """What an evaluation notes as the weights'; int8 ones are others."""
        return f"{self.weights_hash}{'-int8' * self.int8}"


def is_exported(path: str | os.PathLike) -> bool:
    return os.fspath(path).endswith(SUFFIXES)


def require(name: str) -> ModuleType:
    """A package of the extra "export"; MissingExtraError where it is not installed."""
    try:
        return import_module(name)
    except ImportError as error:
        raise MissingExtraError(f"this needs {name}: pip install -e '.[export]'") from error


def read_facts(path: str) -> ExportFacts:
    """Of an .onnx or .pt2 file of tools/export.py. CheckpointError for any other; no engine reads it before that."""
    if not os.path.isfile(path):
        raise CheckpointError(f"{path}: no such file; tools/export.py writes it")
    text = _text_of_onnx(path) if path.endswith(".onnx") else _text_of_pt2(path)
    return parse_facts(text, path)


def parse_facts(text: str, path: str) -> ExportFacts:
    try:
        values: dict[str, Any] = json.loads(text)
        found = values["format"]
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path}: its {KEY} metadata is damaged: {first_line(error)}; export it anew") from error
    if found != FORMAT:
        raise CheckpointError(f"{path}: is of export format {found!r}, this version reads {FORMAT}; export it anew")
    kinds = {"part": str, "classes": list, "config": str, "weights_hash": str, "regions": int, "int8": bool}
    names = {field.name for field in fields(ExportFacts)}
    wrong = [name for name, kind in kinds.items() if type(values.get(name)) is not kind]
    if wrong or values["part"] not in PARTS or not values["classes"]:
        what = f"{', '.join(wrong)} missing or of another type" if wrong else f"the part {values['part']!r}"
        raise CheckpointError(f"{path}: its {KEY} metadata has {what}; export it anew with tools/export.py")
    return ExportFacts(**{name: value for name, value in values.items() if name in names})


def _text_of_onnx(path: str) -> str:
    onnx = require("onnx")
    try:
        model = onnx.load(path, load_external_data=False)
    except Exception as error:  # a damaged file can raise anything
        raise CheckpointError(f"{path}: not an ONNX file, or damaged: {first_line(error)}") from error
    facts = {item.key: item.value for item in model.metadata_props}
    if KEY not in facts:
        made = f" (made by {model.producer_name})" if model.producer_name else ""
        raise CheckpointError(
            f"{path}: an ONNX file{made} without {KEY!r} in its metadata, which says its classes and config; give one "
            "of tools/export.py"
        )
    part, found = parse_facts(facts[KEY], path).part, [value.name for value in model.graph.output]
    if missing := [name for name in OUTPUTS[part] if name not in found]:
        raise CheckpointError(f"{path}: lacks {', '.join(missing)} among its outputs ({part}); export it anew")
    return facts[KEY]


def _text_of_pt2(path: str) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            members = [name for name in archive.namelist() if name.endswith(f"/{KEY}.json")]
            text = archive.read(members[0]).decode() if members else None
    except (zipfile.BadZipFile, OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path}: not a file of torch.export, or damaged: {first_line(error)}") from error
    if text is None:
        raise CheckpointError(f"{path}: has no {KEY}.json with its classes and config; give one of tools/export.py")
    return text
