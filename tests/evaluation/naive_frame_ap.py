"""Frame-AP as slow and plain as possible: the oracle of the tests.

Lists and loops only, nothing shared with detect/evaluation. It walks like the published scripts do: precision
and recall after every detection, one box against another at a time.
"""

import math


def naive_frame_ap(gts, dets, num_classes, options):
    """(AP of each class, nan where left out; mean). gts: video, frame, label, box; dets: score before box."""
    annotated = {(video, frame) for video, frame, _, _ in gts}
    if options.frames == "annotated":
        dets = [d for d in dets if (d[0], d[1]) in annotated]
    if options.drop_degenerate:
        dets = [d for d in dets if d[4][2] > d[4][0] and d[4][3] > d[4][1]]
    aps = []
    for label in range(num_classes):
        truths = [g for g in gts if g[2] == label]
        ranked = _ranked([d for d in dets if d[2] == label], truths, options)
        if truths:
            aps.append(_average_precision(ranked, len(truths), options.ap_rule))
        else:
            aps.append(0.0 if options.classes_without_gt == "zero" else math.nan)
    in_mean = [ap for ap in aps if not math.isnan(ap)]
    return aps, sum(in_mean) / len(in_mean) if in_mean else math.nan


def _ranked(dets, truths, options):
    """True or false for each detection, in ranking order. Sorts are Python's stable ones."""
    free = {}
    for video, frame, _, box in truths:
        free.setdefault((video, frame), []).append([box, True])
    if options.tie_order == "reversed_input":  # TF-OD: twice argsort()[::-1], in each frame and then over all
        frames = {}
        for d in dets:
            frames.setdefault((d[0], d[1]), []).append(d)
        dets = [d for group in frames.values() for d in sorted(group, key=lambda d: d[3])[::-1]]
        flags = [_hits(d, free, options) for d in dets]
        order = sorted(range(len(dets)), key=lambda i: dets[i][3])[::-1]
        return [flags[i] for i in order]
    if options.tie_order == "frame":
        dets = sorted(dets, key=lambda d: (d[0], d[1]))
    return [_hits(d, free, options) for d in sorted(dets, key=lambda d: -d[3])]


def _hits(det, free, options):
    best, best_iou = None, -1.0
    for truth in free.get((det[0], det[1]), []):
        if options.matching == "best_unmatched" and not truth[1]:
            continue
        overlap = _iou(det[4], truth[0], 1 if options.plus_one else 0)
        if overlap > best_iou:
            best, best_iou = truth, overlap
    if best is None or best_iou < options.iou_threshold or not best[1]:
        return False
    best[1] = False
    return True


def _iou(a, b, extra):
    width = min(a[2], b[2]) - max(a[0], b[0]) + extra
    height = min(a[3], b[3]) - max(a[1], b[1]) + extra
    if width <= 0 or height <= 0:
        return 0.0
    area_a = (a[2] - a[0] + extra) * (a[3] - a[1] + extra)
    area_b = (b[2] - b[0] + extra) * (b[3] - b[1] + extra)
    return width * height / (area_a + area_b - width * height)


def _average_precision(ranked, npos, rule):
    precision, recall = [], []
    hits = 0
    for i, hit in enumerate(ranked):
        hits += hit
        precision.append(hits / (i + 1))
        recall.append(hits / npos)
    if rule == "act_trapezoid":
        curve = [(0.0, 1.0), *zip(recall, precision, strict=True)]
        return sum((r1 - r0) * (p0 + p1) / 2 for (r0, p0), (r1, p1) in zip(curve, curve[1:], strict=False))
    if rule == "voc_11_point":
        # i * (1 / 10), not i / 10: the steps of numpy.linspace, which the published script uses
        levels = [i * 0.1 for i in range(10)] + [1.0]
        best = [max((p for p, r in zip(precision, recall, strict=True) if r >= t), default=0.0) for t in levels]
        return sum(best) / 11
    total, previous = 0.0, 0.0
    for i, level in enumerate(recall):
        if level > previous:
            total += (level - previous) * max(precision[i:])
        previous = level
    return total
