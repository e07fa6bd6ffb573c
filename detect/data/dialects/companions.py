"""Files that lie beside an annotation and hold what its form cannot: the names of the classes."""

import re
from pathlib import Path

from detect.data.checks import AnnotationError
from detect.utils.files import read_text, write_text
from detect.utils.names import repeated

CLASSES_FILE = "classes.txt"
LABEL_MAP = "action_list.pbtxt"
_ITEM = re.compile(r"\b(?:item|label)\s*\{([^{}]*)\}")
_NAME = re.compile(r"""\bname\s*:\s*(?:"([^"]*)"|'([^']*)')""")
_NUMBER = re.compile(r"\b(?:id|label_id)\s*:\s*(\d+)")


def class_names(path: Path, given: str | Path | None, default: tuple[str, ...] = ()) -> tuple[str, ...]:
    """The classes of the annotation at `path`: of the file that is given, else of classes.txt in its folder, else
    `default`; () where there is none of them.
    """
    if given is None and not _beside(path).exists():
        return default
    return read_class_names(Path(given) if given is not None else _beside(path))


def read_class_names(path: Path) -> tuple[str, ...]:
    """One class a line; line 1 is label 0. AnnotationError for a file without one, or with one twice."""
    return read_names(path, "class")


def read_names(path: Path, what: str) -> tuple[str, ...]:
    """The names in a file, one a line; `what` they name. AnnotationError for a file without one, or with one twice."""
    names = tuple(line.strip() for line in read_text(path).splitlines() if line.strip())
    if not names:
        raise AnnotationError(f"{path}: no {what} in it; expected one name a line")
    if (name := repeated(names)) is not None:
        raise AnnotationError(f"{path}: the {what} {name!r} occurs twice")
    return names


def check_class_names(path: Path, classes: tuple[str, ...]) -> None:
    """AnnotationError where the classes.txt beside the annotation at `path` names others than these."""
    target = _beside(path)
    if target.exists():
        _check_same(target, read_class_names(target), classes)


def _beside(path: Path) -> Path:
    return (path if path.is_dir() else path.parent) / CLASSES_FILE


def _check_same(target: Path, found: tuple[str, ...], classes: tuple[str, ...]) -> None:
    if found != classes:
        raise AnnotationError(f"{target}: names other classes than the annotation does; write into another folder")


def write_class_names(path: Path, classes: tuple[str, ...], default: tuple[str, ...] = ()) -> None:
    """classes.txt beside the annotation at `path`, unless the classes are the `default` and there is none. Errors as
    `check_class_names`, which is called before the annotation is written.
    """
    check_class_names(path, classes)
    if classes != default and not _beside(path).exists():
        write_text(_beside(path), "\n".join(classes) + "\n")


def read_label_map(path: Path) -> dict[int, str]:
    """Number -> name of a .pbtxt, `item {name: "x" id: 1}` or `label {name: "x" label_id: 1}`, as AVA has them."""
    found: dict[int, str] = {}
    for block in _ITEM.findall(re.sub(r"#.*", "", read_text(path))):
        name, number = _NAME.search(block), _NUMBER.search(block)
        if not name or not number:
            raise AnnotationError(f"{path}: an item without name or id: {' '.join(block.split())[:80]!r}")
        if int(number[1]) in found:
            raise AnnotationError(f"{path}: the id {number[1]} occurs twice")
        found[int(number[1])] = name[1] if name[1] is not None else name[2]
    if not found:
        raise AnnotationError(f'{path}: no item in it; expected `item {{ name: "..." id: 1 }}`')
    return found


def label_map(path: Path, given: str | Path | None, first: int = 1) -> tuple[dict[int, str], bool] | None:
    """Number -> name of the classes of the annotation at `path`, in the order of the numbers, and whether some may be
    left out: in a label map they may, in a file of one name a line, which count from `first`, not. None where there is
    no file and no action_list.pbtxt beside it.
    """
    file = Path(given) if given is not None else path.parent / LABEL_MAP
    if given is None and not file.exists():
        return None
    if "{" in read_text(file):
        return dict(sorted(read_label_map(file).items())), True
    return dict(enumerate(read_class_names(file), first)), False


def check_label_map(path: Path, classes: tuple[str, ...]) -> None:
    """AnnotationError where the action_list.pbtxt beside the annotation at `path` names others than these classes, or
    for a name that it cannot hold.
    """
    if bad := [name for name in classes if not {'"', "\n", "{", "}"}.isdisjoint(name)]:
        raise AnnotationError(f"the class {bad[0]!r} has a character that a label map cannot hold")
    target = path.parent / LABEL_MAP
    if target.exists():
        _check_same(target, tuple(read_label_map(target).values()), classes)


def write_label_map(path: Path, classes: tuple[str, ...]) -> None:
    """action_list.pbtxt beside the annotation at `path`, numbers from 1. Errors as `check_label_map`, which is called
    before the annotation is written.
    """
    check_label_map(path, classes)
    items = (f'item {{\n  name: "{name}"\n  id: {n}\n}}\n' for n, name in enumerate(classes, 1))
    write_text(path.parent / LABEL_MAP, "".join(items))
