"""Own JSON: the annotation of one's own videos, with COCO's names where COCO has them.

    {"info": {...},                                            free, not read
     "categories": [{"id": 1, "name": "wave"}, ...],
     "videos": [{"id": 1, "file_name": "videos/a.mp4",         relative to this file's folder, or absolute; a video
                                                               or a folder of numbered images
                 "width": 320, "height": 240,
                 "num_frames": 120, "fps": 25.0,               these four are taken from the video where they lack
                 "labelled_frames": "all",                     or "boxes", or [0, 5, 10]
                 "group": "monday",                            optional; videos of a group stay together in a split
                 "name": "a", "flow": "flow/a"}],              optional; file_name without suffix, flow/<name>
     "annotations": [{"id": 1, "video_id": 1, "category_id": 1,
                      "frames": [0, 1, 2],                     or "start": 0 where they follow each other
                      "bboxes": [[10, 20, 60, 120], ...]}]}    a box x, y, width, height for each frame

An annotation is a tube: one actor doing one action. Frames count from 0 and rise, boxes are pixels of the frames. Ids
are any different whole numbers or texts. `labelled_frames` says which frames annotators looked at: all, those with
boxes, or a list; where it lacks, all if no tube of the file has gaps, else those with boxes.
"""

import json
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from detect.data.checks import AnnotationError, Notes, checked_tube
from detect.data.dialects.glimpse import Glimpse
from detect.data.media import flow_folder
from detect.data.own_checks import check_likelihood, check_tubes, corners, take_from_media
from detect.data.own_parse import OwnFile, OwnTube, OwnVideo, parse_own
from detect.data.own_values import Findings
from detect.data.records import ActionDataset, Tube, VideoRecord
from detect.utils.errors import UserError
from detect.utils.files import hash_files, write_text

MAX_SHOWN = 5  # errors in a message


def is_own_json(glimpse: Glimpse) -> bool:
    own = glimpse.has(b'"categories"', b'"videos"', b'"annotations"') and not glimpse.has(b'"images"')
    return own and glimpse.is_json


def read_own_json(
    path: str | Path, media_root: str | Path | None = None, name: str | None = None
) -> ActionDataset:
    """The dataset in the file. `media_root`: the folder of the `file_name`s, by default the file's.

    A video that is not there is noted, unless its size is needed. AnnotationError with the first errors, each naming
    video, tube and value, for a file that `problems_of` finds errors in.
    """
    path = Path(path)
    own, findings = _understood(path, media_root, decode=False)
    if findings.errors:
        raise AnnotationError(_refusal(path, findings.errors))
    tubes: dict[int, list[OwnTube]] = defaultdict(list)
    for tube in own.tubes:
        tubes[tube.video].append(tube)
    rule = _default_rule(own, findings.notes)
    videos = tuple(
        _record(video, tubes[index], own.classes, rule, findings.notes) for index, video in enumerate(own.videos)
    )
    return ActionDataset(name or path.stem, tuple(own.classes), videos, hash_files(path), findings.notes.lines())


def problems_of(
    path: str | Path, decode: bool = True, media_root: str | Path | None = None
) -> tuple[list[str], list[str]]:
    """(errors, warnings), one line each: what `read_own_json` would refuse, and what it would read and should be
    looked at. With `decode` every video is decoded, and one that is not there is an error.
    """
    try:
        own, findings = _understood(Path(path), media_root, decode=decode)
    except UserError as error:
        return [str(error)], []
    check_likelihood(own, findings)
    _default_rule(own, findings.notes)
    return findings.errors, [*findings.warnings, *findings.notes.lines()]


def _understood(path: Path, media_root: str | Path | None, *, decode: bool) -> tuple[OwnFile, Findings]:
    findings = Findings()
    own = parse_own(path, path.parent if media_root is None else Path(media_root), findings)
    take_from_media(own, findings, decode=decode)
    check_tubes(own, findings)
    return own, findings


def _refusal(path: Path, errors: Sequence[str]) -> str:
    if len(errors) == 1:
        return f"{path}: {errors[0]}"
    more = f"\n  ... and {len(errors) - MAX_SHOWN} more" if len(errors) > MAX_SHOWN else ""
    shown = "".join(f"\n  {error}" for error in errors[:MAX_SHOWN])
    return f"{path}: {len(errors)} errors:{shown}{more}\nNext: tools/check_dataset.py json:{path} lists all of them"


def _default_rule(own: OwnFile, notes: Notes) -> str:
    """`labelled_frames` of the videos that do not say: "all", or "boxes" where a tube of the file has gaps."""
    silent = [video for video in own.videos if video.labelled is None]
    gaps = [tube.where for tube in own.tubes if (np.diff(tube.frames) > 1).any()]
    if not silent or not gaps:
        return "all"
    kind = "tubes with gaps, so of videos without labelled_frames only frames with boxes count (else say 'all')"
    for where in gaps:
        notes.add(kind, where)
    return "boxes"


