"""The label map: which class each index of a network's output means, as a text file of one class a line.

Sets order their classes differently (sorted, by the file, by a number), and a head is only right with the order it was
trained in. So the map is written down with every checkpoint and compared when one is loaded.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from detect.classification.annotations import read_lines, read_text, unknown_class
from detect.classification.records import VideoSet
from detect.data.checks import AnnotationError
from detect.utils.errors import UserError
from detect.utils.files import atomic_file


def save_label_map(path: str | Path, classes: Sequence[str]) -> None:
    """Write the classes, one a line in the order of their index. Raises ValueError for one that a line cannot hold or
    that is there twice.
    """
    for label in classes:
        if not label or label != label.strip() or "\n" in label or "\r" in label:
            raise UserError(f"the class {label!r} cannot be a line of a label map: blank, or has space around it")
    _check_unique(classes, f"{path}")
    with atomic_file(path) as stream:
        stream.write("".join(f"{label}\n" for label in classes).encode())


def read_label_map(path: str | Path) -> tuple[str, ...]:
    """The classes in the order of their index: of a text file with one class a line, or of a .json file
    {class: index} as Something-something v2 has it. Raises AnnotationError.
    """
    if str(path).endswith(".json"):
        return _read_json(path)
    classes = tuple(line for _, line in read_lines(path))
    _check_unique(classes, f"{path}")
    return classes


def _read_json(path: str | Path) -> tuple[str, ...]:
    try:
        content = json.loads(read_text(path))
        by_index = {int(index): label for label, index in content.items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise AnnotationError(f'{path}: expected {{"class": "index", ...}} ({error})') from error
    if not by_index or sorted(by_index) != list(range(len(content))):
        raise AnnotationError(
            f"{path}: {len(content)} classes must have the indices 0 to {len(content) - 1}, each once"
        )
    return tuple(by_index[index] for index in range(len(content)))


def _check_unique(classes: Sequence[str], where: str) -> None:
    first: dict[str, int] = {}
    for index, label in enumerate(classes):
        if first.setdefault(label, index) != index:
            raise AnnotationError(f"{where}: the class {label!r} is there twice, as {first[label]} and {index}")


def check_label_map(found: Sequence[str], expected: Sequence[str], where: str) -> None:
    """Raise AnnotationError unless `found`, the classes of `where`, are `expected` in the same order."""
    found, expected = tuple(found), tuple(expected)
    if found == expected:
        return
    length = min(len(found), len(expected))
    at = next((index for index in range(length) if found[index] != expected[index]), length)
    ours, theirs = (repr(classes[at]) if at < len(classes) else "absent" for classes in (found, expected))
    if sorted(found) == sorted(expected):
        advice = "The classes are the same in another order: with_classes(video_set, classes) brings a set into it."
    elif set(found) < set(expected):
        advice = "All of its classes are among the expected: with_classes(video_set, classes) maps a set onto them."
    else:
        advice = "The classes differ: train a new head, or name the checkpoint and the set that belong together."
    raise AnnotationError(
        f"{where}: class {at} is {ours}, expected {theirs} ({len(found)} classes, expected {len(expected)}). {advice}"
    )


def with_classes(video_set: VideoSet, classes: Sequence[str]) -> VideoSet:
    """The set with its labels as indices into `classes`, which may be more. Raises AnnotationError if a video has a
    class that is not among them.
    """
    classes = tuple(classes)
    _check_unique(classes, f"{video_set.name}: the classes asked for")
    index = {label: i for i, label in enumerate(classes)}
    items = []
    for item in video_set.items:
        label = None if item.label is None else video_set.classes[item.label]
        if label is not None and label not in index:
            raise AnnotationError(f"{video_set.name}: {item.name}: {unknown_class(label, classes)}")
        items.append(replace(item, label=None if label is None else index[label]))
    return replace(video_set, items=tuple(items), classes=classes)
