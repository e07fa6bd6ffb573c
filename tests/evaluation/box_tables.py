"""Small tables of boxes: from lists, and at random for property tests."""

import numpy as np
from hypothesis import strategies as st

from detect.evaluation import Detections, GroundTruth


def tables(gts, dets):
    """gts: (frame, label, box) or with a video in front; dets: (..., score, box)."""
    gts = [g if len(g) == 4 else (0, *g) for g in gts]
    dets = [d if len(d) == 5 else (0, *d) for d in dets]
    columns = list(zip(*gts, strict=True)) or [()] * 4
    gt = GroundTruth(*columns[:3], boxes=np.array(columns[3], float).reshape(-1, 4))
    columns = list(zip(*dets, strict=True)) or [()] * 5
    det = Detections(*columns[:4], boxes=np.array(columns[4], float).reshape(-1, 4))
    return gt, det


# Few, small values: ties in scores, overlaps of exactly .5, boxes that share a truth, frames without one and
# boxes without area are all common.
CORNER, SIDE = st.integers(0, 1), st.sampled_from([4, 3, 2])
GT_BOX = st.builds(lambda x, y, w, h: (x, y, x + w, y + h), CORNER, CORNER, SIDE, SIDE | st.just(0))
DET_BOX = st.builds(lambda x, y, w, h: (x, y, x + w, y + h), CORNER, CORNER, SIDE | st.sampled_from([0, -1]), SIDE)
PLACE = (st.sampled_from([0, 0, 1]), st.sampled_from([0, 0, 1]), st.sampled_from([0, 0, 1]))
GTS = st.lists(st.tuples(*PLACE, GT_BOX), max_size=8)
DETS = st.lists(st.tuples(*PLACE, st.sampled_from([0.25, 0.5, 0.75]), DET_BOX), max_size=14)


def kind_names(breakdown):
    """The kind of each detection of an `ErrorBreakdown`, "" of one that does not count."""
    return ["" if kind < 0 else breakdown.categories[kind] for kind in breakdown.detection_kind]
