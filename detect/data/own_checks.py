"""What the numbers of an own JSON file must be: true to the videos, inside their images, and likely.

Errors refuse the file, because training on it would go wrong; warnings are what may be meant.
"""

import os
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from detect.data.own_parse import OwnFile, OwnTube, OwnVideo
from detect.data.own_values import Findings
from detect.video.readers import FrameReadError, container_facts, count_frames, iter_frames

SIZES = ("num_frames", "height", "width")
FROM_1 = 0.8  # of the tubes that begin after frame 0: more, and frames may count from 1
NEAR = 1.0  # pixels by which the sides of boxes that coincide may differ
NEIGHBOURS = 20  # boxes of a frame and class that a box is compared with
# Boxes that are meant as x0 y0 x1 y1: read as x y width height, more than this share of them would ...
MANY = 0.25
FAR = 0.1  # ... stick out of the image by more than this share of its side


class Media(NamedTuple):
    num_frames: int | None
    height: int | None
    width: int | None
    fps: float


def corners(boxes: np.ndarray) -> np.ndarray:
    """x y width height -> x0 y0 x1 y1, (n, 4) float64 of what float32 can hold: 0.1 + 319.9 is 320 and not more."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.hstack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]]).astype(np.float32).astype(np.float64)


def take_from_media(own: OwnFile, findings: Findings, *, decode: bool) -> None:
    """Fill in what the file does not say of its videos; with `decode` also compare what it says with what decodes."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # OpenCV decodes outside Python's lock
        found = list(pool.map(lambda video: _look_at(video, decode), own.videos))
    last = defaultdict(int)
    for tube in own.tubes:
        last[tube.video] = max(last[tube.video], int(tube.frames[-1]))
    for index, (video, media) in enumerate(zip(own.videos, found, strict=True)):
        if isinstance(media, str):
            findings.error(video.where, media)
            video.sound = False
        elif media is None:
            findings.notes.add("videos without media (no such file or folder)", video.path)
        elif video.sound:
            if decode:
                _compare(video, media, last[index], findings)
            _fill_in(video, media, findings)


def _look_at(video: OwnVideo, decode: bool) -> Media | str | None:
    """What the media says as far as it is needed; an error; or None where it is not there and not needed."""
    lacking = [key for key in SIZES if getattr(video, key) is None]
    if not video.sound:
        return Media(None, None, None, 0.0)
    if not os.path.exists(video.path):
        if lacking:
            return f"there is no {video.path}, and its {', '.join(lacking)} not given; put it there, or give them"
        return f"there is no {video.path}; put it there, or correct its file_name" if decode else None
    try:
        count = count_frames(video.path) if decode or video.num_frames is None else None
        size = next(iter_frames(video.path)).shape[:2] if decode or lacking else (None, None)
    except (FrameReadError, StopIteration) as error:
        return str(error) or f"{video.path}: no frame decodes"
    return Media(count, *size, 0.0 if os.path.isdir(video.path) else container_facts(video.path)[0])


def _compare(video: OwnVideo, media: Media, last: int, findings: Findings) -> None:
    said, found = (video.width, video.height), (media.width, media.height)
    if any(a is not None and a != b for a, b in zip(said, found, strict=True)):
        findings.error(
            video.where,
            f"width and height are given as {said[0]} x {said[1]}, its frames are {found[0]} x {found[1]}; "
            "are the boxes in pixels of the frames? Then leave both out",
        )
    if video.num_frames is not None and video.num_frames != media.num_frames:
        problem = f"num_frames is {video.num_frames}, {media.num_frames} frames decode"
        if last >= media.num_frames:
            findings.error(video.where, f"{problem} and there is a box on frame {last}; is this the annotated file?")
        else:
            findings.warn(video.where, f"{problem}; give the number that decodes, or leave it out")


