"""Picture strips of single errors: five frames around the keyframe with the boxes as vector graphics."""

import logging
import os
from collections.abc import Sequence

import cv2
import numpy as np

from detect.data.records import VideoRecord
from detect.report.data import ReportData
from detect.report.examples import Example
from detect.video.readers import FrameReadError, MissingMediaError, read_frames
from detect.visualization.html import data_uri, text

logger = logging.getLogger(__name__)
OFFSETS = (-10, -5, 0, 5, 10)  # frames; they span the 20 frames of the detector's input
WIDTH = 240  # greatest width of a picture in pixels
QUALITY = 72  # of its JPEG
DECODED_IN_ALL = 60_000  # frames; after these, strips from far inside long video files have no pictures

KIND_TITLES = {
    "localisation": "Wrong place",
    "classification": "Wrong class",
    "time": "Wrong time",
    "duplicate": "Duplicate",
    "background": "Background",
    "missed": "Missed by every box",
    "lost": "Seen, not recognised",
}
KIND_TEXTS = {
    "localisation": "The class is right, but the box overlaps the annotated one too little.",
    "classification": "The box fits an annotated one of another class.",
    "time": "The video has this action, but not in this frame.",
    "duplicate": "Another box on an actor that a higher-scoring detection has already found.",
    "background": "No annotated box of the class is near, and none of another class fits.",
    "missed": "The largest annotated boxes that no box of any class covers; the nearest detection is drawn.",
    "lost": "The largest annotated boxes that some box covers, but no detection of their class.",
}


def strips(data: ReportData) -> str:
    """All examples, grouped by kind; "" without any."""
    left = DECODED_IN_ALL
    groups: dict[str, list[str]] = {}
    for example in data.examples:
        video = data.dataset.videos[example.video]
        wanted = {offset: example.frame + offset for offset in OFFSETS}
        wanted = {offset: frame for offset, frame in wanted.items() if 0 <= frame < max(video.num_frames, 1)}
        last = 0 if os.path.isdir(video.path) else max(wanted.values(), default=0)
        pictures, remark = _pictures(video, wanted) if last < left else ({}, "too far inside a long video")
        left -= last if pictures else 0
        groups.setdefault(example.kind, []).append(_strip(data, example, wanted, pictures, remark))
    return "".join(
        f'<section class="kind"><h3><i class="key k-{kind}"></i>{text(KIND_TITLES.get(kind, kind))}</h3>'
        f'<p class="muted">{text(KIND_TEXTS.get(kind, ""))}</p>{"".join(found)}</section>'
        for kind, found in groups.items()
    )


def _pictures(video: VideoRecord, wanted: dict[int, int]) -> tuple[dict[int, np.ndarray], str]:
    """Offset -> small picture; if there are none, the reason."""

    def small(frame: np.ndarray) -> np.ndarray:
        factor = min(1.0, WIDTH / frame.shape[1])
        size = (max(1, round(frame.shape[1] * factor)), max(1, round(frame.shape[0] * factor)))
        return cv2.resize(frame, size, interpolation=cv2.INTER_AREA) if factor < 1 else frame

    try:
        return dict(zip(wanted, read_frames(video.path, list(wanted.values()), small), strict=True)), ""
    except MissingMediaError:
        return {}, "the video is not on this machine"
    except FrameReadError as error:
        logger.warning("no picture in the report: %s", error)
        return {}, "the video cannot be read"


def _strip(
    data: ReportData, example: Example, wanted: dict[int, int], pictures: dict[int, np.ndarray], remark: str
) -> str:
    video = data.dataset.videos[example.video]
    cells = []
    for offset in OFFSETS:
        if offset not in wanted:
            cells.append('<div class="frame none"></div>')
            continue
        drawn = _frame(data, example, video, wanted[offset], pictures.get(offset))
        name = f"frame {wanted[offset]}" if offset == 0 else f"{offset:+d}".replace("-", "\u2212")
        key = " keyframe" if offset == 0 else ""
        cells.append(f'<div class="frame{key}">{drawn}<small>{name}</small></div>')
    said = f' <em>No pictures: {text(remark)}; the boxes alone.</em>' if remark else ""
    place = f'<span class="muted">{text(video.name)}, frame {example.frame}.</span>'
    caption = f"<figcaption>{sentence(data, example)} {place}{said}</figcaption>"
    return f'<figure class="strip"><div class="frames">{"".join(cells)}</div>{caption}</figure>'


def _frame(data: ReportData, example: Example, video: VideoRecord, frame: int, picture: np.ndarray | None) -> str:
    """One frame with its boxes, in pixels of the original frame."""
    width, height = max(video.width, 1), max(video.height, 1)
    boxes, labels = video.boxes_at(frame)
    found = [data.det.boxes[example.detection]] if frame == example.frame and example.detection >= 0 else []
    alt = f"{video.name}, frame {frame}: {len(boxes)} annotated boxes"
    alt += f" ({', '.join(sorted({data.dataset.classes[label] for label in labels.tolist()}))})" if len(boxes) else ""
    alt += ", and the detection" if found else ""
    image = ""
    if picture is not None:
        uri = data_uri(picture, QUALITY)
        image = f'<image href="{uri}" width="{width}" height="{height}" preserveAspectRatio="none"/>'
    marks = [_box(box, "truth") for box in boxes.tolist()] + [_box(box, f"found k-{example.kind}") for box in found]
    return f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{text(alt)}">{image}{"".join(marks)}</svg>'


def _box(box: Sequence[float], kind: str) -> str:
    x0, y0, x1, y1 = (float(side) for side in box)
    size = f'x="{x0:.1f}" y="{y0:.1f}" width="{max(x1 - x0, 0):.1f}" height="{max(y1 - y0, 0):.1f}"'
    return f'<rect class="halo" {size}/><rect class="{kind}" {size}/>'


def sentence(data: ReportData, example: Example) -> str:
    """A sentence of HTML about the error."""
    classes, det, gt = data.dataset.classes, data.det, data.gt
    truth = f"<b>{text(classes[gt.label[example.truth]])}</b>" if example.truth >= 0 else ""
    if example.detection < 0:
        return f"{truth}, with no detection near."
    name = f"<b>{text(classes[det.label[example.detection]])}</b>"
    score = f'<span class="number">{det.score[example.detection]:.2f}</span>'
    overlap = f'IoU <span class="number">{example.iou:.2f}</span>'
    if example.kind in data.breakdown.truth_kinds:
        return f"{truth}; the nearest detection is {name} {score}, {overlap}."
    if not truth:
        return f"{name} {score}."
    other = f"a box annotated as {truth}" if example.kind == "classification" else "the annotated box"
    return f"{name} {score}, {overlap} with {other}."
