"""Datasets: readers to one record format, keyframe samples, clips and loaders.

Importing this registers the built-in datasets; nothing is read from disk before one is asked for.
"""

from detect.data.catalog import (
    load_action_dataset,
    register_action_dataset,
    register_jhmdb,
    register_ucf24,
    set_datasets_root,
)
from detect.data.checks import AnnotationError
from detect.data.clip_mapper import ClipMapper
from detect.data.loader import build_test_loader, build_train_loader
from detect.data.media import MissingDataError
from detect.data.records import ActionDataset, KeyframeDataset, Tube, VideoRecord
from detect.data.safe_pickle import UnsafePickleError

__all__ = [
    "ActionDataset",
    "AnnotationError",
    "ClipMapper",
    "KeyframeDataset",
    "MissingDataError",
    "Tube",
    "UnsafePickleError",
    "VideoRecord",
    "build_test_loader",
    "build_train_loader",
    "load_action_dataset",
    "register_action_dataset",
    "register_jhmdb",
    "register_ucf24",
    "set_datasets_root",
]