def _fill_in(video: OwnVideo, media: Media, findings: Findings) -> None:
    if any(getattr(video, key) is None for key in SIZES):
        kind = "videos decoded for num_frames, width or height (give them, and the file is read faster)"
        findings.notes.add(kind, video.path)
    for key in (*SIZES, "fps"):
        if getattr(video, key) is None:
            setattr(video, key, getattr(media, key))


def check_tubes(own: OwnFile, findings: Findings) -> None:
    """Every box against its video; videos whose sizes are not known are left out."""
    sized = [tube for tube in own.tubes if own.videos[tube.video].sound]
    _check_first_frame(own, sized, findings)
    for tube in sized:
        _check_tube(tube, own.videos[tube.video], findings)
    _check_convention(own, sized, findings)
    for video in own.videos:
        frames = video.labelled
        if isinstance(frames, np.ndarray) and video.sound and len(frames) and frames[-1] >= video.num_frames:
            findings.error(video.where, f"labelled_frames has frame {frames[-1]} of a video of {video.num_frames}")


def _check_first_frame(own: OwnFile, tubes: Sequence[OwnTube], findings: Findings) -> None:
    """Frames that were counted from 1: next to no tube begins on frame 0, and some end just beyond the last frame."""
    beyond = [tube for tube in tubes if len(tube.frames) and tube.frames[-1] == own.videos[tube.video].num_frames]
    late = sum(int(tube.frames[0] >= 1) for tube in tubes if len(tube.frames))
    if beyond and late > FROM_1 * len(tubes):
        findings.error("frames", f"do they count from 1? They must count from 0 ({len(beyond)} tubes end one too late)")


def _check_tube(tube: OwnTube, video: OwnVideo, findings: Findings) -> None:
    boxes = corners(tube.boxes)
    sides = np.array([video.width, video.height] * 2, np.float64)
    clamped = boxes.clip(0, sides)
    late = tube.frames >= video.num_frames
    finite = np.isfinite(boxes).all(1)
    solid = (boxes[:, 2:] > boxes[:, :2]).all(1)
    seen = (clamped[:, 2:] > clamped[:, :2]).all(1)
    sound = finite & solid & seen & ~late
    size = f"an image of {video.width} x {video.height}"
    rows = (
        (findings.error, late, f"are on frames beyond the end of a video of {video.num_frames}; 0 is the first"),
        (findings.error, ~finite, "are not finite; give numbers of pixels"),
        (findings.error, finite & ~solid, "have no area; width and height must be above 0"),
        (findings.error, finite & solid & ~seen, f"lie outside {size}; delete or move them"),
        (findings.warn, sound & (clamped != boxes).any(1), f"stick out of {size} and are cut off at its edge"),
    )
    for report, wrong, problem in rows:
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            first = f"the first on frame {tube.frames[row]}: {_plain(tube.boxes[row])}"
            report(tube.where, f"{wrong.sum()} of {len(boxes)} boxes {problem} ({first})")
    if isinstance(video.labelled, np.ndarray) and (strange := np.setdiff1d(tube.frames, video.labelled)).size:
        what = f"{len(strange)} boxes are on frames that labelled_frames does not list, the first on {strange[0]}"
        findings.warn(tube.where, f"{what}; they are trained on and do not count in an evaluation")


def _plain(box: np.ndarray) -> list[float]:
    return [int(value) if np.isfinite(value) and value == int(value) else float(value) for value in box]


