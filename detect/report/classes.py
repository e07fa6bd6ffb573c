"""The sections of a report that compare classes: the table, the curves, the AP by threshold."""

import numpy as np

from detect.evaluation.frame_ap import mean_of_classes
from detect.report.curves import curve
from detect.report.data import ReportData, means
from detect.report.pieces import by_falling_ap, cells, figure, percent
from detect.visualization.charts import Axis, Panel, line, share_axis
from detect.visualization.html import text

MOST_PANELS = 60  # precision-recall curves; of more classes, those with the lowest AP are shown


def class_table(data: ReportData) -> str:
    """A sortable table with one row per class."""
    at, columns = f"@{data.options.iou_threshold:g}", _further_columns(data)
    heads = ["ground truth", "true positives", "recall, %", "detections", *columns]
    numbers = "".join(f'<th class="number">{text(head)}</th>' for head in heads)
    result, rows = data.result, []
    for c in by_falling_ap(data):
        ap, known = float(result.ap[c]), result.num_gt[c] > 0
        recall = result.num_tp[c] / result.num_gt[c] if known else float("nan")
        meter = f"<span>{percent(ap)}</span>" + (f'<i style="--share:{np.nan_to_num(ap):.4f}"></i>' if known else "")
        row = [(f"{result.num_gt[c]:,}", result.num_gt[c]), (f"{result.num_tp[c]:,}", result.num_tp[c])]
        row += [(percent(recall), recall if known else -1.0), (f"{result.num_det[c]:,}", result.num_det[c])]
        row += [(percent(values[c]), np.nan_to_num(values[c], nan=-1.0)) for values in columns.values()]
        rows.append(
            f'<tr><td class="name">{text(data.dataset.classes[c])}</td>'
            f'<td class="meter" data-value="{np.nan_to_num(ap, nan=-1.0):.6f}">{meter}</td>{cells(row)}</tr>'
        )
    recall = result.num_tp.sum() / max(result.num_gt.sum(), 1)
    foot = [f"{result.num_gt.sum():,}", f"{result.num_tp.sum():,}", percent(recall), f"{result.num_det.sum():,}"]
    foot += [percent(mean_of_classes(values)) for values in columns.values()]
    return (
        '<div class="scroll"><table class="sortable wide" id="classes"><thead><tr><th class="name">class</th>'
        f'<th aria-sort="descending">AP{at}, %</th>{numbers}</tr></thead><tbody>{"".join(rows)}</tbody>'
        f'<tfoot><tr class="mean"><td class="name">mean, sum</td><td class="meter"><span>{percent(result.mean)}</span>'
        f"</td>{cells((words, '') for words in foot)}</tr></tfoot></table></div>"
    )


def _further_columns(data: ReportData) -> dict[str, np.ndarray]:
    """Name -> (C,): AP at IoU 0.75, the mean over thresholds, and per-class results of the tubes."""
    found = {}
    if data.options.iou_threshold != 0.75:
        found["AP@0.75"] = data.by_threshold[0.75]
    found["AP@0.5:0.95"] = np.mean(list(data.by_threshold.values()), axis=0)
    for name, values in data.video_results.items():
        if np.shape(values) == data.result.ap.shape:
            found[name] = np.asarray(values, np.float64)
    return found


def precision_recall(data: ReportData) -> str:
    """A small precision-recall curve for each class."""
    chosen = [c for c in by_falling_ap(data) if data.ranked[c].npos]
    left_out = max(len(chosen) - MOST_PANELS, 0)
    axes = share_axis("recall"), share_axis("precision")
    envelope = data.options.ap_rule != "act_trapezoid"
    panels = []
    for c in chosen[left_out:]:
        panel = Panel(*axes, width=190, height=150, left=40, right=8, top=8, bottom=32)
        recall, precision, score = curve(data.ranked[c], envelope=envelope)
        x, y = np.r_[recall[:1] * 0, recall], np.r_[precision[:1], precision]  # from recall 0 on
        hover = [
            (r, p, f"recall {percent(r)} %, precision {percent(p)} %\nat a score of at least {s:.3g}")
            for r, p, s in zip(recall.tolist(), precision.tolist(), score.tolist(), strict=True)
        ]
        name, ap = text(data.dataset.classes[c]), percent(data.result.ap[c])
        marks = [line(panel, x.tolist(), y.tolist(), "main", area=True)]
        drawn = panel.draw(marks, f"precision against recall, AP {ap} percent", hover)
        panels.append(f'<div><h4><span title="{name}">{name}</span><span class="number">{ap}</span></h4>{drawn}</div>')
    shape = "the best precision at each recall or beyond" if envelope else "the precision at each recall"
    remark = f" Only the {MOST_PANELS} classes with the lowest AP are shown." if left_out else ""
    return figure(
        f'<div class="many">{"".join(panels)}</div>',
        f"Precision against recall at IoU {data.options.iou_threshold:g}, sorted by falling AP: {shape}. The score "
        "falls from left to right, and the shaded area is the AP. If a curve ends early, truths are not found at any "
        f"score; if it starts low, there are false positives among the highest scores.{remark}",
        "Precision and recall",
    )


def threshold_chart(data: ReportData) -> str:
    """mAP and each class's AP against the IoU threshold."""
    panel = Panel(
        Axis("IoU threshold", 0.5, 0.95, tuple((i / 10, f"{i / 10:g}") for i in range(5, 10))), share_axis("AP", 4)
    )
    thresholds = list(data.by_threshold)
    aps, mean = np.array(list(data.by_threshold.values())), means(data.by_threshold)
    marks = [line(panel, thresholds, aps[:, c].tolist(), "thin") for c in range(aps.shape[1])]
    marks.append(line(panel, thresholds, mean, "main"))
    hover = [(t, m, f"IoU {t:g}: mAP {percent(m)} %") for t, m in zip(thresholds, mean, strict=True) if m == m]
    return figure(
        panel.draw(marks, "average precision against the IoU threshold", hover),
        "How exactly the boxes fit: AP against the IoU that a true positive must reach. <b>Blue</b>: the mean; grey: "
        "single classes. A steep fall on the right means loose boxes.",
        "Box quality",
    )
