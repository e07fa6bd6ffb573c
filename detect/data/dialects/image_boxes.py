"""Boxes that an annotation tool keeps by image, made into tubes of videos.

The name of an image says its video and its number: `<video>/<frame>.jpg`, `<video>_<frame>.jpg`, or in one folder
`frame_<frame>.jpg`. The media of a video is a folder of numbered images, or a video file of that name; see `_place`.
"""

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np

from detect.data.checks import AnnotationError, Notes
from detect.data.dialects.rows import NO_TRACK, make_rows, records_of_rows
from detect.data.dialects.video_facts import KnownFacts, VideoFacts
from detect.data.media import flow_folder
from detect.data.records import ActionDataset, VideoRecord
from detect.utils.errors import UserError
from detect.utils.files import hash_files
from detect.utils.names import safe_name
from detect.video.readers import IMAGE_NAME, VIDEO_SUFFIXES, container_facts, count_frames, iter_frames, list_folder

PLAIN = re.compile(r"(^|[_\-. ])(frame|img|image)[_\-. ]*$", re.IGNORECASE)  # words before a number, of no video


@dataclass
class ImageBoxes:
    """What a reader gathers. `root`: the folder of the images' names. `first`: the number of a video's first frame, 0
    or 1; where not given, that of the video's folder of images, else, as a tool numbers all videos alike, 0 if an image
    of any video has the number 0, else 1.
    """

    root: Path
    default: str  # the video of images that name none
    first: int | None = None
    join_iou: float | None = None  # of boxes without track, see `joining`
    homes: dict[str, tuple[str, str]] = field(default_factory=dict)  # video -> folder, prefix of its images
    images: dict[tuple[str, int], str] = field(default_factory=dict)  # video, number -> image
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)  # video -> height, width
    boxes: list[tuple] = field(default_factory=list)  # video, number, class, track, box

    def add_image(self, image: str, where: str, size: tuple[int, int] | None = None) -> tuple[str, int]:
        """The video and number of an annotated image; `size` (height, width). AnnotationError for a name without
        number, one that occurs twice, and another size than others of the video have.
        """
        video, number, home = frame_of(image, self.default)
        if self.images.setdefault((video, number), image) != image:
            other = self.images[video, number]
            raise AnnotationError(f"{where}: {image} and {other} are both frame {number} of {video}; rename one")
        self.homes.setdefault(video, home)
        if size and self.sizes.setdefault(video, size) != size:
            sizes = " and ".join(f"{w} x {h}" for h, w in (self.sizes[video], size))
            raise AnnotationError(f"{where}: images of {video} are of {sizes} pixels; a video has one size")
        return video, number

    def add_box(self, place: tuple[str, int], label: str, track: str | None, box: Sequence[float]) -> None:
        """`box` x0 y0 x1 y1. `track` tells the actors of a video apart, None where that is not known."""
        self.boxes.append((*place, label, track, box))

    def dataset(
        self, path: Path, name: str, classes: Sequence[str], files: Iterable[Path], notes: Notes
    ) -> ActionDataset:
        """All of it. `classes`: () for those that there are. AnnotationError that names `path`."""
        try:
            names = self.classes(classes)
            videos = self.records(names, notes)
        except AnnotationError as error:
            raise AnnotationError(f"{path}: {error}") from None
        return ActionDataset(name, names, videos, hash_files(*files), notes.lines())

    def classes(self, given: Sequence[str] = ()) -> tuple[str, ...]:
        """The given ones, or those that there are, sorted. AnnotationError for a box of another."""
        found = sorted({label for _, _, label, _, _ in self.boxes})
        if given and (strange := sorted(set(found) - set(given))):
            raise AnnotationError(f"unknown class {strange[0]!r}; the classes given are {', '.join(given)}")
        return tuple(given) or tuple(found)

    def records(self, classes: Sequence[str], notes: Notes) -> tuple[VideoRecord, ...]:
        """The videos with their tubes; boxes without a track are joined by their overlap, which is noted."""
        if self.first not in (None, 0, 1):
            raise UserError(f"first is {self.first}; frames are numbered from 0 or 1")
        names = sorted(self.homes)
        places = {video: _place(self.root, video, *self.homes[video]) for video in names}
        lowest = 0 if any(number == 0 for _, number in self.images) else 1
        first = {video: self._first(places[video], lowest) for video in names}
        facts = {video: self._facts(video, places[video], notes) for video in names}
        index, ids = {video: i for i, video in enumerate(names)}, {None: NO_TRACK}
        labels = {name: label for label, name in enumerate(classes)}
        columns, boxes = [], []
        for video, number, label, track, box in self.boxes:
            known = None if track is None else (video, track)
            number_of_track = ids.setdefault(known, len(ids) - 1)
            columns.append((index[video], number - first[video], labels[label], number_of_track))
            boxes.append(box)
        for video in sorted({box[0] for box in self.boxes if box[3] is None}):
            notes.add("videos whose boxes have no track: joined by overlap in neighbouring frames", video)
        listed = defaultdict(list)
        for video, number in sorted(self.images):
            listed[video].append(number - first[video])
        return records_of_rows(
            make_rows(names, list(zip(*columns, strict=True)) or [(), (), (), ()], boxes),
            classes,
            KnownFacts("no media was found", facts),
            notes,
            places={
                v: (str(places[v] or self.root / "/".join(self.homes[v])), flow_folder(self.root, v)) for v in names
            },
            labelled=[np.array(listed[video], np.int64) for video in names],
            join_iou=self.join_iou,
        )

    def _first(self, place: Path | None, lowest: int) -> int:
        if self.first is not None:
            return self.first
        if place is not None and place.is_dir():
            return min(numbers_in(place))
        return lowest

    def _facts(self, video: str, place: Path | None, notes: Notes) -> VideoFacts:
        if place is None:
            notes.add(f"videos without media (looked under {self.root})", video)
            if video not in self.sizes:
                raise AnnotationError(
                    f"{video}: its size is not in the annotation, and neither its images nor its video are below "
                    f"{self.root}; give their folder as media_root"
                )
            return VideoFacts(*self.sizes[video][::-1])
        height, width = next(iter_frames(place)).shape[:2]
        if self.sizes.get(video, (height, width)) != (height, width):
            said = "{1} x {0}".format(*self.sizes[video])
            raise AnnotationError(f"{video}: annotated as {said} pixels, {place} has {width} x {height}")
        fps = 0.0 if place.is_dir() else container_facts(place)[0]
        return VideoFacts(width, height, count_frames(place), fps)


