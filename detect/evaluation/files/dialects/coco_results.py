"""COCO's JSON of results: a list of {"image_id", "category_id", "bbox": [x, y, width, height], "score"}.

Which frame an image is, and which class a category, says the COCO-style ground truth (`images`). Without it an image_id
must be "<video>#<frame>", frames from 0, as this program's evaluators have it, or "<video>/<00001>.jpg", from 1; and
category_id counts from 1.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from detect.data.checks import AnnotationError, Notes, numbers, read_json, shown
from detect.data.dialects.coco_frames import frames_of_images
from detect.data.dialects.coco_json import category_labels
from detect.data.dialects.glimpse import Glimpse
from detect.data.dialects.video_facts import KnownFacts, VideoFacts
from detect.data.records import ActionDataset
from detect.evaluation.files.dialects.found_rows import FoundRows
from detect.evaluation.tables import LARGEST, TableError

_KEYS = ("image_id", "category_id", "bbox", "score")
_HASH = re.compile(r"(?P<video>.+)#(?P<frame>\d{1,9})")
_FILE = re.compile(r"(?P<video>.+)/\D*(?P<frame>\d{1,9})(?:\.\w+)?")


def is_coco_results(glimpse: Glimpse) -> bool:
    start = glimpse.head[:4096].lstrip(b"\xef\xbb\xbf \t\r\n")
    return start[:1] == b"[" and (b'"image_id"' in start or not start[1:].strip(b" ]\t\r\n"))


def read_coco_results(
    path: Path,
    dataset: ActionDataset | None,
    notes: Notes,
    *,
    images: str | Path | None = None,
    first_class: int = 1,
) -> FoundRows:
    """images: the COCO-style JSON of the ground truth. first_class: the number of the first category without it."""
    entries = read_json(path)
    if not isinstance(entries, list):
        raise TableError(f"{path}: holds a {type(entries).__name__}; expected a list of results")
    places, labels, names = _known(images, dataset)
    number = {name: index for index, name in enumerate(names)}
    rows, boxes = [], []
    for position, entry in enumerate(entries):
        where = f"{path}: result {position}"
        if not isinstance(entry, dict) or any(key not in entry for key in _KEYS):
            raise TableError(f"{where}: expected an object with {', '.join(_KEYS)}, found {shown(entry, 120)}")
        image, category, box, score = (entry[key] for key in _KEYS)
        if (values := numbers([*box, score] if isinstance(box, list) else None, 5)) is None:
            raise TableError(f"{where}: bbox {shown(box)}, score {shown(score, 40)}; expected 4 numbers and 1")
        name, frame = _place(where, image, places)
        label = _label(where, category, labels, first_class)
        rows.append((number.setdefault(name, len(number)), frame, label))
        boxes.append(values)
    video, frame, label = np.array(rows, np.int64).reshape(-1, 3).T
    table = np.array(boxes, np.float64).reshape(-1, 5)
    corners = np.hstack([table[:, :2], table[:, :2] + table[:, 2:4]])
    return FoundRows(list(number), video, frame, label, table[:, 4], corners, lambda row: f"result {row}")


def _known(images: str | Path | None, dataset: ActionDataset | None):
    """(video name, frame) of each image id and label of each category id of the ground truth, and its video names."""
    if images is None:
        return None, None, []
    content = read_json(Path(images))
    if not isinstance(content, dict) or "images" not in content or "categories" not in content:
        raise TableError(f"{images}: not COCO's JSON of ground truth; expected an object with images and categories")
    unknown = KnownFacts("", {}, VideoFacts(1, 1))  # sizes play no part here
    try:
        frames = frames_of_images(content["images"], content.get("videos", []), unknown)
        labels, classes = category_labels(content["categories"])
    except AnnotationError as error:
        raise AnnotationError(f"{images}: {error}") from None
    names = list(frames.names)
    places = {image: (names[video], frame) for image, (video, frame) in frames.place.items()}
    if dataset is not None:
        order = {name: label for label, name in enumerate(dataset.classes)}
        labels = {category: order.get(classes[label], -1) for category, label in labels.items()}
    return places, labels, names


def _place(where: str, image: Any, places: Mapping[Any, tuple[str, int]] | None) -> tuple[str, int]:
    if places is not None:
        if not isinstance(image, (int, str)) or image not in places:
            raise TableError(f"{where}: image_id {shown(image)} is not an image of the ground truth")
        return places[image]
    if isinstance(image, str):
        if match := _HASH.fullmatch(image):
            return match["video"], int(match["frame"])
        if match := _FILE.fullmatch(image):
            return match["video"], int(match["frame"]) - 1
    raise TableError(
        f"{where}: image_id {shown(image)} names no frame; expected '<video>#<frame>' or '<video>/<00001>.jpg', "
        "or give `images`, the COCO-style JSON of the ground truth"
    )


def _label(where: str, category: Any, labels: Mapping[Any, int] | None, first_class: int) -> int:
    if labels is not None:
        label = labels.get(category, -1) if isinstance(category, (int, str)) else -1
        legal = f"one of {list(labels)[:50]}, whose classes the dataset has"
    else:
        label = category - first_class if type(category) is int else -1
        legal = f"a whole number from {first_class} on"
    if not 0 <= label <= LARGEST:
        raise TableError(f"{where}: category_id {shown(category, 40)}; expected {legal}")
    return label
