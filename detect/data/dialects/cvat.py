"""CVAT's XML 1.1, "for video" (tracks) and "for images".

    <annotations><version>1.1</version>
      <meta><task><id>1</id><name>..</name><size>120</size><start_frame>0</start_frame><stop_frame>119</stop_frame>
        <frame_filter>step=1</frame_filter><labels><label><name>wave</name>..</label></labels>
        <original_size><width>320</width><height>240</height></original_size><source>a.mp4</source></task></meta>
      <track id="0" label="wave" [task_id="1"]>
        <box frame="0" keyframe="1" outside="0" occluded="0" xtl="10.00" ytl="20.00" xbr="70.00" ybr="140.00"
             [rotation="30.00"]><attribute name="action">..</attribute></box> ...
      </track>
      <image id="0" name="a/0001.jpg" width="320" height="240"><box label="wave" xtl=.. ytl=.. xbr=.. ybr=..>..</image>

Frames are those of the video, from 0, also where a task has only every n-th (`step`). CVAT writes the boxes that it
interpolates; outside="1" says that the actor is not there, so a track that comes back is another tube. A job's export
has <job> for <task>, a project's several tasks.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import numpy as np

from detect.data.checks import NO_ACTION, AnnotationError, Notes, whole
from detect.data.dialects.cvat_meta import Task, class_list, read_tasks, video_name
from detect.data.dialects.glimpse import Glimpse
from detect.data.dialects.image_boxes import ImageBoxes
from detect.data.dialects.rows import make_rows, records_of_rows
from detect.data.dialects.video_facts import KnownFacts
from detect.data.media import flow_folder
from detect.data.records import ActionDataset, VideoRecord
from detect.utils.files import hash_files, read_text

FRAME_OF_A_VIDEO = re.compile(r"frame_\d{6}")  # the name of an image of a task made of a video; they count from 0


class Row(NamedTuple):
    """A box of a track: frame, class, corners; None as class where the actor is not there, or does nothing."""

    frame: int
    label: str | None
    box: tuple[float, ...]


class Source(NamedTuple):
    """A file and how to read it. `root`: the folder of its videos."""

    tree: Element
    file: Path
    root: Path
    attribute: str | None
    notes: Notes


def is_cvat(glimpse: Glimpse) -> bool:
    if glimpse.is_folder:
        names = [name for name in glimpse.names if name.endswith(".xml")]
        return bool(names) and is_cvat(Glimpse(glimpse.path / names[0]))
    return glimpse.head.lstrip(b"\xef\xbb\xbf \r\n\t")[:1] == b"<" and glimpse.has(b"<annotations>", b"<meta>")


def read_cvat(
    path: Path,
    *,
    attribute: str | None = None,
    first: int | None = None,
    join_iou: float | None = None,
    media_root: str | Path | None = None,
) -> ActionDataset:
    """The dataset in an XML file, or in all of a folder's: CVAT exports one for each task, which is mostly one video.

    `attribute`: of the boxes, whose value is the class, in place of the label. `media_root`: the folder of the videos,
    by default that of each XML file. `first`, `join_iou`: of images, see `ImageBoxes`. AnnotationError, naming file,
    track and value, for what cannot be read.
    """
    path, notes = Path(path), Notes()
    files = sorted(path.rglob("*.xml")) if path.is_dir() else [path]
    if not files:
        raise AnnotationError(f"{path}: no XML file in it; expected the annotations.xml that CVAT exports")
    trees = {file: read_xml(file) for file in files}
    classes = class_list(trees, attribute)
    videos: list[VideoRecord] = []
    for file, tree in trees.items():
        source = Source(tree, file, file.parent if media_root is None else Path(media_root), attribute, notes)
        try:
            with_images = tree.find("image") is not None
            videos += _images(source, classes, first, join_iou) if with_images else _tracks(source, classes)
        except AnnotationError as error:
            raise AnnotationError(f"{file}: {error}" if str(file) not in str(error) else str(error)) from None
    name = path.resolve().name if path.is_dir() else path.stem
    return ActionDataset(name, classes, tuple(videos), hash_files(*files), notes.lines())


def read_xml(path: Path) -> Element:
    """The root of an XML file. AnnotationError for what is no XML, and for a DOCTYPE: entities can blow a file up."""
    text = read_text(path)
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise AnnotationError(f"{path}: has a DOCTYPE, which CVAT does not write; entities are not read")
    try:
        root = ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError) as error:
        raise AnnotationError(f"{path}: not XML, {error}; is the file complete?") from error
    if root.tag != "annotations":
        raise AnnotationError(f"{path}: the outermost element is <{root.tag}>; expected CVAT's <annotations>")
    return root


def _tracks(source: Source, classes: Sequence[str]) -> tuple[VideoRecord, ...]:
    notes = source.notes
    tasks = read_tasks(source.tree, source.root, source.file, notes)
    names = [task.name for task in tasks]
    labels = {name: label for label, name in enumerate(classes)}
    columns, boxes, sparse = [], [], set()
    for number, track in enumerate(source.tree.iter("track")):
        video = _task_of(track, tasks)
        where = f"{names[video]} track {track.get('id', number)}"
        rows = _rows(track, source.attribute, where, notes)
        if any(b.frame - a.frame > tasks[video].step for a, b in zip(rows, rows[1:], strict=False) if a.label):
            sparse.add(video)
        for tube in _stretches(rows):
            key = len(columns)
            for row in tube:
                columns.append((video, row.frame, _label(row.label, labels, where), key))
                boxes.append(row.box)
    for video in sorted(sparse):
        notes.add("videos with boxes on key frames only, which alone count; see --interpolate", names[video])
    return records_of_rows(
        make_rows(names, list(zip(*columns, strict=True)) or [(), (), (), ()], boxes),
        classes,
        KnownFacts("no <original_size> in it and no video was found", {task.name: task.facts for task in tasks}),
        notes,
        places={task.name: (task.path, flow_folder(source.root, task.name)) for task in tasks},
        labelled=[np.empty(0, np.int64) if i in sparse else task.frames for i, task in enumerate(tasks)],
    )


def _task_of(track: Element, tasks: Sequence[Task]) -> int:
    if len(tasks) == 1:
        return 0
    found = [index for index, task in enumerate(tasks) if task.id == track.get("task_id")]
    if not found:
        raise AnnotationError(f"track {track.get('id')}: task_id is {track.get('task_id')!r}, no task of this file")
    return found[0]


def _rows(track: Element, attribute: str | None, where: str, notes: Notes) -> list[Row]:
    """The rows of a track by frame."""
    rows = []
    for shape in track:
        if shape.tag != "box":
            notes.add("shapes left out, they are not boxes", f"{where}: {shape.tag}")
            continue
        frame = _number(shape, "frame", where)
        at = f"{where} frame {shape.get('frame')}"
        label = track.get("label") if attribute is None else _attribute(shape, attribute, at, notes)
        rows.append(Row(frame, None if shape.get("outside") == "1" else label, _corners(shape, at)))
    rows.sort(key=lambda row: row.frame)
    if twice := [a.frame for a, b in zip(rows, rows[1:], strict=False) if a.frame == b.frame]:
        raise AnnotationError(f"{where}: has two boxes on frame {twice[0]}")
    return rows


def _stretches(rows: Sequence[Row]) -> Iterator[list[Row]]:
    """The parts of a track in which the actor is there and does one thing."""
    part: list[Row] = []
    for row in rows:
        if part and row.label != part[-1].label:
            yield part
            part = []
        if row.label is not None:
            part.append(row)
    if part:
        yield part


def _images(
    source: Source, classes: Sequence[str], first: int | None, join_iou: float | None
) -> tuple[VideoRecord, ...]:
    images = list(source.tree.iter("image"))
    if first is None and all(FRAME_OF_A_VIDEO.fullmatch(image.get("name", "")) for image in images):
        first = 0
    default = video_name(source.tree) or source.root.resolve().name
    boxes = ImageBoxes(source.root, default, first, join_iou)
    labels = {name: label for label, name in enumerate(classes)}
    for image in images:
        where = f"image {image.get('name', image.get('id'))}"
        size = (_number(image, "height", where), _number(image, "width", where))
        place = boxes.add_image(image.get("name", ""), where, size)
        for shape in image:
            if shape.tag != "box":
                source.notes.add("shapes left out, they are not boxes", f"{where}: {shape.tag}")
                continue
            label = shape.get("label")
            if source.attribute is not None:
                label = _attribute(shape, source.attribute, where, source.notes)
            if label is not None:
                boxes.add_box(place, classes[_label(label, labels, where)], None, _corners(shape, where))
    return boxes.records(classes, source.notes)


def _attribute(shape: Element, name: str, where: str, notes: Notes) -> str | None:
    """Its value, None where it is not there or says that nothing is done."""
    value = next(((a.text or "").strip() for a in shape.iter("attribute") if a.get("name") == name), None)
    if value is None or value.lower() in NO_ACTION:
        notes.add(f"boxes left out, {name} says no action", f"{where}: {value}")
        return None
    return value


def _label(label: str | None, labels: Mapping[str, int], where: str) -> int:
    if label not in labels:
        raise AnnotationError(f"{where}: the label {label!r} is not one of the classes {', '.join(labels)}")
    return labels[label]


def _number(element: Element, key: str, where: str) -> int:
    try:
        return whole(int(element.get(key, "")), 0)
    except ValueError:
        raise AnnotationError(f"{where}: {key} is {element.get(key)!r}; expected a whole number from 0") from None


def _corners(shape: Element, where: str) -> tuple[float, ...]:
    """x0 y0 x1 y1; of a box that is turned by `rotation` degrees about its middle, those of the upright box around."""
    try:
        x0, y0, x1, y1 = (float(shape.get(key, "")) for key in ("xtl", "ytl", "xbr", "ybr"))
        angle = math.radians(float(shape.get("rotation", 0)))
    except ValueError:
        found = {key: shape.get(key) for key in ("xtl", "ytl", "xbr", "ybr", "rotation")}
        raise AnnotationError(f"{where}: the box is {found}; expected numbers") from None
    across, along = abs(math.cos(angle)), abs(math.sin(angle))
    width = ((x1 - x0) * across + (y1 - y0) * along) / 2
    height = ((x1 - x0) * along + (y1 - y0) * across) / 2
    x, y = (x0 + x1) / 2, (y0 + y1) / 2
    return (x - width, y - height, x + width, y + height) if angle else (x0, y0, x1, y1)
