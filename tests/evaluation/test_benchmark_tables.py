"""The benchmark's tables, at small scale, score as the naive implementation scores them."""

import pytest
from naive_frame_ap import naive_frame_ap

from detect.benchmarks.frame_ap import CLASSES, synthetic_tables
from detect.evaluation import evaluate_frame_ap, preset


@pytest.mark.parametrize("name, same_class", [("voc", 0.0), ("tfod", 1.0), ("act", 1.0)])
def test_fast_equals_naive(name, same_class):
    gt, det = synthetic_tables(0.002, same_class)
    gts = list(zip(gt.video.tolist(), gt.frame.tolist(), gt.label.tolist(), gt.boxes.tolist(), strict=True))
    columns = (det.video, det.frame, det.label, det.score, det.boxes)
    dets = list(zip(*(column.tolist() for column in columns), strict=True))
    naive = naive_frame_ap(gts, dets, CLASSES, preset(name))[1]
    assert 0.001 < naive < 0.95
    assert evaluate_frame_ap(gt, det, CLASSES, preset(name)).mean == pytest.approx(naive, abs=1e-9)
