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
from detect.data.eval_stream import build_keyframe_loader
from detect.data.keyframe_mapper import KeyframeMapper
from detect.data.media import MissingDataError
from detect.data.own_json import read_own_json, write_own_json
from detect.data.records import ActionDataset, KeyframeDataset, Tube, VideoRecord
from detect.data.train_stream import build_train_loader
from detect.utils.safe_pickle import UnsafePickleError

__all__ = [
    "ActionDataset",
    "AnnotationError",
    "KeyframeMapper",
    "KeyframeDataset",
    "MissingDataError",
    "Tube",
    "UnsafePickleError",
    "VideoRecord",
    "build_keyframe_loader",
    "build_train_loader",
    "load_action_dataset",
    "read_own_json",
    "register_action_dataset",
    "register_jhmdb",
    "register_ucf24",
    "set_datasets_root",
    "write_own_json",
]
