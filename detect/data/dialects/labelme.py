"""LabelMe: a folder with a JSON file for each annotated image, by default beside it.

    {"version": "5.4.1", "flags": {}, "imagePath": "0001.jpg", "imageData": null, "imageHeight": 240, "imageWidth": 320,
     "shapes": [{"label": "wave", "points": [[10, 20], [70, 140]], "group_id": 1, "shape_type": "rectangle", ...}]}

A rectangle is given by two opposite corners, or by all four. Other shapes are left out. `group_id`, where there is one,
tells the actors of a video apart.
"""

from pathlib import Path
from typing import Any

from detect.data.checks import NO_ACTION, AnnotationError, Notes, numbers, read_json, shown
from detect.data.dialects.companions import class_names
from detect.data.dialects.glimpse import Glimpse
from detect.data.dialects.image_boxes import ImageBoxes
from detect.data.records import ActionDataset
from detect.video.readers import MAX_SAID_FRAMES

KEYS = ("shapes", "imageHeight", "imageWidth")


def is_labelme(glimpse: Glimpse) -> bool:
    if not glimpse.is_folder:
        return glimpse.is_json and glimpse.has(b'"shapes"', b'"imagePath"')
    first = next((name for name in glimpse.names if name.endswith(".json")), None)
    return first is not None and is_labelme(Glimpse(glimpse.path / first))


def read_labelme(
    path: Path,
    *,
    classes: str | Path | None = None,
    first: int | None = None,
    join_iou: float | None = None,
    media_root: str | Path | None = None,
) -> ActionDataset:
    """The dataset in a folder, or in one file of it. The images of JSON files of other names than theirs are not looked
    for. Options as `read_via` has them. AnnotationError, naming file and shape, for what cannot be read.
    """
    path, notes = Path(path), Notes()
    home = path if path.is_dir() else path.parent
    files = sorted(path.rglob("*.json")) if path.is_dir() else [path]
    root = home if media_root is None else Path(media_root)
    boxes = ImageBoxes(root, home.resolve().name, first, join_iou)
    used = [file for file in files if _add_file(boxes, home, file, notes)]
    if not used:
        raise AnnotationError(f"{path}: no LabelMe file in it; expected <frame>.json with {', '.join(KEYS)}")
    return boxes.dataset(path, home.resolve().name, class_names(path, classes), used, notes)


def _add_file(boxes: ImageBoxes, home: Path, file: Path, notes: Notes) -> bool:
    """Whether the file is one of LabelMe's; then its boxes are added."""
    content = read_json(file)
    if not isinstance(content, dict) or not isinstance(content.get("shapes"), list):
        notes.add("JSON files left out, they have no list of shapes", str(file))
        return False
    size = (content.get("imageHeight"), content.get("imageWidth"))
    if any(type(side) is not int or not 1 <= side <= MAX_SAID_FRAMES for side in size):
        raise AnnotationError(f"{file}: imageHeight and imageWidth are {shown(size)}; expected whole numbers of pixels")
    place = boxes.add_image(file.relative_to(home).as_posix(), str(file), size)
    for number, shape in enumerate(content["shapes"]):
        where = f"{file} shape {number}"
        if not isinstance(shape, dict):
            raise AnnotationError(f"{where}: is {shown(shape)}; expected an object with label and points")
        if shape.get("shape_type", "rectangle") != "rectangle":
            notes.add("shapes left out, they are not rectangles", f"{where}: {shape['shape_type']}")
            continue
        label, track = shape.get("label"), shape.get("group_id")
        if not isinstance(label, str):
            raise AnnotationError(f"{where}: its label is {shown(label)}; expected the name of a class")
        if label.strip().lower() in NO_ACTION:
            notes.add("shapes left out, their label says no action", f"{where}: {label}")
            continue
        boxes.add_box(place, label.strip(), None if track is None else str(track), _box(shape.get("points"), where))
    return True


def _box(points: Any, where: str) -> list[float]:
    corners = [numbers(point, 2) for point in points] if isinstance(points, list) else []
    if len(corners) not in (2, 4) or None in corners:
        raise AnnotationError(f"{where}: its points are {shown(points)}; expected two opposite corners [x, y]")
    return [*map(min, *corners), *map(max, *corners)]