def _check_convention(own: OwnFile, tubes: Sequence[OwnTube], findings: Findings) -> None:
    """x0 y0 x1 y1 in place of x y width height: all are legal as such, and many stick out far as they should be."""
    if not tubes:
        return
    boxes = np.concatenate([tube.boxes for tube in tubes])
    sides = [(own.videos[tube.video].width, own.videos[tube.video].height) for tube in tubes]
    sides = np.repeat(np.array(sides, np.float64), [len(tube.boxes) for tube in tubes], axis=0)
    legal = (boxes[:, 2:] > boxes[:, :2]).all() and (boxes[:, 2:] <= sides).all()
    far = (boxes[:, :2] + boxes[:, 2:] > sides * (1 + FAR)).any(1)
    if legal and far.mean() > MANY:
        row = int(np.flatnonzero(far)[0])
        findings.error(
            "bboxes",
            f"{far.sum()} of {len(boxes)} stick out far to the right or below, such as {_plain(boxes[row])} in "
            f"{sides[row, 0]:.0f} x {sides[row, 1]:.0f}, and all would fit as x0 y0 x1 y1; give x, y, width, height",
        )


def check_likelihood(own: OwnFile, findings: Findings) -> None:
    """What a complete and careful annotation has not: warnings only."""
    used = {tube.label for tube in own.tubes}
    for label, name in enumerate(own.classes):
        if label not in used and own.complete:
            findings.warn(f"category {name!r}", "no tube has this class; it cannot be learned or scored")
    gaps = any((np.diff(tube.frames) > 1).any() for tube in own.tubes)  # then only frames with boxes were looked at
    by_video: dict[int, list[OwnTube]] = defaultdict(list)
    for tube in own.tubes:
        by_video[tube.video].append(tube)
    for index, video in enumerate(own.videos):
        tubes = by_video[index]
        if not tubes and own.complete:
            seen = ("boxes" if gaps else "all") if video.labelled is None else video.labelled
            unseen = seen == "boxes" if isinstance(seen, str) else not len(seen)
            fate = "no frame of it was looked at, so it is not used" if unseen else "every detection in it is wrong"
            findings.warn(video.where, f"has no tube; nothing is trained on it, {fate}")
        alone = tubes and all(len(tube.frames) == 1 for tube in tubes)
        if alone and video.labelled is None and (video.num_frames or 0) > 1:
            findings.warn(
                video.where,
                "every tube is of one frame, so that frames without boxes count as empty; give labelled_frames 'boxes' "
                "where nobody looked at the others",
            )
        doubles = set()
        for i, j in _perhaps_the_same(tubes):
            a, b = tubes[i], tubes[j]
            if j not in doubles and (count := _coinciding(a, b)):
                doubles.add(j)
                other = a.where.rpartition(", ")[2]
                findings.warn(b.where, f"its boxes coincide with those of {other} on all {count} frames that both have")


def _perhaps_the_same(tubes: Sequence[OwnTube]) -> list[tuple[int, int]]:
    """Pairs i < j of tubes of one class with boxes on one frame whose sides differ by at most NEAR, sorted. Only the
    NEIGHBOURS that follow a box from left to right are compared with it, so that a crowd takes little time.
    """
    if len(tubes) < 2:
        return []
    of = np.repeat(np.arange(len(tubes)), [len(tube.frames) for tube in tubes])
    label = np.array([tube.label for tube in tubes])[of]
    frame, boxes = (np.concatenate([getattr(tube, name) for tube in tubes]) for name in ("frames", "boxes"))
    order = np.lexsort((*boxes.T[::-1], frame, label))
    pairs = set()
    for step in range(1, NEIGHBOURS + 1):
        a, b = order[:-step], order[step:]
        near = (label[a] == label[b]) & (frame[a] == frame[b]) & (np.abs(boxes[a] - boxes[b]) <= NEAR).all(1)
        ends = np.sort(np.stack([of[a[near]], of[b[near]]], 1), axis=1)
        pairs |= set(map(tuple, ends.tolist()))
    return sorted(pairs)


def _coinciding(a: OwnTube, b: OwnTube) -> int:
    """On how many frames both have a box, where on all of them it is the same."""
    common, rows_a, rows_b = np.intersect1d(a.frames, b.frames, assume_unique=True, return_indices=True)
    return len(common) if (np.abs(a.boxes[rows_a] - b.boxes[rows_b]) <= NEAR).all() else 0
