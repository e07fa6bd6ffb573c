"""The contents of an own JSON file, see `detect.data.own_json`, with everything that is wrong with its form."""

import difflib
from collections import Counter
from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from detect.data.checks import AnnotationError, read_json, shown
from detect.data.media import flow_folder
from detect.data.own_values import (
    Findings,
    read_boxes,
    read_frame_rate,
    read_frames,
    read_group,
    read_labelled,
    read_whole,
)
from detect.utils.names import safe_name
from detect.video.readers import VIDEO_SUFFIXES

# section -> keys that an entry must have, and those that it may have
KEYS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "file": (("categories", "videos", "annotations"), ("info", "licenses")),
    "categories": (("id", "name"), ("supercategory",)),
    "videos": (
        ("id", "file_name"),
        ("name", "width", "height", "num_frames", "fps", "labelled_frames", "flow", "group"),
    ),
    "annotations": (("video_id", "category_id", "bboxes"), ("id", "frames", "start")),
}
SIMILAR = 0.8  # of two keys, difflib's ratio: labeled_frames is meant to be labelled_frames, area is a key of its own


@dataclass
class OwnVideo:
    """A video as the file gives it; None is what it does not say. `sound`: its boxes can be checked."""

    where: str
    name: str
    path: str
    flow: str = ""
    num_frames: int | None = None
    height: int | None = None
    width: int | None = None
    fps: float | None = None
    group: str = ""
    labelled: str | np.ndarray | None = None  # "all", "boxes" or (n,) int64
    sound: bool = True


class OwnTube(NamedTuple):
    where: str
    video: int  # index in `OwnFile.videos`
    label: int
    frames: np.ndarray  # (n,) int64, increasing
    boxes: np.ndarray  # (n, 4) float64 x, y, width, height, as written


@dataclass
class OwnFile:
    classes: list[str] = field(default_factory=list)
    videos: list[OwnVideo] = field(default_factory=list)
    tubes: list[OwnTube] = field(default_factory=list)
    complete: bool = True  # no annotation had to be left out


def parse_own(path: Path, root: Path, findings: Findings) -> OwnFile:
    """Everything in the file that can be understood; the rest is in `findings`. `root`: of the videos' names.

    AnnotationError or UnusableFileError where it is no JSON object at all.
    """
    content = read_json(path)
    own = OwnFile()
    if not isinstance(content, dict):
        raise AnnotationError(f"{path}: holds a {type(content).__name__}; expected an object with {_listed('file')}")
    if "images" in content and "videos" not in content:
        raise AnnotationError(
            f"{path}: has images and no videos, as COCO's files of images have; "
            "tools/convert_annotations.py makes own JSON of other formats"
        )
    _check_keys(content, "file", "the file", findings)
    categories, videos, annotations = (_entries(content, key, findings) for key in KEYS["file"][0])
    labels = _parse_categories(own, categories, findings)
    places = _parse_videos(own, videos, root, findings)
    _parse_annotations(own, annotations, labels, places, findings)
    return own


def _listed(section: str) -> str:
    return ", ".join(KEYS[section][0])


def _entries(content: dict, section: str, findings: Findings) -> list[tuple[int, dict]]:
    """(position, entry) of a section's objects."""
    entries = content.get(section, [])
    if not isinstance(entries, list):
        findings.error("the file", f"{section} is {shown(entries)}; expected a list of objects")
        return []
    found = []
    for position, entry in enumerate(entries):
        if isinstance(entry, dict):
            found.append((position, entry))
        else:
            findings.error(f"{section}[{position}]", f"is {shown(entry)}; expected an object with {_listed(section)}")
    return found


def _check_keys(entry: dict, section: str, where: str, findings: Findings) -> None:
    required, optional = KEYS[section]
    known, meant = (*required, *optional), set()
    for key in entry.keys() - set(known):
        close = difflib.get_close_matches(key, [name for name in known if name not in entry], 1, SIMILAR)
        if close:
            meant.add(close[0])
            findings.error(where, f"unknown key {key!r}; did you mean {close[0]!r}?")
        else:
            findings.notes.add(f"entries of {section} have the key {shown(key)}, which is not read", where)
    for key in required:
        if key not in entry and key not in meant:
            findings.error(where, f"has no {key!r}; it must have {', '.join(required)}")


def _unique_id(entry: dict, where: str, seen: Collection[Hashable], findings: Findings) -> Hashable | None:
    """The entry's id; None, with the error in `findings`, where it is none or was there before."""
    value = entry.get("id")
    if "id" not in entry:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        findings.error(where, f"its id is {shown(value)}; expected a whole number or a text")
    elif value in seen:
        findings.error(where, f"its id {value!r} occurs twice; ids must differ")
    else:
        return value
    return None


