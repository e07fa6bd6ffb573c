"""VGG Image Annotator 2 (VIA), its CSV export: a line for each region, JSON in three of the columns.

    filename,file_size,file_attributes,region_count,region_id,region_shape_attributes,region_attributes
    clip/0001.jpg,9041,"{}",1,0,"{""name"":""rect"",""x"":10,""y"":20,""width"":60,""height"":120}","{""action"":""wave""}"

An image without region has a line with region_count 0. The first version writes #filename. Regions other than `rect`
are left out. An attribute is a text or, of a checkbox, {"wave": true, "walk": true}: several actions of one actor.
Sizes are in no column: the images, or the videos that they were taken from, must be there.
"""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from detect.data.checks import NO_ACTION, AnnotationError, Notes, numbers, shown
from detect.data.dialects.companions import class_names
from detect.data.dialects.glimpse import Glimpse
from detect.data.dialects.image_boxes import ImageBoxes
from detect.data.records import ActionDataset
from detect.utils.files import read_text

COLUMNS = ("filename", "region_count", "region_shape_attributes", "region_attributes")
LABELS = ("action", "label", "class", "category", "name", "type")  # attributes that are taken for the class
TRACKS = ("track", "track_id", "actor", "person", "person_id")


def is_via(glimpse: Glimpse) -> bool:
    return glimpse.head.lstrip(b"\xef\xbb\xbf#").startswith(b"filename,") and glimpse.has(b"region_shape_attributes")


def read_via(
    path: Path,
    *,
    attribute: str | None = None,
    track: str | None = None,
    classes: str | Path | None = None,
    first: int | None = None,
    join_iou: float | None = None,
    media_root: str | Path | None = None,
) -> ActionDataset:
    """The dataset. `attribute`: of a region, that names the class. `track`: one that tells actors apart, such as 1, 2.
    `classes`: a file with a class a line; else classes.txt beside the annotation, else those found, sorted. `first`,
    `join_iou`: see `ImageBoxes`. `media_root`: the folder of the file names, by default the
    annotation's. AnnotationError, naming file and line, for what cannot be read.
    """
    path, notes = Path(path), Notes()
    root = path.parent if media_root is None else Path(media_root)
    lines = list(_lines(path))
    found = sorted({name for _, _, _, attributes in lines for name in attributes})
    chosen = _chosen(path, found, attribute, LABELS)
    track = track or next((name for name in TRACKS if name in found and name != chosen), None)
    boxes = ImageBoxes(root, root.resolve().name, first, join_iou)
    for where, image, shape, attributes in lines:
        place = boxes.add_image(image, where)
        if not shape:
            continue
        if shape.get("name") != "rect":
            notes.add("regions left out, they are not rect", f"{where}: {shape.get('name')}")
            continue
        labels = _labels(attributes.get(chosen))
        if not labels:
            notes.add(f"regions left out, {chosen} says no action", where)
        box = _corners(shape, where)
        for label in labels:
            boxes.add_box(place, label, str(attributes[track]) if attributes.get(track) else None, box)
    return boxes.dataset(path, path.stem, class_names(path, classes), [path], notes)


def _lines(path: Path) -> Iterator[tuple[str, str, dict, dict]]:
    """(file and line, image, shape or {}, attributes) of each line."""
    text = read_text(path).removeprefix("#")
    reader = csv.DictReader(io.StringIO(text))
    if missing := [name for name in COLUMNS if name not in (reader.fieldnames or ())]:
        raise AnnotationError(f"{path}: no column {', '.join(missing)}; expected VIA's CSV, {','.join(COLUMNS)}")
    try:
        for row in reader:
            where = f"{path} line {reader.line_num}"
            if not row["filename"]:
                raise AnnotationError(f"{where}: no filename")
            cells = (_cell(row[name], name, where) for name in COLUMNS[2:])
            yield where, row["filename"], *cells
    except csv.Error as error:
        raise AnnotationError(f"{path} line {reader.line_num}: not CSV, {error}") from error


def _cell(text: str | None, column: str, where: str) -> dict:
    try:
        value = json.loads(text or "{}")
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise AnnotationError(f"{where}: {column} is {text!r:.80}; expected a JSON object")
    return value


def _chosen(path: Path, found: list[str], given: str | None, preferred: tuple[str, ...]) -> str:
    likely = [name for name in preferred if name in found] or found
    if given in found or (given is None and (len(likely) == 1 or likely[:1] == list(preferred[:1]))):
        return given or likely[0]
    if not found:
        raise AnnotationError(f"{path}: no region has an attribute; in VIA define one that names the action")
    problem = f"no region has the attribute {given!r}" if given else "the class is in one of several attributes"
    raise AnnotationError(f"{path}: {problem}; give attribute, one of {', '.join(found)}")


def _labels(value: Any) -> list[str]:
    """Of a text field, or of a checkbox with several chosen."""
    chosen = value if isinstance(value, dict) else {"" if value is None else str(value): True}
    names = [name for name, is_chosen in chosen.items() if is_chosen]
    return [name for name in map(str.strip, names) if name.lower() not in NO_ACTION]


def _corners(shape: dict, where: str) -> tuple[float, float, float, float]:
    if (found := numbers([shape.get(key) for key in ("x", "y", "width", "height")], 4)) is None:
        raise AnnotationError(f"{where}: the rect is {shown(shape)}; expected numbers x, y, width, height")
    x, y, width, height = found
    return x, y, x + width, y + height
