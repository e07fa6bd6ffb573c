"""Datasets by name: `jhmdb_split{1,2,3}_{train,test}`, `ucf24_{train,test}` and `synthetic_{train,test}`, and
functions to add others. Each `..._train` is also there in two parts, `..._fit` and `..._held`, see `held_out`.
`json:FILE` is one's own set, see `own_json`, or one in another form that `annotation_files` knows, with the form's
options as `json:FILE?NAME=VALUE&NAME=VALUE`. `json:FILE:fit` and `json:FILE:held` are its parts, `json:FILE:fit2of4`
and `json:FILE:held2of4` those of the second of four folds.

They lie in `jhmdb/`, `ucf24/` and `synthetic/` below the folder that the environment variable DETECT_DATASETS or
`set_datasets_root` names, by default ./datasets. Nothing is read before a dataset is asked for.
"""

import difflib
import logging
import os
import re
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from detect.d2 import DatasetCatalog, MetadataCatalog
from detect.data import jhmdb, synthetic, ucf24
from detect.data.annotation_files import read_annotations, recognise
from detect.data.checks import AnnotationError
from detect.data.held_out import fold_of, hold_out
from detect.data.media import require
from detect.data.own_json import read_own_json
from detect.data.records import ActionDataset, KeyframeDataset
from detect.utils.errors import UserError

logger = logging.getLogger(__name__)
OWN = "json:"
OWN_JSON = "own"  # its row in `annotation_files.FORMATS`
PARTS = {"fit": "annotated", "held": "all"}  # of a training set, and their frames

_chosen_root: Path | None = None
_loaders: dict[str, Callable[[], ActionDataset]] = {}
_loaded: dict[tuple[str, Hashable], ActionDataset] = {}


def datasets_root() -> Path:
    """The folder that holds ucf24/ and jhmdb/."""
    return _chosen_root or Path(os.environ.get("DETECT_DATASETS", "datasets"))


def set_datasets_root(path: str | Path | None) -> None:
    """Choose the folder in the program, over DETECT_DATASETS; None or "" goes back to the variable."""
    global _chosen_root
    _chosen_root = Path(path) if path else None


def load_action_dataset(name: str) -> ActionDataset:
    """The registered dataset or `json:FILE`, read once in a process. Raises KeyError for an unknown name, and the
    reader's errors.
    """
    register_on_demand(name)
    if name not in _loaders:
        raise KeyError(unknown_set(name, _loaders))
    key = (name, _own_version(name) if is_own(name) else datasets_root())
    if key not in _loaded:
        dataset = _loaded[key] = _loaders[name]()
        for note in dataset.notes:
            logger.warning("%s: %s", name, note)
        _describe(name, dataset.classes)
    return _loaded[key]


def register_action_dataset(
    name: str, loader: Callable[[], ActionDataset], frames: str, classes: Sequence[str] | None = None
) -> None:
    """Make `DatasetCatalog.get(name)` give the keyframes of `loader()`: "annotated" or "all" frames.

    `classes`, where known beforehand, are in the metadata without the data being read. A name registered
    before is replaced.
    """
    if name in _loaders:
        DatasetCatalog.remove(name)
        MetadataCatalog.remove(name)
        for key in [key for key in _loaded if key[0] == name]:
            del _loaded[key]
    _loaders[name] = loader
    DatasetCatalog.register(name, lambda: KeyframeDataset(load_action_dataset(name), frames))
    _describe(name, classes)


def is_own(name: str) -> bool:
    """Whether the name is that of a file of one's own, `json:FILE`."""
    return name.startswith(OWN)


def register_on_demand(name: str) -> None:
    """Make a name that is a file, `json:FILE`, known to `DatasetCatalog`: all labelled frames; other names stay."""
    if is_own(name) and name not in _loaders:
        register_action_dataset(name, lambda: _load_own(name), "all")


def unknown_set(name: str, known: Iterable[str]) -> str:
    """What to say of a name that no set has: what was meant, perhaps."""
    if name.endswith(".json"):
        return f"there is no set {name!r}; did you mean {OWN}{name}?"
    if os.path.isfile(name):
        return f"there is no set {name!r}; did you mean {OWN}{name}, a file in own JSON?"
    known = sorted(known)
    close = difflib.get_close_matches(name, known, 3, 0.3) or known[:3]
    return f"there is no set {name!r}; did you mean {', '.join(close)}? {OWN}FILE is a set of your own"


class OwnName(NamedTuple):
    """What `json:FILE?NAME=VALUE:fit2of4` says; `part` is "fit", "held" or none, `count` 0 where it is no fold."""

    path: str
    options: dict[str, str]
    part: str = ""
    fold: int = 0
    count: int = 0