def _parse_categories(own: OwnFile, entries: Sequence[tuple[int, dict]], findings: Findings) -> dict[Hashable, int]:
    """{id: label}"""
    labels: dict[Hashable, int] = {}
    names: set[str] = set()
    for position, entry in entries:
        name = entry.get("name")
        where = f"category {shown(name)}" if isinstance(name, str) else f"categories[{position}]"
        _check_keys(entry, "categories", where, findings)
        found = _unique_id(entry, where, labels, findings)
        if "name" in entry and not (isinstance(name, str) and name.strip()):
            findings.error(where, f"its name is {shown(name)}; expected a text that is not empty")
        elif name in names:
            findings.error(where, "its name occurs twice; names must differ")
        if found is not None:
            labels[found] = len(own.classes)
        own.classes.append(str(name))
        names.add(str(name))
    if not entries:
        findings.error("categories", "there is none; give one {id, name} for each class")
    return labels


def _parse_videos(
    own: OwnFile, entries: Sequence[tuple[int, dict]], root: Path, findings: Findings
) -> dict[Hashable, int]:
    """{id: index}"""
    places: dict[Hashable, int] = {}
    derived = [_derived_name(entry.get("file_name")) for _, entry in entries]
    shared = {name for name, count in Counter(derived).items() if count > 1}  # a.mp4 and a.avi
    names: set[str] = set()
    for (position, entry), name in zip(entries, derived, strict=True):
        file = entry.get("file_name")
        where = f"video {file!r}" if isinstance(file, str) else f"videos[{position}]"
        _check_keys(entry, "videos", where, findings)
        found = _unique_id(entry, where, places, findings)
        if "file_name" in entry and not (isinstance(file, str) and file.strip()):
            findings.error(where, f"its file_name is {shown(file)}; expected the path of a video or folder of images")
        if name in shared:
            name = safe_name(str(file))
        video = OwnVideo(where, _given_name(entry, name, where, findings), str(root / str(file)))
        video.flow = str(root / str(entry["flow"])) if "flow" in entry else flow_folder(root, video.name)
        before = len(findings.errors)
        for key, low in (("num_frames", 0), ("height", 1), ("width", 1)):
            setattr(video, key, read_whole(entry, key, low, where, findings))
        video.sound = len(findings.errors) == before and isinstance(file, str)
        video.fps = read_frame_rate(entry, where, findings)
        video.labelled = read_labelled(entry, where, findings)
        video.group = read_group(entry, where, findings)
        if video.name in names:
            findings.error(where, f"its name {video.name!r} occurs twice; give each video a 'name'")
        names.add(video.name)
        if found is not None:
            places[found] = len(own.videos)
        own.videos.append(video)
    return places


def _derived_name(file: Any) -> str:
    path = PurePosixPath(safe_name(str(file)))
    return str(path.with_suffix("") if path.suffix.lower() in VIDEO_SUFFIXES else path)


def _given_name(entry: dict, derived: str, where: str, findings: Findings) -> str:
    name = entry.get("name", derived)
    if not (isinstance(name, str) and name.strip()) or safe_name(name) != name:
        findings.error(where, f"its name is {shown(name)}; expected a text without / at its ends and without ..")
        return derived
    return name


def _parse_annotations(
    own: OwnFile,
    entries: Sequence[tuple[int, dict]],
    labels: dict[Hashable, int],
    places: dict[Hashable, int],
    findings: Findings,
) -> None:
    seen: set[Hashable] = set()
    for position, entry in entries:
        where = f"annotation {shown(entry['id'])}" if "id" in entry else f"annotations[{position}]"
        video = _referred(entry, "video_id", places)
        where = f"{own.videos[video].where}, {where}" if video is not None else where
        before = len(findings.errors)
        _check_keys(entry, "annotations", where, findings)
        seen.add(_unique_id(entry, where, seen, findings))
        label = _referred(entry, "category_id", labels)
        for key, found, known in (("video_id", video, places), ("category_id", label, labels)):
            if key in entry and found is None:
                legal = f"there are {shown(list(known))[1:-1]}" if known else "there is none"
                findings.error(where, f"unknown {key} {shown(entry[key])}; {legal}")
        boxes = read_boxes(entry, where, findings)
        frames = read_frames(entry, where, findings)
        if len(findings.errors) > before or None in (video, label):
            continue
        if isinstance(frames, int):
            frames = np.arange(frames, frames + len(boxes))
        if len(frames) != len(boxes):
            findings.error(where, f"has {len(frames)} frames and {len(boxes)} bboxes; give one box for each frame")
            continue
        own.tubes.append(OwnTube(where, video, label, frames, boxes))
    own.complete = len(own.tubes) == len(entries)


def _referred(entry: dict, key: str, known: dict[Hashable, int]) -> int | None:
    value = entry.get(key)
    return known.get(value) if isinstance(value, (int, str)) and not isinstance(value, bool) else None
