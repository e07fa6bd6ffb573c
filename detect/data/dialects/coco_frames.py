"""Of which video and frame each image of a COCO-style JSON is; see `coco_json`."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from detect.data.checks import AnnotationError, shown
from detect.data.dialects.video_facts import KnownFacts, VideoFacts
from detect.video.readers import MAX_SAID_FRAMES, VIDEO_SUFFIXES

_NUMBER = re.compile(r"(\d+)$")


@dataclass
class Frames:
    """Videos by first appearance: `names`, the `facts` of each, the frames that are images; and each image's place."""

    names: dict[str, int] = field(default_factory=dict)
    facts: dict[str, VideoFacts] = field(default_factory=dict)
    listed: list[set[int]] = field(default_factory=list)
    place: dict[Any, tuple[int, int]] = field(default_factory=dict)  # image id -> video, frame

    def labelled(self) -> list[np.ndarray]:
        return [np.array(sorted(frames), np.int64) for frames in self.listed]


def frames_of_images(images: Sequence, videos: Sequence, known: KnownFacts) -> Frames:
    """AnnotationError naming the image and the value."""
    entries = {entry["id"]: entry for entry in objects(videos, "videos", "id")}
    found = Frames()
    base = None
    for image in objects(images, "images", "id"):
        where = f"image {image['id']!r}"
        if image["id"] in found.place:
            raise AnnotationError(f"{where} occurs twice")
        video = _video_of(image, entries, where)
        frame = image.get("frame_index", image.get("frame_id"))
        if frame is None:
            base = _first_number(images) if base is None else base
            frame = _number_in(image, where) - base
        if type(frame) is not int or not 0 <= frame <= MAX_SAID_FRAMES:
            raise AnnotationError(f"{where}: frame {shown(frame)}; expected a whole number from 0")
        number = found.names.setdefault(video, len(found.names))
        if number == len(found.listed):
            found.listed.append(set())
            found.facts[video] = _facts(image, entries.get(image.get("video_id"), {}), video, known, where)
        elif "width" in image and (image["width"], image.get("height")) != _size(found.facts[video]):
            raise AnnotationError(
                f"{where}: {image['width']} x {image.get('height')}, "
                f"but an earlier image of {video} is {found.facts[video].width} x {found.facts[video].height}"
            )
        if frame in found.listed[number]:
            raise AnnotationError(f"{where}: frame {frame} of {video} occurs twice")
        found.listed[number].add(frame)
        found.place[image["id"]] = (number, frame)
    return found


def objects(entries: Any, section: str, key: str) -> Sequence[Mapping[str, Any]]:
    if not isinstance(entries, list):
        raise AnnotationError(f"{section} is a {type(entries).__name__}; expected a list of objects")
    for position, entry in enumerate(entries):
        if not isinstance(entry, dict) or type(entry.get(key)) not in (int, str):
            raise AnnotationError(f"{section}[{position}] has no {key!r}: {str(entry)[:80]}")
    return entries


def _size(facts: VideoFacts) -> tuple[int, int]:
    return facts.width, facts.height


def _video_of(image: Mapping[str, Any], entries: Mapping[Any, Mapping[str, Any]], where: str) -> str:
    if "video" in image:
        return str(image["video"])
    if "video_id" in image:
        if type(image["video_id"]) not in (int, str):
            raise AnnotationError(f"{where}: video_id is {shown(image['video_id'])}; expected a whole number or text")
        entry = entries.get(image["video_id"], {})
        name = entry.get("name") or entry.get("file_name") or str(image["video_id"])
        path = PurePosixPath(str(name))
        return str(path.with_suffix("")) if path.suffix.lower() in VIDEO_SUFFIXES else str(name)
    folder = str(PurePosixPath(str(image.get("file_name", ""))).parent)
    if folder == ".":
        raise AnnotationError(
            f"{where}: belongs to no video: file_name is {shown(image.get('file_name'))}; expected "
            "'<video>/<00001>.jpg', or the keys video and frame_index"
        )
    return folder


def _first_number(images: Sequence[Mapping[str, Any]]) -> int:
    """0 where an image is numbered so, else 1."""
    stems = (PurePosixPath(str(image.get("file_name", ""))).stem for image in images)
    return 0 if any(re.search(r"(?:^|\D)0+$", stem) for stem in stems) else 1


def _number_in(image: Mapping[str, Any], where: str) -> int:
    match = _NUMBER.search(PurePosixPath(str(image.get("file_name", ""))).stem)
    if match is None or len(match[1]) > 12:
        raise AnnotationError(f"{where}: no frame number in file_name {image.get('file_name')!r}; give frame_index")
    return int(match[1])


def _facts(image: Mapping, entry: Mapping, video: str, known: KnownFacts, where: str) -> VideoFacts:
    size = [image.get(side, entry.get(side)) for side in ("width", "height")]
    if size == [None, None]:
        return known.of(video)
    sizes = (*size, entry.get("num_frames", entry.get("length", 0)))
    fps = entry.get("fps", 0)
    if any(type(n) is not int or not low <= n <= MAX_SAID_FRAMES for n, low in zip(sizes, (1, 1, 0), strict=True)):
        raise AnnotationError(f"{where}: width, height and frames are {shown(sizes)}; expected whole numbers")
    if type(fps) not in (int, float) or not 0 <= fps < 1e6:
        raise AnnotationError(f"{where}: fps of {video} is {shown(fps)}; expected frames a second")
    return VideoFacts(*sizes, float(fps))