def frame_of(image: str, default: str) -> tuple[str, int, tuple[str, str]]:
    """(video, number, (folder, prefix)) of an image by its name. AnnotationError where it ends in no number."""
    path = PurePosixPath(image.replace("\\", "/"))
    match = re.fullmatch(r"(.*?)(\d{1,9})", path.stem)
    if not match:
        raise AnnotationError(f"{image}: no frame number at the end of its name; expected <video>/<frame>.jpg")
    folder = safe_name(str(path.parent), "")
    prefix = PLAIN.sub("", match[1]).strip("_-. ")
    prefix = "" if prefix == path.parent.name else prefix
    return "/".join(filter(None, (folder, prefix))) or default, int(match[2]), (folder, prefix)


def numbers_in(folder: Path, prefix: str | None = None) -> list[int]:
    """The numbers of a folder's images; none where it has others than those of `prefix`."""
    found = [match for name in list_folder(folder) if (match := IMAGE_NAME.fullmatch(name))]
    if prefix is not None and any(match["prefix"].strip("_-. ") != prefix for match in found):
        return []
    return [int(match["number"]) for match in found]


def _place(root: Path, video: str, folder: str, prefix: str) -> Path | None:
    """A video's folder of images, or its file beside it, in root/videos/ or in root; None where it is nowhere."""
    home, name = root / folder, PurePosixPath(video).name
    if prefix and os.path.isdir(home) and numbers_in(home, prefix):
        return home
    stems = [home / prefix, root / "videos" / name, root / name]
    if not folder and not prefix:  # as in CVAT's zip
        stems.append(root / "images")
    for stem in stems:
        if os.path.isdir(stem) and numbers_in(stem):
            return stem
        files = (stem.with_name(stem.name + suffix) for suffix in sorted(VIDEO_SUFFIXES))
        if found := next((file for file in files if os.path.exists(file)), None):
            return found
    return None
