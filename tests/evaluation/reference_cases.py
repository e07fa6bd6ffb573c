"""Small tables and what public evaluation code makes of them: numbers to compare with, none of its code.

CASES: the tables are ours, the values came out of running, on them and at IoU 0.5,
    ACT        frameAP of MCG-NJU/MOC-Detector 45c3fd0c (the ACT detector's)
    PENG       pengxj/action-faster-rcnn dc73fae2
    GURKIRT    the Python evaluation of gurkirt/realtime-action-detection 9dd8e1b5
    YOWO       pascalvoc.py of wei-tim/YOWO 9d202c16, all points; YOWO_11pt: its 11-point rule
    TFOD       PascalDetectionEvaluator of TensorFlow's Object Detection API
PADILLA: the example that rafaelpadilla/Object-Detection-Metrics (dcb285e7, samples/sample_2) works out in its README
    and in results/results.txt; YOWO's pascalvoc.py is a copy of that program.
TFOD_OWN: the example of the Object Detection API's own PascalEvaluationTest (tensorflow/models 282f581c). A truth that
    it marks as difficult, and that no detection is near, is left out.
"""

NONE = float("nan")
A = (0, 0, 99, 99)

REFERENCES = ("ACT", "PENG", "GURKIRT", "YOWO", "YOWO_11pt", "TFOD")
# (frame, label, box) of truths; (frame, label, score, box) of detections; for each reference the AP of each class.
CASES = {
    "interpolation": (
        [(1, 0, A), (2, 0, A)], [(1, 0, 0.9, A), (3, 0, 0.8, A), (2, 0, 0.7, A)],
        ([0.7916667], [0.8333333], [0.8333333], [0.8333333], [0.8484848], [0.8333333]),
    ),
    "first detection false": (
        [(1, 0, A)], [(2, 0, 0.9, A), (1, 0, 0.8, A)], ([0.25], [0.5], [0.5], [0.5], [0.5], [0.5]),
    ),
    "first detection false, same frame": (
        [(1, 0, A)], [(1, 0, 0.9, (200, 0, 299, 99)), (1, 0, 0.8, A)], ([0.25], [0.5], [0.5], [0.5], [0.5], [0.5]),
    ),
    "second-best truth": (
        [(1, 0, A), (1, 0, (0, 0, 99, 79))], [(1, 0, 0.9, A), (1, 0, 0.8, A)],
        ([1.0], [1.0], [1.0], [0.5], [0.5454545], [0.5]),
    ),
    "plus one": ([(1, 0, (0, 0, 9, 9))], [(1, 0, 0.9, (0, 0, 9, 4))], ([1.0], [1.0], [0.0], [1.0], [1.0], [0.0])),
    "exactly 0.5": ([(1, 0, (0, 0, 10, 10))], [(1, 0, 0.9, (0, 0, 10, 5))], ([1.0], [1.0], [1.0], [1.0], [1.0], [1.0])),
    "exactly 0.5 with plus one": (
        [(1, 0, A)], [(1, 0, 0.9, (0, 0, 99, 49))], ([1.0], [1.0], [0.0], [1.0], [1.0], [0.0]),
    ),
    "duplicate": (
        [(1, 0, A), (2, 0, A)], [(1, 0, 0.9, A), (1, 0, 0.8, (1, 1, 99, 99)), (2, 0, 0.7, A)],
        ([0.7916667], [0.8333333], [0.8333333], [0.8333333], [0.8484848], [0.8333333]),
    ),
    "tie, true one first": (
        [(1, 0, A)], [(1, 0, 0.9, A), (2, 0, 0.9, A)], ([1.0], [1.0], [1.0], [1.0], [1.0], [0.5]),
    ),
    "tie, false one first": (
        [(2, 0, A)], [(1, 0, 0.9, A), (2, 0, 0.9, A)], ([0.25], [0.5], [0.5], [0.5], [0.5], [1.0]),
    ),
    "class without truth": (
        [(1, 0, A), (1, 2, A)], [(1, 0, 0.9, A), (1, 1, 0.8, A)],
        ([1.0, NONE, 0.0], [1.0, NONE, 0.0], [1.0, 0.0, 0.0], [1.0, NONE, 0.0], [1.0, NONE, 0.0], [1.0, NONE, 0.0]),
    ),
    "recall below one": (
        [(1, 0, A), (2, 0, A), (3, 0, A), (4, 0, A)],
        [(1, 0, 0.9, A), (2, 0, 0.8, A), (3, 0, 0.7, (150, 150, 200, 200))],
        ([0.5], [0.5], [0.5], [0.5], [0.5454545], [0.5]),
    ),
    "no detections": ([(1, 0, A)], [], ([0.0], [0.0], [0.0], [0.0], [0.0], [0.0])),
}  # fmt: skip

# One class, 7 images, IoU 0.3, as x, y, width, height: (image, box) of truths, (image, score, box) of detections.
PADILLA_TRUTHS = [
    (1, 25, 16, 38, 56), (1, 129, 123, 41, 62), (2, 123, 11, 43, 55), (2, 38, 132, 59, 45), (3, 16, 14, 35, 48),
    (3, 123, 30, 49, 44), (3, 99, 139, 47, 47), (4, 53, 42, 40, 52), (4, 154, 43, 31, 34), (5, 59, 31, 44, 51),
    (5, 48, 128, 34, 52), (6, 36, 89, 52, 76), (6, 62, 58, 44, 67), (7, 28, 31, 55, 63), (7, 58, 67, 50, 58),
]  # fmt: skip
PADILLA_DETECTIONS = [
    (1, 0.88, 5, 67, 31, 48), (1, 0.70, 119, 111, 40, 67), (1, 0.80, 124, 9, 49, 67), (2, 0.71, 64, 111, 64, 58),
    (2, 0.54, 26, 140, 60, 47), (2, 0.74, 19, 18, 43, 35), (3, 0.18, 109, 15, 77, 39), (3, 0.67, 86, 63, 46, 45),
    (3, 0.38, 160, 62, 36, 53), (3, 0.91, 105, 131, 47, 47), (3, 0.44, 18, 148, 40, 44), (4, 0.35, 83, 28, 28, 26),
    (4, 0.78, 28, 68, 42, 67), (4, 0.45, 87, 89, 25, 39), (4, 0.14, 10, 155, 60, 26), (5, 0.62, 50, 38, 28, 46),
    (5, 0.44, 95, 11, 53, 28), (5, 0.95, 29, 131, 72, 29), (5, 0.23, 29, 163, 72, 29), (6, 0.45, 43, 48, 74, 38),
    (6, 0.84, 17, 155, 29, 35), (6, 0.43, 95, 110, 25, 42), (7, 0.48, 16, 20, 101, 88), (7, 0.95, 33, 116, 37, 49),
]  # fmt: skip
PADILLA_AP = {"all points": 0.2457, "11 points": 0.2684}  # as printed, in hundredths of a percent

TFOD_OWN = (
    [(1, 0, (0, 0, 1, 1)), (1, 2, (0, 0, 2, 2)), (1, 0, (0, 0, 3, 3)), (2, 0, (10, 10, 11, 11)),
     (2, 2, (10, 10, 12, 12)), (3, 1, (0, 0, 1, 1))],
    [(2, 0, 0.7, (10, 10, 11, 11)), (2, 0, 0.8, (100, 100, 120, 120)), (2, 2, 0.9, (100, 100, 220, 220))],
    [0.16666666, 0.0, 0.0], 0.05555555,
)  # fmt: skip
