"""Find the videos of a set: each folder is listed once, whatever the number of videos in it."""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from detect.classification.annotations import Listing
from detect.classification.records import VideoItem, VideoSet
from detect.data.checks import AnnotationError, Notes
from detect.utils.files import hash_files
from detect.video.readers import VIDEO_SUFFIXES


class Medium(NamedTuple):
    """A video file, or a folder of frames: its name without suffix, and the class whose folder it lies in or ""."""

    stem: str
    group: str
    path: str


def stem_of(name: str) -> str:
    """A video's name without its suffix; a dot in a folder's name is no suffix."""
    stem, suffix = os.path.splitext(name)
    return stem if suffix.lower() in VIDEO_SUFFIXES else name


def folder_key(label: str) -> str:
    """What the spellings of a class's folder have in common: `riding a bike`, `riding_a_bike`; quotes may be gone."""
    return label.replace('"', "").replace("'", "").replace(" ", "_").casefold()


def scan_media(places: Sequence[Path], classes: Sequence[str], modality: str) -> Iterator[Medium]:
    """The media in these folders and in the folders of the classes in them; places that are not there are skipped.

    Of flow, only folders count. `Medium.group` is `folder_key` of the class.
    """
    keys = {folder_key(label) for label in classes}
    for place in filter(Path.is_dir, places):
        for entry in _entries(place):
            key = folder_key(entry.name)
            if key in keys and _is_folder(entry):
                yield from (m for inner in _entries(entry.path) if (m := _medium(inner, key, modality)))
            elif medium := _medium(entry, "", modality):
                yield medium


def _entries(folder: str | Path) -> list[os.DirEntry]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise AnnotationError(f"{folder}: this folder cannot be listed: {error.strerror}") from error


def _is_folder(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads back to itself
        return False


def _medium(entry: os.DirEntry, group: str, modality: str) -> Medium | None:
    if _is_folder(entry):
        return Medium(entry.name, group, entry.path)
    stem = stem_of(entry.name)
    return Medium(stem, group, entry.path) if stem != entry.name and modality == "rgb" else None


def finder(places: Sequence[Path], classes: Sequence[str], modality: str) -> Callable[[str], str | None]:
    """find("Class/video" or "video") -> its path or None: `<Class>/<video>` or `<video>`, in the earliest place."""
    found: dict[tuple[str, str], str] = {}
    for medium in scan_media(places, classes, modality):
        found.setdefault((medium.group, medium.stem), medium.path)

    def find(name: str) -> str | None:
        label, _, video = name.rpartition("/")
        return found.get((folder_key(label), video)) or found.get(("", video))

    return find


def make_set(
    name: str,
    listing: Listing,
    find: Callable[[str], str | None],
    *,
    modality: str,
    files: Sequence[Path],
    looked: str,
    notes: Notes | None = None,
    missing: Sequence[str] = (),
) -> VideoSet:
    """The set of the listed videos that `find` gives a path for; the others are `missing` and noted, as not found
    `looked`. `files` are what was read.
    """
    notes, missing, items, taken = notes or Notes(), list(missing), [], {}
    for video, label in listing.labels.items():
        path = find(video)
        if path is None:
            notes.add(f"videos listed but not found {looked}", video)
            missing.append(video)
        elif path in taken:
            raise AnnotationError(f"{name}: the videos {taken[path]} and {video} would both be {path}")
        else:
            taken[path] = video
            items.append(VideoItem(video, path, label))
    return VideoSet(name, tuple(items), listing.classes, modality, tuple(missing), notes.lines(), hash_files(*files))


def under(folders: Sequence[Path], places: Sequence[str]) -> str:
    """Where media were looked for, for a message."""
    return f"in {' and '.join(map(str, folders))} under {', '.join(places)}"
