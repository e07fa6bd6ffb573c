"""COCO-style JSON of frames: `images`, `annotations` with a bbox x y width height, `categories`; COCO-VID's too.

    images       {"id", "file_name", "width", "height", and of which frame it is, one of
                  "video_id" (of `videos`, or any) or "video" (name), with "frame_index" or "frame_id", from 0
                  file_name "<video>/<00001>.jpg": numbers from 1, from 0 where an image of the file has 0}
    annotations  {"image_id", "category_id", "bbox", "track_id" or "instance_id" (optional), "iscrowd" (optional)}
    videos       {"id", "name" (or "file_name"), "num_frames" (or "length"), "fps"}, optional

Boxes of one track and category are a tube; those without a track are joined (`join_boxes`). The frames that are listed
as images were looked at. Boxes of crowds are not used.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from detect.data.checks import AnnotationError, Notes, numbers, read_json, shown
from detect.data.dialects.coco_frames import Frames, frames_of_images, objects
from detect.data.dialects.glimpse import Glimpse
from detect.data.dialects.rows import NO_TRACK, BoxRows, make_rows, records_of_rows
from detect.data.dialects.video_facts import KnownFacts, known_facts
from detect.data.dialects.writing import corner_and_size
from detect.data.records import ActionDataset, VideoRecord
from detect.utils.files import atomic_file, hash_files

SECTIONS = ("images", "annotations", "categories")


def is_coco_json(glimpse: Glimpse) -> bool:
    found = {key for key in SECTIONS if re.search(rb'"%s"\s*:\s*\[' % key.encode(), glimpse.head)}
    return glimpse.is_json and "images" in found and len(found) > 1  # the last may be beyond what is looked through


def read_coco_json(
    path: Path,
    *,
    sizes: str | Path | None = None,
    join_iou: float | None = None,
) -> ActionDataset:
    """All videos of the file. `sizes`: as "320x240" or a file, of images without width and height.

    AnnotationError naming the file, the image or annotation and the value.
    """
    path, notes = Path(path), Notes()
    content = read_json(path)
    if not isinstance(content, dict) or any(key not in content for key in SECTIONS):
        raise AnnotationError(f"{path}: not COCO's JSON; expected an object with {', '.join(SECTIONS)}")
    frames = frames_of_images(content["images"], content.get("videos", []), known_facts(path, sizes))
    labels, classes = category_labels(content["categories"])
    rows = _rows(content["annotations"], frames, labels, notes)
    records = records_of_rows(
        rows, classes, KnownFacts("", frames.facts), notes, labelled=frames.labelled(), join_iou=join_iou
    )
    return ActionDataset(path.stem, classes, records, hash_files(path), notes.lines())


def category_labels(entries: Any) -> tuple[dict[Any, int], tuple[str, ...]]:
    """Label of each category id, in the order of the file, and the names."""
    labels: dict[Any, int] = {}
    for label, entry in enumerate(objects(entries, "categories", "id")):
        if labels.setdefault(entry["id"], label) != label or not isinstance(entry.get("name"), str):
            raise AnnotationError(f"categories[{label}] has no name or an id that occurs twice: {str(entry)[:80]}")
    if not labels:
        raise AnnotationError("categories is empty; there is no class")
    return labels, tuple(entry["name"] for entry in entries)


def _rows(entries: Any, frames: Frames, labels: Mapping[Any, int], notes: Notes) -> BoxRows:
    tracks: dict[tuple, int] = {(): NO_TRACK}
    rows, boxes = [], []
    for position, entry in enumerate(objects(entries, "annotations", "image_id")):
        where = f"annotations[{position}]"
        if entry["image_id"] not in frames.place:
            raise AnnotationError(f"{where}: image_id {entry['image_id']!r} is not an image of the file")
        if entry.get("iscrowd"):
            notes.add("boxes of crowds not used", f"{where} image {entry['image_id']!r}")
            continue
        label = labels.get(entry["category_id"]) if isinstance(entry.get("category_id"), (int, str)) else None
        if label is None:
            found = shown(entry.get("category_id"))
            raise AnnotationError(f"{where}: category_id {found} is not one of {list(labels)[:50]}")
        if (box := numbers(entry.get("bbox"), 4)) is None:
            found = shown(entry.get("bbox"))
            raise AnnotationError(f"{where}: bbox is {found}; expected 4 numbers x, y, width, height")
        video, frame = frames.place[entry["image_id"]]
        name = entry.get("track_id", entry.get("instance_id"))
        if name is not None and type(name) not in (int, str):
            raise AnnotationError(f"{where}: track_id is {shown(name)}; expected a whole number or text")
        track = tracks.setdefault(() if name is None else (video, name), len(tracks))
        rows.append((video, frame, label, track))
        boxes.append(box)
    corners = np.array(boxes, np.float64).reshape(-1, 4)
    corners[:, 2:] += corners[:, :2]
    return make_rows(list(frames.names), np.array(rows, np.int64).reshape(-1, 4).T, corners)


def write_coco_json(dataset: ActionDataset, path: Path) -> tuple[str, ...]:
    """`videos` as COCO-VID has them, an image for each frame that was looked at, named <video>/<00001>.jpg with
    frame_index from 0, and a track_id for each tube. Returns notes of what the form cannot hold.
    """
    notes = Notes()
    for video in dataset.videos:
        if not (len(video.labelled_frames()) or video.tubes):
            notes.add("videos without a frame that was looked at, of which there is no image", video.name)
    with atomic_file(path) as stream:
        for part in _parts(dataset):
            stream.write(part.encode())
    return notes.lines()


def _parts(dataset: ActionDataset) -> Iterator[str]:
    frames = [np.union1d(video.labelled_frames(), video.annotated_frames()) for video in dataset.videos]
    starts = np.cumsum([1, *map(len, frames)])
    categories = [{"id": label + 1, "name": name} for label, name in enumerate(dataset.classes)]
    sections = {
        "categories": iter(categories),
        "videos": (_video(number, video) for number, video in enumerate(dataset.videos, 1)),
        "images": (image for n, v in enumerate(dataset.videos) for image in _images(n + 1, v, frames[n], starts[n])),
        "annotations": _annotations(dataset, frames, starts),
    }
    opening = "{"
    for section, entries in sections.items():
        yield f'{opening}"{section}": [\n'
        for number, entry in enumerate(entries):
            yield f"{',' if number else ' '}{json.dumps(entry)}\n"
        yield "]"
        opening = ",\n"
    yield "}\n"


def _video(number: int, video: VideoRecord) -> dict[str, Any]:
    return {
        "id": number,
        "name": video.name,
        "width": video.width,
        "height": video.height,
        "num_frames": video.num_frames,
        "fps": video.fps,
    }


def _images(number: int, video: VideoRecord, frames: np.ndarray, start: int) -> Iterator[dict[str, Any]]:
    for image, frame in enumerate(frames.tolist(), int(start)):
        yield {
            "id": image,
            "video_id": number,
            "frame_index": frame,
            "file_name": f"{video.name}/{frame + 1:05d}.jpg",
            "width": video.width,
            "height": video.height,
        }


def _annotations(dataset: ActionDataset, frames: list[np.ndarray], starts: np.ndarray) -> Iterator[dict[str, Any]]:
    count = track = 0
    for number, video in enumerate(dataset.videos):
        for tube in video.tubes:
            track += 1
            images = starts[number] + np.searchsorted(frames[number], tube.frames)
            for image, box in zip(images.tolist(), corner_and_size(tube.boxes).tolist(), strict=True):
                count += 1
                yield {
                    "id": count,
                    "image_id": image,
                    "category_id": tube.label + 1,
                    "track_id": track,
                    "bbox": box,
                    "area": box[2] * box[3],
                    "iscrowd": 0,
                }
