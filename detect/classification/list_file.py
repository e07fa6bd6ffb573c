"""A set of one's own: a text file of lines `path label`, with an optional classes.txt beside it.

The label is the last field of the line, an index from 0 or the name of a class; the path before it may hold spaces. It
is a video file or a folder of frames, absolute, or relative to the folder of the list or to the datasets' root.
classes.txt has one class a line in the order of the indices. Without it the classes are the names in order, or as many
numbers as the largest index asks for: then lists of one set may disagree, and classes.txt settles it.

Flow of the video `a/b/video.mp4` is looked for in `flow/a/b/video`, `flow/b/video` and `flow/video` in either folder;
a listed folder may also hold the flow itself.
"""

import os
from collections.abc import Callable
from pathlib import Path, PurePath

from detect.classification.annotations import Listing, read_lines, unknown_class
from detect.classification.labels import read_label_map
from detect.classification.locate import make_set, stem_of
from detect.classification.records import VideoSet
from detect.data.checks import AnnotationError
from detect.data.media import require

MAX_CLASSES = 100_000  # a larger index is a number of something else: a time, a count of frames
HOW_TO_GET = "list:PATH is the path of a text file of lines 'path label'"


def load_list(root: Path, path: str | Path, *, name: str, modality: str = "rgb") -> VideoSet:
    """The videos of the list; `path` relative to the working folder or to `root`. Raises MissingDataError,
    AnnotationError.
    """
    path = require([Path(path), root / path], f"{name}: the list", HOW_TO_GET)
    rows = [(f"{path} line {line}", *_fields(path, line, text)) for line, text in read_lines(path)]
    label_map = path.with_name("classes.txt")
    if label_map.exists():
        classes, files = read_label_map(label_map), [path, label_map]
    else:
        classes, files = _classes(rows), [path]
    listing, named = Listing(classes), set(classes)
    for where, video, label in rows:
        # a name of a class is that class, even if it is a number; else a number is an index
        listing.add(video, label if label in named else _class_at(label, classes, where), where)
    find = _rgb_finder if modality == "rgb" else _flow_finder
    bases = (path.parent, root)
    looked = f"relative to {path.parent} and {root}" + (", in flow/" if modality == "flow" else "")
    return make_set(name, listing, find(bases), modality=modality, files=files, looked=looked)


def _fields(path: Path, line: int, text: str) -> list[str]:
    fields = text.rsplit(maxsplit=1)
    if len(fields) != 2:
        raise AnnotationError(f"{path} line {line}: expected 'path label', found {text!r}")
    return fields


def _is_index(label: str) -> bool:
    return label.isascii() and label.isdigit()


def _number(label: str) -> int:
    """Of an index; int() refuses more than 4300 digits."""
    return int(label) if len(label) < 20 else 10**20


def _classes(rows: list[tuple[str, str, str]]) -> tuple[str, ...]:
    first = _is_index(rows[0][2])
    for where, _, label in rows:
        if _is_index(label) != first:
            kinds = ("a number", "a name") if first else ("a name", "a number")
            raise AnnotationError(
                f"{where}: the label {label!r} is {kinds[1]}, the first one of the list {kinds[0]}; use one kind, or "
                "put a classes.txt beside the list"
            )
    if not first:
        return tuple(sorted({label for _, _, label in rows}))
    where, _, label = max(rows, key=lambda row: _number(row[2]))
    if _number(label) >= MAX_CLASSES:
        raise AnnotationError(f"{where}: the label {label} is no index of a class, {MAX_CLASSES} at most")
    return tuple(map(str, range(int(label) + 1)))


def _class_at(label: str, classes: tuple[str, ...], where: str) -> str:
    if not _is_index(label):
        raise AnnotationError(f"{where}: {unknown_class(label, classes)}")
    if _number(label) >= len(classes):
        legal = f"{len(classes)} classes, 0 to {len(classes) - 1}"
        raise AnnotationError(f"{where}: the label {label} is not one of the {legal}")
    return classes[int(label)]


def _rgb_finder(bases: tuple[Path, ...]) -> Callable[[str], str | None]:
    def find(video: str) -> str | None:
        return next((str(base / video) for base in bases if os.path.exists(base / video)), None)

    return find


def _flow_finder(bases: tuple[Path, ...]) -> Callable[[str], str | None]:
    def find(video: str) -> str | None:
        parts = PurePath(stem_of(video)).relative_to(PurePath(video).anchor).parts
        endings = dict.fromkeys((parts, parts[-2:], parts[-1:]))
        options = [base.joinpath("flow", *ending) for base in bases for ending in endings]
        options += [base / video for base in bases]
        return next((str(option) for option in options if os.path.isdir(option)), None)

    return find
