"""Find a dataset's files under its root, and say where they were looked for when they are not there."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from detect.data.checks import Notes
from detect.utils.errors import UserError


class MissingDataError(UserError, FileNotFoundError):
    """A dataset's folder or annotation file is not there; the message lists the places and how to get it."""


def require(candidates: Sequence[Path], what: str, how_to_get: str) -> Path:
    """The first of the paths that exists, or MissingDataError which lists them all."""
    for path in candidates:
        if os.path.exists(path):  # Path.exists fails for a long name
            return path
    tried = "\n".join(f"  {path.absolute()}" for path in candidates)
    raise MissingDataError(f"{what} not found; looked for\n{tried}\n{how_to_get}")


# What tools/extract_flow.py was told to write, TSN's tools, and the folders of the ACT detector's authors.
FLOW_FOLDERS = ("flow", "flow-images", "brox-images", "FlowBrox04")


def flow_folder(root: Path, name: str) -> str:
    """The folder of a video's flow images below `root`: the first of `FLOW_FOLDERS` that has it, else in the first."""
    there = (folder for folder in FLOW_FOLDERS if os.path.isdir(os.path.join(root, folder, name)))
    return str(root / next(there, FLOW_FOLDERS[0]) / name)


def locate_media(root: Path, names: Iterable[str], templates: Sequence[str], notes: Notes) -> dict[str, str]:
    """The video file or frame folder of each named video: the first template under `root` that exists.

    Templates hold `{name}`, e.g. "videos/{name}.avi". A video found nowhere gets the path of the first
    template and is noted: annotations can be studied without the media, reading such a video raises
    MissingMediaError.
    """
    present = [template for template in templates if (root / template.split("{name}")[0]).is_dir()]
    expected = next((template for template in present if not template.startswith("{name}")), templates[0])
    places = ", ".join(template.format(name="<video>") for template in templates)
    paths = {}
    for name in names:
        options = [root / template.format(name=name) for template in present]
        found = next((path for path in options if os.path.exists(path)), None)
        if found is None:
            notes.add(f"videos without media (looked under {root} for {places})", name)
        paths[name] = str(found or root / expected.format(name=name))
    return paths


def media_and_flow(
    root: Path | None, names: Iterable[str], templates: Sequence[str], notes: Notes
) -> dict[str, tuple[str, str]]:
    """The path of each named video and the folder of its flow images, see `locate_media` and `flow_folder`. Without a
    root they are not looked for: the path is the name, flow is "".
    """
    if root is None:
        return {name: (name, "") for name in names}
    return {name: (path, flow_folder(root, name)) for name, path in locate_media(root, names, templates, notes).items()}
