"""The sections of a report about errors: kinds of detections and truths, their costs, confusions of classes."""

import math
from collections.abc import Sequence

import numpy as np

from detect.evaluation.errors.breakdown import CONFUSED_FROM
from detect.report.data import ReportData
from detect.report.pieces import by_falling_ap, cells, figure, percent
from detect.visualization.html import text

LARGEST_MATRIX = 40  # classes; for more, the commonest confusions are listed
LISTED = 25  # confusions in that list
ORACLE_NAMES = {
    "boxes": "exact boxes",
    "labels": "right classes",
    "timing": "right times",
    "duplicates": "no duplicates",
    "background": "no background",
    "proposals": "none missed",
    "head": "none lost",
    "all": "all of these",
}


def stacks(rows: Sequence[tuple[str, Sequence[int], str]], kinds: Sequence[str]) -> str:
    """Horizontal bars of equal length, divided by kind. rows: (name, counts of the kinds, text on the right)."""
    parts = []
    for name, counts, words in rows:
        total = sum(counts) or 1
        pieces = "".join(
            f'<i class="k-{kind}" style="width:{100 * count / total:.3f}%" '
            f'data-tip="{text(name)}: {kind} {count:,} ({percent(count / total)} %)"></i>'
            for kind, count in zip(kinds, counts, strict=True)
            if count
        )
        said = ", ".join(f"{kind} {count}" for kind, count in zip(kinds, counts, strict=True) if count) or "none"
        parts.append(_row(name, said, pieces, words))
    return f'<div class="rows">{"".join(parts)}</div>'


def _row(name: str, alt: str, bar: str, words: str) -> str:
    """A name, a horizontal bar and the text on its right, in a grid of three columns."""
    return (
        f'<span title="{text(name)}">{text(name)}</span><span class="stack" role="img" aria-label="{text(alt)}">{bar}'
        f'</span><span class="number">{words}</span>'
    )


def legend(kinds: Sequence[str]) -> str:
    items = "".join(f'<li><i class="key k-{kind}"></i>{text(kind)}</li>' for kind in kinds)
    return f'<ul class="legend">{items}</ul>'


def detection_split(data: ReportData) -> str:
    kinds, classes = data.breakdown.categories, data.dataset.classes
    chosen = [c for c in by_falling_ap(data) if data.first[c].sum()]
    rows = [("all classes", data.first.sum(0).tolist(), percent(_share(data.first.sum(0))) + " %")]
    rows += [(classes[c], data.first[c].tolist(), percent(_share(data.first[c])) + " %") for c in chosen]
    return figure(
        legend(kinds) + stacks(rows, kinds),
        "The highest-scoring detections of each class, as many as it has truths; a perfect detector would have only "
        "correct ones. On the right, the share of correct ones. <b>Localisation</b>: the right class, but the IoU is "
        "too low. <b>Classification</b>: the actor does something else. <b>Time</b>: the video has the action, but not "
        "in this frame. <b>Duplicate</b>: the actor has been detected already. <b>Background</b>: none of these.",
        "What the detections are",
    )


def truth_split(data: ReportData) -> str:
    kinds, classes = data.breakdown.truth_kinds, data.dataset.classes
    counts = data.breakdown.truth_counts
    rows = [("all classes", counts.sum(0).tolist(), percent(_share(counts.sum(0))) + " %")]
    chosen = [c for c in by_falling_ap(data) if counts[c].sum()]
    rows += [(classes[c], counts[c].tolist(), percent(_share(counts[c])) + " %") for c in chosen]
    source = "proposal" if data.breakdown.truth_source == "proposals" else "detection of any class"
    return figure(
        legend(kinds) + stacks(rows, kinds),
        f"The annotated boxes. <b>Found</b>: matched by a correct detection of any score. "
        f"<b>Missed</b>: no {source} reaches the IoU threshold. <b>Lost</b>: one does, but no detection of the right "
        "class: the actor was seen, but the action was not recognised.",
        "What became of the truths",
    )


