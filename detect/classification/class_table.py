"""A text file that says one thing of each class: its group, or its partner in the opposite order of time."""

from collections.abc import Sequence
from pathlib import Path

from detect.data.checks import AnnotationError


def read_class_table(path: str | Path, classes: Sequence[str]) -> dict[str, str]:
    """{class: value} of the lines `class value`, parted by a tab where there is one, else by the last space.

    Raises AnnotationError for a line without a value, an unknown class, or one that is there twice.
    """
    table: dict[str, str] = {}
    for number, line in enumerate(Path(path).read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        fields = [field.strip() for field in (line.split("\t") if "\t" in line else line.rsplit(maxsplit=1))]
        if len(fields) != 2:
            raise AnnotationError(f"{path} line {number}: expected `class value` (or with a tab), found {line!r}")
        name, value = fields
        if name not in classes:
            raise AnnotationError(f"{path} line {number}: {name!r} is none of the {len(classes)} classes of the set")
        if name in table:
            raise AnnotationError(f"{path} line {number}: the class {name!r} is there twice")
        table[name] = value
    return table
