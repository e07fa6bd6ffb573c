"""`boxes.json` of the real people: clips of one action each, with boxes by segmentation (docs/real_people.md).

    {"set1/0_1_4.avi": {"label": "punch", "actor": "set1_seq01", "main_actor": "right",
                        "frames": 108, "size": [400, 296],
                        "boxes": [[79, 15, 387, 278], ...],                            one for each frame, or null
                        "persons": [[[79, 18, 145, 278], [324, 15, 387, 272]], ...],   left and right, or nulls
                        "ok": [1, ...], "contact": [0, ...]}}

Boxes are x0 y0 x1 y1 in pixels of the frame, ends exclusive. `actor` is the recording, whose clips are never on both
sides of a split. Where `ok` is 0 the boxes are wrong, so such frames are not labelled. `persons` and `contact` (1: the
action can be seen) are there for pairs only; `boxes` is then the pair, and the only box while the two cannot be told
apart. The class belongs to the pair: both persons have it.
"""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from detect.data.checks import AnnotationError, Notes, checked_tube, numbers, read_json, shown
from detect.data.dialects.glimpse import Glimpse
from detect.data.media import flow_folder
from detect.data.records import ActionDataset, VideoRecord
from detect.utils.errors import UserError
from detect.utils.files import hash_files
from detect.video.readers import MAX_SAID_FRAMES

FILE = "boxes.json"
ACTORS = ("persons", "main", "pair")
FRAMES = ("ok", "contact")
SIDES = {"left": (0,), "right": (1,), "both": (0, 1)}


class Clip(NamedTuple):
    """A clip and its entry in the file; `where` names it in messages."""

    where: str
    name: str
    path: Path
    entry: dict[str, Any]


def is_boxes_json(glimpse: Glimpse) -> bool:
    if glimpse.is_folder:
        names = [name for name in glimpse.names if name.rpartition("/")[2] == FILE]
        return bool(names) and is_boxes_json(Glimpse(glimpse.path / names[0]))
    return glimpse.is_json and glimpse.has(b'"label"', b'"frames"', b'"boxes"', b'"ok"', b'"actor"')


def read_boxes_json(path: Path, *, actors: str = "persons", frames: str = "ok") -> ActionDataset:
    """The clips of a file, or of every boxes.json below a folder; the classes are those found, sorted.

    actors: "persons", each with the class, or the pair where they cannot be told apart; "main", only who acts (both of
    a handshake or hug); "pair", one box a frame. frames: those that are labelled if they have a box, "ok", or of pairs
    only those in "contact".
    """
    for option, value, legal in (("actors", actors, ACTORS), ("frames", frames, FRAMES)):
        if value not in legal:
            raise UserError(f"{path}: the option {option} is {value!r}; legal values are {', '.join(legal)}")
    path, notes = Path(path), Notes()
    files = sorted(path.rglob(FILE)) if path.is_dir() else [path]
    root = path if path.is_dir() else path.parent
    clips = [clip for file in files for clip in _clips(file, root)]
    classes = tuple(sorted({clip.entry["label"] for clip in clips}))
    videos = tuple(_record(clip, classes, actors, frames, root, notes) for clip in clips)
    return ActionDataset(root.resolve().name, classes, videos, hash_files(*files), notes.lines())


def _clips(file: Path, root: Path) -> list[Clip]:
    content = read_json(file)
    if not isinstance(content, dict):
        raise AnnotationError(f"{file}: holds a {type(content).__name__}; expected an object of clips by file name")
    found = []
    for key, entry in sorted(content.items()):
        where, place = f"{file}: {key}", file.parent / key
        _check(entry, where)
        found.append(Clip(where, place.relative_to(root).with_suffix("").as_posix(), place, entry))
    return found


def _check(entry: Any, where: str) -> None:
    if not isinstance(entry, dict):
        raise AnnotationError(f"{where}: is {shown(entry)}; expected an object")
    for key in ("label", "actor"):
        if not (isinstance(entry.get(key), str) and entry[key].strip()):
            raise AnnotationError(f"{where}: its {key} is {shown(entry.get(key))}; expected a text")
    count = entry.get("frames")
    if type(count) is not int or not 0 <= count <= MAX_SAID_FRAMES:
        raise AnnotationError(f"{where}: its frames is {shown(count)}; expected how many the clip has")
    size = numbers(entry.get("size"), 2)
    if size is None or not all(1 <= side <= MAX_SAID_FRAMES and side == int(side) for side in size):
        raise AnnotationError(f"{where}: its size is {shown(entry.get('size'))}; expected [width, height] in pixels")
    for key in ("boxes", "ok", "persons", "contact"):
        value = entry.get(key)
        if (value is not None or key in ("boxes", "ok")) and not (isinstance(value, list) and len(value) == count):
            raise AnnotationError(f"{where}: its {key} is {shown(value)}; expected a list of {count}, one a frame")
    if entry.get("main_actor", "both") not in tuple(SIDES):  # which takes a list too
        raise AnnotationError(f"{where}: its main_actor is {shown(entry['main_actor'])}; legal are {', '.join(SIDES)}")


def _record(
    clip: Clip, classes: tuple[str, ...], actors: str, frames: str, root: Path, notes: Notes
) -> VideoRecord:
    entry, count = clip.entry, clip.entry["frames"]
    width, height = map(int, entry["size"])
    counts = np.array([value == 1 for value in entry["ok"]], bool)
    if frames == "contact" and entry.get("contact") is not None:
        counts &= np.array([value == 1 for value in entry["contact"]], bool)
    common = dict(video=clip.name, num_frames=count, size=(height, width), classes=classes, notes=notes)
    label = classes.index(entry["label"])
    tubes = []
    for boxes in _tracks(clip, actors, np.flatnonzero(counts).tolist()):
        tube = checked_tube(label, np.array(list(boxes), np.int64), np.array(list(boxes.values())), **common)
        tubes += [tube] if boxes and tube else []
    flow = flow_folder(root, clip.name)
    record = VideoRecord(
        clip.name, str(clip.path), count, height, width, tuple(tubes), flow if os.path.isdir(flow) else "",
        group=entry["actor"],
    )  # fmt: skip
    return replace(record, labelled=record.annotated_frames())


def _tracks(clip: Clip, actors: str, counted: list[int]) -> list[dict[int, list[float]]]:
    """{frame: box} of the left and right person that are wanted, and of the pair."""
    entry, persons = clip.entry, clip.entry.get("persons")
    wanted = SIDES[entry.get("main_actor", "both")] if actors == "main" else (0, 1)
    tracks: list[dict[int, list[float]]] = [{}, {}, {}]
    for frame in counted:
        both = None if persons is None or actors == "pair" else persons[frame]
        if both is not None and not (isinstance(both, list) and len(both) == 2):
            raise AnnotationError(f"{clip.where} frame {frame}: its persons are {shown(both)}; expected left and right")
        if both is None or both == [None, None]:
            tracks[2][frame] = _box(clip, frame, entry["boxes"][frame])
        else:
            for track, box in zip(tracks, both, strict=False):
                if box is not None:  # who points may be alone
                    track[frame] = _box(clip, frame, box)
    return [*(tracks[side] for side in wanted), tracks[2]]


def _box(clip: Clip, frame: int, value: Any) -> list[float]:
    box = numbers(value, 4)
    if box is None:
        raise AnnotationError(f"{clip.where} frame {frame}: its box is {shown(value)}; expected [x0, y0, x1, y1]")
    return box
