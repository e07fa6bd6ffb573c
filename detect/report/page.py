"""The report as one page: the main numbers, the protocol, and all sections."""

import json
import math
from collections.abc import Iterator, Mapping

import numpy as np

from detect.evaluation.frame_ap import PRESETS, FrameAPOptions, mean_of_classes
from detect.evaluation.report import protocol_line
from detect.report.classes import class_table, precision_recall, threshold_chart
from detect.report.data import ReportData, means
from detect.report.errors import act_split, confusion, detection_split, oracle_gains, truth_split
from detect.report.pieces import figure, percent
from detect.report.scores import part_charts, proposal_chart, score_charts
from detect.report.strips import strips
from detect.report.style import CSS
from detect.report.training_charts import training_charts
from detect.visualization.charts import CSS as CHART_CSS
from detect.visualization.charts import SCRIPT
from detect.visualization.html import page, text

NOTHING = (None, "", [], {}, ())
ERRORS = (detection_split, truth_split, oracle_gains, act_split)


def report_page(data: ReportData) -> str:
    """The whole page as HTML."""
    sections = [(key, title, content) for key, title, content in _sections(data) if content]
    links = "".join(f'<a href="#{key}">{text(title)}</a>' for key, title, _ in sections)
    body = "".join(
        f'<section id="{key}"><h2>{text(title)}</h2>{content}</section>' for key, title, content in sections
    )
    title = f"Action detection on {data.dataset.name}"
    return page(title, f"{_header(data, title)}<nav>{links}</nav>{body}", CHART_CSS + CSS, SCRIPT)


def _sections(data: ReportData) -> Iterator[tuple[str, str, str]]:
    """Key, title and content of each section; the content is "" if there is nothing to show."""
    caption = (
        "AP, found truths and number of detections of every class. Click on a heading to sort."
    )
    yield "by-class", "Classes", figure(class_table(data), caption) + precision_recall(data)
    proposals = proposal_chart(data) if data.proposal_recall else ""
    charts = f"{threshold_chart(data)}{proposals}{part_charts(data)}{score_charts(data)}"
    yield "boxes", "Boxes, sizes, scores", f'<div class="charts">{charts}</div>'
    errors = "".join(draw(data) for draw in ERRORS) if len(data.gt) else ""
    yield "errors", "Errors", errors + confusion(data)
    shown = strips(data)
    lead = (
        '<p class="lead">The highest-scoring errors of each kind, from several videos: five frames around the '
        "keyframe, which is outlined. Frames count from 0. "
        '<span><i class="key truth"></i>white: annotated; coloured, on the keyframe: the detection.'
        "</span></p>"
    )
    yield "pictures", "Errors in pictures", lead + shown if shown else ""
    has_curves = data.training is not None and data.training.scalars
    yield "training", "Training", training_charts(data.training) if has_curves else ""
    yield "provenance", "Provenance", provenance(data)


def _header(data: ReportData, title: str) -> str:
    options, videos = data.options, data.dataset.videos
    partly = any(video.labelled is not None for video in videos)
    counted = f"{options.frames} frames"
    counted = "all of the frames that were looked at" if partly and options.frames == "all" else counted
    facts = f"{len(videos):,} videos, {data.dataset.num_labelled:,} frames, {len(data.gt):,} annotated boxes of "
    facts += f"{len(data.dataset.classes)} classes, {len(data.det):,} detections"
    stats = "".join(
        f"<div><dt>{name.replace('frame-', 'frame&#8209;')}</dt><dd>{value}</dd></div>"
        for name, value in headline_stats(data)
    )
    return (
        f'<header><h1>{text(title)}</h1><p class="muted">{text(facts)}</p></header>'
        f'<section class="headline" style="margin-top:28px"><div><div class="big">{percent(data.result.mean)}'
        f'<small>%</small></div><div class="muted">frame-mAP@{options.iou_threshold:g}, {counted}</div>'
        f'</div><dl class="stats">{stats}</dl></section><p style="margin-top:24px">{in_words(options, partly)}</p>'
    )