def act_split(data: ReportData) -> str:
    """ACT's decomposition as one bar."""
    act = {name: value for name, value in data.breakdown.act.items() if math.isfinite(value)}
    if not act:
        return ""
    pieces = "".join(
        f'<i class="k-{_act_kind(name)}" style="width:{max(value, 0):.3f}%" data-tip="{text(name)}: {value:.1f} %"></i>'
        for name, value in act.items()
    )
    said = ", ".join(f"{name} {value:.1f}" for name, value in act.items())
    items = "".join(
        f'<li><i class="key k-{_act_kind(name)}"></i>{text(name)} <span class="number">{value:.1f}</span></li>'
        for name, value in act.items()
    )
    return figure(
        f'<ul class="legend">{items}</ul><span class="stack act" role="img" aria-label="{text(said)}">{pieces}</span>',
        "The area of the precision-recall square in percent, divided as by the authors of the ACT detector and under "
        "their protocol: the AP and the loss to each error add up to 100. The kinds differ from those above: here, "
        "localisation is any false detection in a frame that has a truth of its class.",
        "ACT's decomposition",
    )


def _act_kind(name: str) -> str:
    return "correct" if name == "AP" else name


def _share(counts: np.ndarray) -> float:
    return counts[0] / counts.sum() if counts.sum() else float("nan")


def oracle_gains(data: ReportData) -> str:
    gains = data.breakdown.gains
    most = max([abs(gain) for gain in gains.values() if math.isfinite(gain)], default=0.0) or 1.0
    parts = []
    for name, gain in gains.items():
        words = "–" if not math.isfinite(gain) else f"{100 * gain:+.1f}"
        width = max(gain, 0.0) / most if math.isfinite(gain) else 0.0
        bar = f'<i style="width:{100 * width:.2f}%"></i>'
        parts.append(_row(ORACLE_NAMES.get(name, name), f"{words} points", bar, words))
    return figure(
        f'<div class="rows">{"".join(parts)}</div>',
        f"How much the frame-mAP of {percent(data.breakdown.mean)} would rise, in points, if one kind of error alone "
        "were corrected: work on the longest bar pays most. The gains do not add up, since one error can hide another.",
        "What each error costs",
    )


def confusion(data: ReportData) -> str:
    """The confusion matrix, or a list of the commonest confusions if there are many classes."""
    matrix, names = data.confusion, (*data.dataset.classes, "background")
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    caption = (
        f"Rows: annotated classes; columns: detected classes, in percent of the row, for scores of at least "
        f"{CONFUSED_FROM:g}. Last column: truths without a detection; last row: detections without a truth, and "
        "duplicates."
    )
    if len(names) - 1 > LARGEST_MATRIX:
        off = matrix[:-1, :-1] * (1 - np.eye(len(names) - 1, dtype=np.int64))
        rows = [divmod(int(i), len(names) - 1) for i in np.argsort(-off, axis=None, kind="stable")[:LISTED]]
        body = "".join(
            f"<tr><td>{text(names[a])}</td><td>{text(names[b])}</td>{cells([(f'{off[a, b]:,}', off[a, b])])}</tr>"
            for a, b in rows
            if off[a, b]
        )
        head = '<thead><tr><th>annotated</th><th>detected</th><th class="number">times</th></tr></thead>'
        table = f'<div class="scroll"><table class="sortable">{head}<tbody>{body}</tbody></table></div>'
        return figure(table, f"The {LISTED} commonest confusions.", "Confusions")
    columns = (*data.dataset.classes, "not found")
    head = "".join(f'<th scope="col"><span title="{text(name)}">{text(name)}</span></th>' for name in columns)
    body = "".join(
        f'<tr><th scope="row" title="{text(name)}">{text(name)}</th>{_matrix_row(matrix[i], share[i], i, names)}</tr>'
        for i, name in enumerate(names)
    )
    table = f'<table class="confusion"><thead><tr><td style="background:none"></td>{head}</tr></thead>{body}</table>'
    return figure(f'<div class="scroll">{table}</div>', caption, "Confusion matrix")


def _matrix_row(counts: np.ndarray, shares: np.ndarray, row: int, names: Sequence[str]) -> str:
    found = []
    for column, (count, share) in enumerate(zip(counts.tolist(), shares.tolist(), strict=True)):
        kind = "wrong" if column != row else "strong" if share > 0.85 else ""
        kind += " half" if share > 0.45 else ""  # the text needs another colour for contrast
        words = f"{100 * share:.0f}" if share >= 0.005 else ""
        as_what = f"detected as {names[column]}" if column < len(names) - 1 else "not found"
        tip = f"{names[row]}, {as_what}: {count:,} ({percent(share)} %)"
        found.append(f'<td class="{kind}" style="--share:{share:.3f}" data-tip="{text(tip)}">{words}</td>')
    return "".join(found)
