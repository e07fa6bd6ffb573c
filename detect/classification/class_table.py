"""A text file that says one thing of each class: its group, or its partner in the opposite order of time."""

from collections.abc import Collection, Mapping
from pathlib import Path

from detect.data.checks import AnnotationError
from detect.utils.files import read_text


def read_class_table(path: str | Path) -> dict[str, str]:
    """{class: value} of the lines `class value`, parted by a tab where there is one, else by the last space.

    Raises AnnotationError for a line without a value and for a class that is there twice.
    """
    table: dict[str, str] = {}
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if not line.strip():
            continue
        fields = [field.strip() for field in (line.split("\t") if "\t" in line else line.rsplit(maxsplit=1))]
        if len(fields) != 2:
            raise AnnotationError(f"{path} line {number}: expected `class value` (or with a tab), found {line!r}")
        if fields[0] in table:
            raise AnnotationError(f"{path} line {number}: the class {fields[0]!r} is there twice")
        table[fields[0]] = fields[1]
    return table


def check_known(table: Mapping[str, str], classes: Collection[str], what: str) -> None:
    """AnnotationError if `what`, such as "the groups", are of something that is no class of the set."""
    if unknown := [name for name in table if name not in classes]:
        names = ", ".join(map(repr, unknown[:5]))
        raise AnnotationError(f"{what} name {len(unknown)} classes that the set of {len(classes)} lacks: {names}")
