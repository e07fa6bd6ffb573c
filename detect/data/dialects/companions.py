"""Files that lie beside an annotation and hold what its form cannot: the names of the classes."""

import re
from pathlib import Path

from detect.data.checks import AnnotationError
from detect.utils.files import read_text, write_text

CLASSES_FILE = "classes.txt"
LABEL_MAP = "action_list.pbtxt"
_ITEM = re.compile(r"\b(?:item|label)\s*\{([^{}]*)\}")
_NAME = re.compile(r"""\bname\s*:\s*(?:"([^"]*)"|'([^']*)')""")
_NUMBER = re.compile(r"\b(?:id|label_id)\s*:\s*(\d+)")


def class_names(path: Path, given: str | Path | None, default: tuple[str, ...] = ()) -> tuple[str, ...]:
    """The classes of the annotation at `path`: of the file that is given, else of classes.txt in its folder, else
    `default`; () where there is none of them.
    """
    folder = path if path.is_dir() else path.parent
    beside = folder / CLASSES_FILE
    if given is None and not beside.exists():
        return default
    return read_class_names(Path(given) if given is not None else beside)


def read_class_names(path: Path) -> tuple[str, ...]:
    """One class a line; line 1 is label 0. AnnotationError for a file without one, or with one twice."""
    names = tuple(line.strip() for line in read_text(path).splitlines() if line.strip())
    if not names:
        raise AnnotationError(f"{path}: no class in it; expected one a line")
    if twice := [name for name in names if names.count(name) > 1]:
        raise AnnotationError(f"{path}: the class {twice[0]!r} is there twice")
    return names


def write_class_names(path: Path, classes: tuple[str, ...], default: tuple[str, ...] = ()) -> None:
    """classes.txt beside the annotation at `path`, unless the classes are the `default` and there is none.
    AnnotationError where one is there that says something else.
    """
    target = (path if path.is_dir() else path.parent) / CLASSES_FILE
    if target.exists():
        if read_class_names(target) != classes:
            raise AnnotationError(f"{target}: names other classes than the annotation has; write into another folder")
    elif classes != default:
        write_text(target, "\n".join(classes) + "\n")


def read_label_map(path: Path) -> dict[int, str]:
    """Number -> name of a .pbtxt, `item {name: "x" id: 1}` or `label {name: "x" label_id: 1}`, as AVA has them."""
    found: dict[int, str] = {}
    for block in _ITEM.findall(re.sub(r"#.*", "", read_text(path))):
        name, number = _NAME.search(block), _NUMBER.search(block)
        if not name or not number:
            raise AnnotationError(f"{path}: an item without name or id: {' '.join(block.split())[:80]!r}")
        if int(number[1]) in found:
            raise AnnotationError(f"{path}: the id {number[1]} is there twice")
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


def write_label_map(path: Path, classes: tuple[str, ...]) -> None:
    """action_list.pbtxt beside the annotation at `path`, numbers from 1. AnnotationError where one is there that says
    something else, or for a name that it cannot hold.
    """
    target = path.parent / LABEL_MAP
    if bad := [name for name in classes if '"' in name or "\n" in name or "{" in name or "}" in name]:
        raise AnnotationError(f"the class {bad[0]!r} has a character that a label map cannot hold")
    if target.exists() and tuple(read_label_map(target).values()) != classes:
        raise AnnotationError(f"{target}: names other classes than the annotation has; write into another folder")
    write_text(target, "".join(f'item {{\n  name: "{name}"\n  id: {n}\n}}\n' for n, name in enumerate(classes, 1)))
