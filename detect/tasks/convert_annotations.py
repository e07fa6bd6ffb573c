"""What `tools/convert_annotations.py` does: ground truth from one form of file into another."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from detect.data.annotation_files import format_to_write, read_annotations, recognise, write_annotations
from detect.data.completeness import counts_of
from detect.data.dialects.members import hash_members
from detect.data.interpolate import interpolate_tubes
from detect.data.records import ActionDataset
from detect.evaluation.files.table_annotations import EVERY_FORMAT
from detect.utils.cli import key_values
from detect.utils.files import refuse_to_overwrite


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
    refuse_to_overwrite({"INPUT": source, "OUTPUT": target})
    from_format = from_format or recognise(source, EVERY_FORMAT)
    to_format = to_format or format_to_write(target, EVERY_FORMAT)
    dataset = read_annotations(source, from_format, formats=EVERY_FORMAT, **{**read_options, **key_values(options)})
    print(f"read: {source} as {from_format}, sha256 {dataset.annotation_hash}")
    if interpolate is not None:
        dataset = interpolate_tubes(dataset, interpolate or None)
    print(counts(dataset))
    notes = write_annotations(dataset, target, to_format, EVERY_FORMAT)
    for note in (*dataset.notes, *notes):
        print(f"note: {note}")
    print(f"written: {target} as {to_format}, sha256 {hash_members(Path(target))}")
    return dataset


def counts(dataset: ActionDataset) -> str:
    """One line of how much there is of what."""
    found = counts_of(dataset)
    numbers = {
        "videos": found.videos, "frames": found.frames, "looked at": dataset.num_labelled,
        "with boxes": found.annotated, "boxes": found.boxes, "tubes": found.tubes, "classes": found.classes,
    }  # fmt: skip
    return ", ".join(f"{number:,} {what}" for what, number in numbers.items())


def formats_table() -> str:
    """The formats, one a line, for help."""
    uses = {True: "read, written", False: "read"}
    return "\n".join(f"  {name:13} {uses[bool(row.write)]:14} {row.what}" for name, row in EVERY_FORMAT.items())
