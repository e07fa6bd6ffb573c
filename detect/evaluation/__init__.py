"""Scores of detections: frame-AP under named protocols, COCO-style AP, proposal recall."""

from detect.evaluation.files.formats import read_tables, write_table
from detect.evaluation.frame_ap import FRAME_RULES, PRESETS, FrameAPOptions, FrameAPResult, evaluate_frame_ap, preset
from detect.evaluation.tables import Detections, GroundTruth, TableError

__all__ = [
    "FRAME_RULES",
    "PRESETS",
    "Detections",
    "FrameAPEvaluator",
    "FrameAPOptions",
    "FrameAPResult",
    "GroundTruth",
    "TableError",
    "evaluate_frame_ap",
    "preset",
    "read_tables",
    "write_table",
]


def __getattr__(name: str):
    # Only the evaluator needs torch; the command-line tool starts seconds earlier without it.
    if name == "FrameAPEvaluator":
        from detect.evaluation.evaluator import FrameAPEvaluator

        return FrameAPEvaluator
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
