"""What `tools/convert_annotations.py` does: ground truth from one form of file into another."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import detect.evaluation.files.table_annotations  # noqa: F401  adds the row of tables
from detect.data.annotation_files import FORMATS, format_to_write, read_annotations, recognise, write_annotations
from detect.data.dialects.members import hash_members
from detect.data.interpolate import interpolate_tubes
from detect.data.records import ActionDataset
from detect.utils.errors import UserError


def convert_annotations(
    source: str,
    target: str,
    *,
    from_format: str | None = None,
    to_format: str | None = None,
    interpolate: int | None = None,
    options: Sequence[str] = (),
    **read_options: Any,
) -> ActionDataset:
    """See the docstring of tools/convert_annotations.py; returns what was written. `interpolate`: the largest gap that
    is filled, 0 for any, None for none. `options`: NAME=VALUE for the reader. UserError for bad input.
    """
    from_format = from_format or recognise(source)
    to_format = to_format or format_to_write(target)
    dataset = read_annotations(source, from_format, **{**read_options, **_parsed(options)})
    print(f"read: {source} as {from_format}, sha256 {dataset.annotation_hash}")
    if interpolate is not None:
        dataset = interpolate_tubes(dataset, interpolate or None)
    print(counts(dataset))
    notes = write_annotations(dataset, target, to_format)
    for note in (*dataset.notes, *notes):
        print(f"note: {note}")
    print(f"written: {target} as {to_format}, sha256 {hash_members(Path(target))}")
    return dataset


def counts(dataset: ActionDataset) -> str:
    """One line of how much there is of what."""
    tubes = [tube for video in dataset.videos for tube in video.tubes]
    numbers = {
        "videos": len(dataset.videos),
        "frames": dataset.num_frames,
        "looked at": dataset.num_labelled,
        "with boxes": sum(len(video.annotated_frames()) for video in dataset.videos),
        "boxes": sum(len(tube.frames) for tube in tubes),
        "tubes": len(tubes),
        "classes": len(dataset.classes),
    }
    return ", ".join(f"{number:,} {what}" for what, number in numbers.items())


def formats_table() -> str:
    """The formats, one a line, for help."""
    uses = {True: "read, written", False: "read"}
    return "\n".join(f"  {name:13} {uses[bool(row.write)]:14} {row.what}" for name, row in FORMATS.items())


def _parsed(options: Sequence[str]) -> Mapping[str, Any]:
    """NAME=VALUE, the value a number where it is one."""
    found = {}
    for text in options:
        name, equals, value = text.partition("=")
        if not (name.isidentifier() and equals):
            raise UserError(f"the option is {text!r}; expected NAME=VALUE, such as fps=25")
        found[name] = _number(value)
    return found


def _number(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