def _record(
    video: OwnVideo, tubes: Iterable[OwnTube], classes: Sequence[str], rule: str, notes: Notes
) -> VideoRecord:
    size = (video.height, video.width)
    common = dict(video=video.name, num_frames=video.num_frames, size=size, classes=classes, notes=notes)
    kept = (checked_tube(tube.label, tube.frames, corners(tube.boxes), **common) for tube in tubes)
    record = VideoRecord(
        video.name, video.path, video.num_frames, *size, tuple(filter(None, kept)), video.flow, video.fps or 0.0,
        group=video.group,
    )  # fmt: skip
    labelled = rule if video.labelled is None else video.labelled
    if isinstance(labelled, str):
        return replace(record, labelled=record.annotated_frames()) if labelled == "boxes" else record
    return replace(record, labelled=labelled)


def write_own_json(dataset: ActionDataset, path: str | Path) -> None:
    """Write the dataset; `read_own_json` gives the same videos, tubes and boxes. Videos below the file's folder are
    named relative to it, others by their absolute path.
    """
    path = Path(path)
    tubes = [(index, tube) for index, video in enumerate(dataset.videos) for tube in video.tubes if len(tube.frames)]
    content: dict[str, Any] = {
        "info": {"dataset": dataset.name, "annotation_hash": dataset.annotation_hash, "notes": list(dataset.notes)},
        "categories": [{"id": label + 1, "name": name} for label, name in enumerate(dataset.classes)],
        "videos": [_video_entry(index + 1, video, path) for index, video in enumerate(dataset.videos)],
        "annotations": [
            {"id": number, "video_id": index + 1, "category_id": int(tube.label) + 1, **_tube_entry(tube)}
            for number, (index, tube) in enumerate(tubes, 1)
        ],
    }
    write_text(path, "".join(_lines(content)))


def _lines(content: dict[str, Any]) -> Iterator[str]:
    """JSON with a line for each video and each tube."""
    for number, (section, value) in enumerate(content.items()):
        yield f"{'{' if number == 0 else ' '}{json.dumps(section)}: "
        if isinstance(value, list):
            entries = ",\n  ".join(json.dumps(entry, ensure_ascii=False, allow_nan=False) for entry in value)
            yield f"[\n  {entries}\n ]" if value else "[]"
        else:
            yield json.dumps(value, ensure_ascii=False)
        yield "}\n" if number == len(content) - 1 else ",\n"


def _video_entry(number: int, video: VideoRecord, path: Path) -> dict[str, Any]:
    place = video.path if video.path == video.name else _named_from(video.path, path.parent)  # a name: not looked for
    entry: dict[str, Any] = {
        "id": number, "name": video.name, "file_name": place,
        "width": int(video.width), "height": int(video.height), "num_frames": int(video.num_frames),
        "fps": float(video.fps),
    }  # fmt: skip
    if video.flow and os.path.abspath(video.flow) != os.path.abspath(flow_folder(path.parent, video.name)):
        entry["flow"] = _named_from(video.flow, path.parent)
    if video.group:
        entry["group"] = video.group
    if video.labelled is None:
        return {**entry, "labelled_frames": "all"}
    boxes_only = np.array_equal(video.labelled, video.annotated_frames())
    return {**entry, "labelled_frames": "boxes" if boxes_only else video.labelled.tolist()}


def _named_from(place: str, folder: Path) -> str:
    absolute = Path(os.path.abspath(place))
    home = Path(os.path.abspath(folder))
    return (absolute.relative_to(home) if absolute.is_relative_to(home) else absolute).as_posix()


def _tube_entry(tube: Tube) -> dict[str, Any]:
    frames = tube.frames.tolist()
    rising = frames == list(range(frames[0], frames[0] + len(frames)))
    return {**({"start": frames[0]} if rising else {"frames": frames}), "bboxes": _sizes(tube.boxes).tolist()}


def _sizes(boxes: np.ndarray) -> np.ndarray:
    """x0 y0 x1 y1 float32 -> x y width height in few digits, from which `corners` makes the same again."""
    short = boxes.astype("U32").astype(np.float64)  # 12.3 and not 12.300000190734863
    exact = boxes.astype(np.float64)
    both = [np.hstack([b[:, :2], b[:, 2:] - b[:, :2]]) for b in (short, exact)]
    rounded = np.round(both[0], 6)
    same = (corners(rounded) == exact).all(1)
    return np.where(same[:, None], rounded, both[1])