def headline_stats(data: ReportData) -> Iterator[tuple[str, str]]:
    """Name and value, as HTML, of the numbers beside the main one."""
    if data.other_frames is not None:
        frames, mean = data.other_frames
        yield f"frame-mAP@{data.options.iou_threshold:g}, {frames} frames", percent(mean)
    for threshold in (0.5, 0.75):
        if threshold != data.options.iou_threshold:
            yield f"frame-mAP@{threshold:g}", percent(mean_of_classes(data.by_threshold[threshold]))
    yield "frame-mAP@0.5:0.95", percent(float(np.mean(means(data.by_threshold))))
    for name, value in data.video_results.items():
        if isinstance(value, (int, float)):
            yield text(name), percent(value)
    found, truths = int(data.result.num_tp.sum()), len(data.gt)
    yield "recall", f"{percent(found / truths if truths else math.nan)}<small>{found:,} of {truths:,}</small>"
    yield "mean best overlap (MABO)", percent(data.mabo)
    for most in sorted(data.proposal_recall)[-1:]:
        yield f"recall of {most} proposals", percent(data.proposal_recall[most])


AP_WORDS = {
    "voc_all_point": "AP is the area under the envelope of the precision-recall curve (all points)",
    "voc_11_point": "AP is the mean of the envelope of the precision-recall curve at 11 recalls (VOC 2007)",
    "act_trapezoid": "AP is the area under the raw precision-recall curve, by trapezoids (ACT)",
}


def in_words(options: FrameAPOptions, partly: bool = False) -> str:
    """The protocol in sentences. partly: annotators did not look at every frame."""
    every = "Every frame that was looked at" if partly else "Every frame"
    names = [name for name, row in PRESETS.items() if row == options]
    matching = {
        "best_of_all": "no higher-scoring detection has matched the annotated box that it overlaps most",
        "best_unmatched": "no higher-scoring detection has matched that box",
    }[options.matching]
    frames = {
        "all": f"{every} counts: a detection on a frame without annotated boxes is false",
        "annotated": "Only frames with an annotated box count: detections on others are left out",
    }[options.frames]
    rest = "left out of the mean" if options.classes_without_gt == "excluded" else "counted as 0"
    degenerate = " Detections without an area are left out." if options.drop_degenerate else ""
    inclusive = ", pixel corners inclusive" if options.plus_one else ""
    return (
        f"<b>Protocol{' ' + text(names[0]) if names else ''}.</b> A detection is true when its box reaches an IoU of "
        f"{options.iou_threshold:g}{inclusive} with an annotated box of its class in its frame, and {matching}. "
        f"{AP_WORDS[options.ap_rule]}, in percent; mAP is the plain mean over classes, those without annotated boxes "
        f"{rest}. {frames}.{degenerate}"
    )


def provenance(data: ReportData) -> str:
    """Facts about the inputs: one line each; long ones are folded."""
    dataset = data.dataset
    own = {
        "dataset": dataset.name,
        "annotation_hash": dataset.annotation_hash,
        "protocol": protocol_line(data.options),
    }
    facts, folded = {}, {}
    for name, value in {**own, **data.provenance, **own}.items():
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        if isinstance(value, str) and "\n" in value:
            folded[name] = value
        elif isinstance(value, Mapping) and not any(isinstance(v, (Mapping, list)) and v for v in value.values()):
            facts[name] = ", ".join(f"{key} {item}" for key, item in value.items() if item not in NOTHING)
        elif isinstance(value, (Mapping, list, tuple)) and value:
            folded[name] = json.dumps(value, indent=1, default=str, ensure_ascii=False)
        elif value not in NOTHING:
            facts[name] = value
    lines = "".join(f"<dt>{text(name.replace('_', ' '))}</dt><dd>{text(value)}</dd>" for name, value in facts.items())
    notes = "".join(f"<li>{text(note)}</li>" for note in dataset.notes)
    long = "".join(
        f"<details><summary>{text(name.replace('_', ' '))}</summary><pre>{text(value)}</pre></details>"
        for name, value in folded.items()
    )
    return f'<dl class="facts">{lines}</dl>{f"<h3>Notes of the reader</h3><ul>{notes}</ul>" if notes else ""}{long}'
