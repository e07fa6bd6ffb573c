"""ACT's decomposition of errors against the numbers of its own code."""

import numpy as np

from detect.evaluation import Detections, GroundTruth, read_tables
from detect.evaluation.errors.act import act_decomposition


def test_acts_own_numbers(real_data):
    """MOC-Detector's `frameAP_error` (src/ACT.py at 45c3fd0c), run on these tables, printed these."""
    folder = real_data / "evaluator"
    gt, det, _ = read_tables(folder / "jhmdb_split1_groundtruth.csv.gz", folder / "jhmdb_split1_detections.csv.gz")
    shares = act_decomposition(gt, det, 21)
    columns = np.array(list(shares.values())).T  # AP, localisation, classification, time, other, missed
    np.testing.assert_allclose(columns.mean(axis=0), [77.07, 3.17, 5.13, 0.00, 0.99, 13.64], atol=0.005)
    np.testing.assert_allclose(columns[0], [79.90, 2.74, 4.93, 0.00, 0.55, 11.88], atol=0.005)
    np.testing.assert_allclose(columns[18], [74.44, 5.34, 5.99, 0.00, 0.96, 13.27], atol=0.005)


def test_acts_own_numbers_where_videos_have_several_classes():
    """The same code on tables with every kind of its errors: 400 truths, 3,000 detections, 6 videos, 3 classes."""
    rng = np.random.RandomState(1)

    def boxes(n):
        corner = rng.randint(0, 6, (n, 2))
        return np.hstack([corner, corner + rng.randint(4, 9, (n, 2))]).astype(float)

    label = rng.randint(0, 3, 400)
    gt = GroundTruth((rng.randint(0, 4, 400) + 2 * label) % 6, rng.randint(0, 60, 400), label, boxes(400))
    columns = (rng.randint(0, high, 3000) for high in (5, 80, 3))
    det = Detections(*columns, rng.permutation(3000) / 3000, boxes(3000))
    printed = [
        [2.27, 7.97, 2.78, 15.20, 9.97, 61.81],
        [2.17, 4.11, 2.07, 7.50, 10.66, 73.48],
        [1.04, 3.69, 2.39, 7.16, 13.14, 72.58],
    ]
    shares = act_decomposition(gt, det, 3)
    np.testing.assert_allclose(np.array(list(shares.values())).T, printed, atol=0.0051)
