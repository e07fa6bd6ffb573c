"""What tables of forms of files have in common: a row for each form, found by name or by the content of a file."""

import inspect
import os
import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from detect.data.checks import AnnotationError, shown
from detect.data.dialects.glimpse import Glimpse
from detect.utils.errors import UserError


@dataclass(frozen=True)
class Format:
    """A form of file.

    `read(path, ..., **options)`: its parameters that have a default are the options that the form knows.
    `write(dataset, path)` gives notes of what the form cannot hold, or None; None in its place where it is only read.
    `recognise(glimpse)` says whether a file looks like it; the first row of a table that says so is taken.
    `suffixes`: ends of names that mean this form where a file is written and no form is named.
    """

    read: Callable[..., Any]
    write: Callable[[Any, Path], Iterable[str] | None] | None
    what: str
    recognise: Callable[[Glimpse], bool] = lambda glimpse: False
    suffixes: tuple[str, ...] = ()


def known(name: str, formats: Mapping[str, Format]) -> Format:
    """The row of a table. UserError for an unknown name."""
    if name not in formats:
        raise UserError(f"the format is {name!r}; legal values are {', '.join(formats)}")
    return formats[name]


def format_of(path: str | Path, name: str | None, formats: Mapping[str, Format]) -> str:
    """The name of the form that is given, or else that the content of the file or folder shows.

    UserError for an unknown name, AnnotationError where there is no such file or its content shows no form.
    """
    if name is not None:
        known(name, formats)
    if not os.path.exists(path):
        raise AnnotationError(f"{path}: there is no such file or folder")
    if name is not None:
        return name
    glimpse = Glimpse(Path(path))
    if found := next((name for name, row in formats.items() if row.recognise(glimpse)), None):
        return found
    empty = not (glimpse.is_folder or glimpse.head.strip())
    problem = "the file is empty" if empty else "the format cannot be told from the content"
    raise AnnotationError(f"{path}: {problem}. Name it; legal values are {', '.join(formats)}")


def options_of(read: Callable[..., Any]) -> dict[str, Any]:
    """{name: type} of the options of a reader."""
    parameters = inspect.signature(read).parameters.values()
    return {one.name: one.annotation for one in parameters if one.default is not inspect.Parameter.empty}


def fitted(where: str, given: Mapping[str, Any], legal: Mapping[str, Any]) -> dict[str, Any]:
    """The options that are not None; text, as a command line has it, becomes a number where a number is legal.

    UserError, which begins with `where`, for an unknown option and for a value of another type than the legal one.
    """
    given = {name: value for name, value in given.items() if value is not None}
    if unknown := [name for name in given if name not in legal]:
        raise UserError(f"{where} has no option {unknown[0]!r}; it has {', '.join(legal) or 'none'}")
    return {name: _fitting(where, name, value, legal[name]) for name, value in given.items()}


WORDS = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}


def _fitting(where: str, name: str, value: Any, legal: Any) -> Any:
    kinds = tuple(kind for kind in get_args(legal) or (legal,) if kind is not types.NoneType)
    number = next((kind for kind in kinds if kind in (int, float)), None)
    if isinstance(value, kinds) and not isinstance(value, bool):
        return value
    try:
        if number and isinstance(value, (str, *((int,) if number is float else ()))) and not isinstance(value, bool):
            return number(value)
    except (ValueError, OverflowError):
        pass
    expected = " or ".join(WORDS[kind] for kind in kinds if kind in WORDS)
    raise UserError(f"{where}: the option {name} is {shown(value)}; expected {expected}")
