"""What the tools that work through many videos share: a folder for one kind of results, and the word at the end."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from detect.utils.errors import UserError
from detect.utils.files import read_text, remove_leftovers, report_bad_inputs, write_once
from detect.utils.shards import Shard, torchrun_processes
from detect.video.readers import printable

SETTINGS = "settings.json"
BAD_INPUTS = "bad_inputs.txt"


def claim_folder(folder: Path, record: Mapping[str, Any], what: str) -> None:
    """Note in folder/settings.json what its results, `what`, were made with. UserError if it holds others.

    Shards may do so at once: one of them writes the note, all compare with it.
    """
    file, record = folder / SETTINGS, json.loads(json.dumps(record))
    write_once(file, json.dumps(record, indent=1))
    text = read_text(file)
    try:
        old = dict(json.loads(text))
    except (ValueError, TypeError) as error:
        raise UserError(f"{file}: damaged ({error}); give another --output, or remove {folder}") from error
    keys = [key for key in record | old if old.get(key) != record.get(key)]
    differing = [f"{key} {old.get(key)} (now {record.get(key)})" for key in keys]
    if differing:
        raise UserError(f"{folder} holds {what} of {', '.join(differing)}; give another --output")


def remove_leftovers_of(targets: Iterable[Path]) -> None:
    """Remove what killed runs left of these files, and nothing of other shards, which may be writing now."""
    by_folder: dict[Path, set[str]] = defaultdict(set)
    for target in targets:
        by_folder[target.parent].add(target.name)
    for folder, names in by_folder.items():
        remove_leftovers(folder, only=names)


def leave_with_status(bad: Mapping[str, str]) -> None:
    """Exit status 1 if inputs were bad; 0 under torchrun, which would end the other processes in their work."""
    if bad and torchrun_processes() == 1:
        raise SystemExit(1)


def report_videos(folder: Path, shard: Shard, videos: int, todo: int, bad: Mapping[str, str]) -> None:
    """The last line of a tool, and the shard's bad inputs, {path: reason}, in folder/bad_inputs.txt.

    videos: of the shard; todo: of these, those without results before this run.
    """
    file = folder / shard.name(BAD_INPUTS)
    report_bad_inputs(file, sorted((printable(path), reason) for path, reason in bad.items()))
    listed = f", listed in {printable(file)}" if bad else ""
    print(f"{videos} videos: {todo - len(bad)} done, {videos - todo} were done before, {len(bad)} bad{listed}")
