"""The sections of a report about size, length, score and proposals."""

import math
from collections.abc import Sequence

import numpy as np

from detect.report.curves import Part
from detect.report.data import ReportData
from detect.report.pieces import figure, percent
from detect.visualization.charts import Axis, Panel, bar, bars, line, number_axis, share_axis, short

NORMALISED = (
    "Normalised AP (Hoiem et al., ECCV 2012) by actor size, averaged over the classes with boxes in the range. "
    "Detections of other boxes are left out, and precision is computed as if all boxes of the class were in the range, "
    "so that rare and frequent sizes are comparable. Below each range: its number of boxes."
)


def part_charts(data: ReportData) -> str:
    """Charts by size and by tube length; "" without truths."""
    if not len(data.gt):
        return ""
    size, length = _part_chart(data.areas, "share of the frame"), _part_chart(data.lengths, "frames of the tube")
    same = figure(length, "The same by the length of a box's tube.", "Tube length") if data.lengths else ""
    return figure(size, NORMALISED, "Actor size") + same


def _part_chart(found: Sequence[Part], name: str) -> str:
    rows = [
        (f"{part.name}\n{short(part.truths)}", 100 * part.mean,
         f"{part.name}: normalised AP {percent(part.mean)} %\n{part.truths:,} boxes of {part.classes} classes")
        for part in found
    ]  # fmt: skip
    axis = number_axis("normalised AP, %", 0, 100)
    return bars(name, rows, axis, f"normalised average precision by {name}")


def score_charts(data: ReportData) -> str:
    edges = np.linspace(0, data.top_score, data.scores.shape[1] + 1)
    peak = math.ceil(math.log10(max(int(data.scores.max()), 9) + 1))
    x = number_axis("score", 0, data.top_score, 5)
    panel = Panel(x, Axis("detections", 0, peak, tuple((i, short(10**i)) for i in range(peak + 1))))
    marks, correct, middles = [], [], []
    for i, (true, false) in enumerate(data.scores.T.tolist()):
        low, high = float(edges[i]), float(edges[i + 1])
        middle = (low + high) / 2
        tip = f"score {low:.2f} to {high:.2f}\n{true:,} true, {false:,} false"
        for count, start, end, kind in ((true, low, middle, ""), (false, middle, high, "other")):
            if count:
                marks.append(bar(panel, start, end, 0, math.log10(count + 1), kind, tip))
        if true + false:
            middles.append(middle)
            correct.append(true / (true + false))
    counts = panel.draw(marks, "number of true and false detections by score")
    plane = Panel(x, share_axis("share of true positives", 4))
    diagonal = line(plane, [0, 1], [0, 1], "thin") if data.top_score == 1.0 else ""
    hover = [(m, c, f"score about {m:.2f}: {percent(c)} % true") for m, c in zip(middles, correct, strict=True)]
    trust = plane.draw([diagonal, line(plane, middles, correct, "main")], "share of true detections by score", hover)
    return figure(
        counts,
        "Number of detections by score, on a logarithmic scale: <b>blue</b> true positives, grey false positives. If "
        "they are well separated, a threshold is easy to choose.",
        "Scores",
    ) + figure(
        trust,
        "The share of true positives at each score. On the thin diagonal, a score is a probability; below it, the "
        "detector is overconfident.",
        "Calibration",
    )  # fmt: skip


def proposal_chart(data: ReportData) -> str:
    found = dict(sorted(data.proposal_recall.items()))
    ticks = tuple((math.log10(k), str(k)) for k in found)
    high = max(ticks[-1][0], ticks[0][0] + 1e-9)  # an axis with a single tick needs a length
    panel = Panel(Axis("proposals per frame", ticks[0][0], high, ticks), share_axis("recall", 4))
    places = [math.log10(k) for k in found]
    hover = [(p, r, f"{k} proposals: recall {percent(r)} %") for p, (k, r) in zip(places, found.items(), strict=True)]
    marks = [line(panel, places, list(found.values()), "main")]
    return figure(
        panel.draw(marks, "recall against the number of proposals", hover),
        "The share of annotated boxes that reach the IoU threshold with one of the top-scoring proposals in their "
        "frame. It limits the recall of the detector.",
        "Proposals",
    )