def own_file(name: str) -> Path:
    """The file of `json:FILE`, in the working folder or the datasets' folder. MissingDataError."""
    path = _split_own(name).path
    if not path:
        raise UserError(f"{name!r} names no file; give {OWN}FILE, such as {OWN}own/train.json")
    how = "json:FILE is the path of a file in own JSON; tools/convert_annotations.py makes it of other formats"
    return require([Path(path), datasets_root() / path], f"{name}: the annotation", how)


def own_form(name: str) -> str:
    """The form of the file of `json:FILE`; `OWN_JSON` too where it looks like none: its reader says what is wrong."""
    try:
        return recognise(own_file(name))
    except AnnotationError:
        return OWN_JSON


def _split_own(name: str) -> OwnName:
    text, parts = name.removeprefix(OWN), "|".join(PARTS)
    match = re.fullmatch(rf"(.+?)(?:\?(\w+=[^?:]*))?(?::({parts})(?:([0-9]{{1,9}})of([0-9]{{1,9}}))?)?", text, re.S)
    if not match:
        return OwnName(text, {})
    path, options, part, fold, count = match.groups()
    given = dict(option.partition("=")[::2] for option in options.split("&")) if options else {}
    return OwnName(path, given, part or "", int(fold or 0), int(count or 0))


def _own_version(name: str) -> Hashable:
    """A file may change while a program runs."""
    path = own_file(name)
    return path.absolute(), path.stat().st_mtime_ns


def _load_own(name: str) -> ActionDataset:
    path, (_, options, part, fold, count) = own_file(name), _split_own(name)
    form = own_form(name)
    if form == OWN_JSON and not options:
        dataset = read_own_json(path, name=name)
    else:
        dataset = replace(read_annotations(path, form, **options), name=name)
    if fold or count:
        return fold_of(dataset, name, part, fold, count)
    return hold_out(dataset, name, part) if part else dataset


def _describe(name: str, classes: Sequence[str] | None) -> None:
    metadata = MetadataCatalog.get(name)
    if classes and getattr(metadata, "thing_classes", list(classes)) != list(classes):
        # metadata cannot change, but a set in UCF101-24's layout may have classes of its own
        MetadataCatalog.remove(name)
        metadata = MetadataCatalog.get(name)
    metadata.set(evaluator_type="action", **({"thing_classes": list(classes)} if classes else {}))


def register_ucf24(name: str, root: str | Path | None, subset: str) -> None:
    """A set in the layout of UCF101-24, see `detect.data.ucf24`. `root` None: `ucf24/` below the datasets'
    folder.

    "train" gives annotated frames, "test" all frames.
    """

    def load() -> ActionDataset:
        return ucf24.load_ucf24(root or datasets_root() / "ucf24", subset, name=name)

    register_action_dataset(name, load, _FRAMES[subset], ucf24.CLASSES if root is None else None)


def register_jhmdb(name: str, root: str | Path | None, split: int, subset: str, source: str = "auto") -> None:
    """A split of JHMDB, see `detect.data.jhmdb`. `root` None: `jhmdb/` below the datasets' folder."""

    def load() -> ActionDataset:
        return jhmdb.load_jhmdb(root or datasets_root() / "jhmdb", split, subset, source=source, name=name)

    register_action_dataset(name, load, _FRAMES[subset], jhmdb.CLASSES)


def register_held_out(name: str, classes: Sequence[str]) -> None:
    """Of the set `<name>_train` the parts `<name>_fit` to train on and `<name>_held` to choose by, see `held_out`."""
    for part, frames in PARTS.items():

        def load(part: str = part) -> ActionDataset:
            return hold_out(load_action_dataset(f"{name}_train"), f"{name}_{part}", part)

        register_action_dataset(f"{name}_{part}", load, frames, classes)


def register_synthetic(name: str, subset: str) -> None:
    """The built-in set, see `detect.data.synthetic`, in `synthetic/` below the datasets' folder; drawn on first use."""

    def load() -> ActionDataset:
        return synthetic.load_synthetic(datasets_root() / "synthetic", subset, name)

    register_action_dataset(name, load, _FRAMES[subset], tuple(synthetic.CLASSES))


_FRAMES = {"train": "annotated", "test": "all"}

for _subset in _FRAMES:
    register_synthetic(f"synthetic_{_subset}", _subset)
    register_ucf24(f"ucf24_{_subset}", None, _subset)
    for _split in (1, 2, 3):
        register_jhmdb(f"jhmdb_split{_split}_{_subset}", None, _split, _subset)
for _split in (1, 2, 3):
    register_held_out(f"jhmdb_split{_split}", jhmdb.CLASSES)
register_held_out("ucf24", ucf24.CLASSES)
register_held_out("synthetic", tuple(synthetic.CLASSES))
