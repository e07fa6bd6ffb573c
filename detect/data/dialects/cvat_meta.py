"""What the <meta> of a CVAT file says: the tasks, each of a video, and the classes."""

import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np

from detect.data.checks import NO_ACTION, AnnotationError, Notes, whole
from detect.data.dialects.video_facts import VideoFacts
from detect.utils.names import safe_name
from detect.video.readers import VIDEO_SUFFIXES, FrameReadError, container_facts, count_frames, iter_frames

FOLDERS = ("", "videos", "images")  # of the videos, below their root; CVAT's zip has images/


@dataclass(frozen=True)
class Task:
    """A task or job. `frames`: those that were shown to the annotators, `step` apart."""

    id: str | None
    name: str  # of the video
    path: str
    facts: VideoFacts
    frames: np.ndarray
    step: int


def read_tasks(tree: Element, root: Path, file: Path, notes: Notes) -> list[Task]:
    """The tasks of a file, with what their videos below `root` say of themselves. AnnotationError."""
    meta = tree.find("meta")
    nodes = [] if meta is None else [node for tag in ("task", "job") for node in meta.iter(tag)]
    if not nodes:
        raise AnnotationError(f"{file}: no <task> or <job> in <meta>; export it from CVAT as 'CVAT for video 1.1'")
    names = [safe_name(video_name(node) or file.stem) for node in nodes]
    counts = Counter(names)
    tasks = []
    for node, name in zip(nodes, names, strict=True):
        own = name if counts[name] == 1 else f"{name}-{node.findtext('id')}"  # every upload may be video.mp4
        tasks.append(_read_task(node, own, root, notes))
    return tasks


def video_name(node: Element) -> str:
    """Of a <task>, or of the first one below: its file without suffix, else its own name; "" where there is none."""
    source = (node.findtext(".//source") or "").strip()
    path = Path(source.replace("\\", "/"))
    return path.stem if path.suffix.lower() in VIDEO_SUFFIXES else source or (node.findtext("name") or "").strip()


def _read_task(node: Element, name: str, root: Path, notes: Notes) -> Task:
    start, size = _whole(node, "start_frame", 0), _whole(node, "size", 0)
    match = re.fullmatch(r"step\s*=\s*([1-9]\d{0,6})", (node.findtext("frame_filter") or "step=1").strip())
    step = int(match[1]) if match else 1
    stop = _whole(node, "stop_frame", start + max(size - 1, 0) * step)
    path = _place(root, (node.findtext("source") or name).strip(), name)
    sides = [_whole(node, f"original_size/{side}", 0) for side in ("width", "height")]
    facts = VideoFacts(*sides, stop + 1)
    if path is None:
        notes.add(f"videos without media (looked under {root}); their length is that of the task", name)
    else:
        facts = _of_media(path, name, facts, notes)
    if not facts.width or not facts.height:
        raise AnnotationError(f"{name}: no <original_size> in its task and no video below {root}; give media_root")
    frames = np.arange(start, min(stop + 1, facts.num_frames), step)
    return Task(node.findtext("id"), name, str(path or root / name), facts, frames, step)


def _whole(node: Element, place: str, default: int) -> int:
    text = (node.findtext(place) or "").strip()
    try:
        return whole(int(text), 0) if text else default
    except ValueError:
        raise AnnotationError(f"<{place}> is {text!r}; expected a whole number from 0") from None


def _place(root: Path, source: str, name: str) -> Path | None:
    file = Path(source.replace("\\", "/")).name
    stems = [root / folder / name for folder in FOLDERS]
    places = [root / folder / file for folder in FOLDERS if file]
    places += [stem.with_name(stem.name + suffix) for stem in stems for suffix in sorted(VIDEO_SUFFIXES)] + stems
    return next((place for place in places if os.path.exists(place)), None)


def _of_media(path: Path, name: str, said: VideoFacts, notes: Notes) -> VideoFacts:
    try:
        height, width = next(iter_frames(path)).shape[:2]
        count = count_frames(path)
    except FrameReadError as error:
        notes.add("videos that cannot be read; their size and length are those of the task", str(error))
        return said
    if said.width and (said.width, said.height) != (width, height):
        raise AnnotationError(f"{name}: annotated as {said.width} x {said.height}, {path} has {width} x {height}")
    return VideoFacts(width, height, count, 0.0 if path.is_dir() else container_facts(path)[0])


def class_list(trees: Mapping[Path, Element], attribute: str | None) -> tuple[str, ...]:
    """The classes in the order in which the files list them: labels, or values of an attribute of theirs."""
    found: dict[str, None] = {}
    for tree in trees.values():
        for label in tree.iterfind("meta//label"):
            if attribute is None and label.find("parent") is None:  # a skeleton's points have one
                found[(label.findtext("name") or "").strip()] = None
            found |= dict.fromkeys(_values(label.iterfind("attributes/attribute"), attribute))
        for element in (*tree.iter("track"), *tree.iterfind("image/box")) if attribute is None else ():
            found[element.get("label", "")] = None
        for value in tree.iter("attribute"):
            if attribute is not None and value.get("name") == attribute:
                found[(value.text or "").strip()] = None
    if not set(found) - {""}:
        names = sorted({a.get("name", "") for tree in trees.values() for a in tree.iter("attribute")} - {""})
        problem = f"no box has the attribute {attribute!r}; there are {', '.join(names) or 'none'}"
        raise AnnotationError(f"{next(iter(trees))}: {problem if attribute else 'no label'}")
    return tuple(name for name in found if name and (attribute is None or name.lower() not in NO_ACTION))


def _values(attributes: Iterable[Element], name: str | None) -> list[str]:
    for attribute in attributes:
        if name is not None and attribute.findtext("name") == name:
            return [value.strip() for value in (attribute.findtext("values") or "").split("\n")]
    return []
