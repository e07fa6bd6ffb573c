"""The label map: which class each index of a network's output means, as a text file of one class a line.

Sets order their classes differently (sorted, by the file, by a number), and a head is only right with the order it was
trained in. So every checkpoint holds the classes, and loading it compares them.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from detect.classification.annotations import read_lines, read_text
from detect.data.checks import AnnotationError


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
        by_index = {_index(index): label for label, index in content.items()}
    except AnnotationError:
        raise
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise AnnotationError(f'{path}: expected {{"class": "index", ...}} ({error})') from error
    if not by_index or sorted(by_index) != list(range(len(content))):
        raise AnnotationError(
            f"{path}: {len(content)} classes must have the indices 0 to {len(content) - 1}, each once"
        )
    return tuple(by_index[index] for index in range(len(content)))


def _index(value: object) -> int:
    """TypeError for what is no whole number, or the text of one: a float would be rounded, true be 1."""
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise TypeError(f"{value!r} is not an index")
    return int(value)


def _check_unique(classes: Sequence[str], where: str) -> None:
    first: dict[str, int] = {}
    for index, label in enumerate(classes):
        if first.setdefault(label, index) != index:
            raise AnnotationError(f"{where}: the class {label!r} is there twice, as {first[label]} and {index}")
