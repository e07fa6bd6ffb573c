"""Stand-ins for the Detectron2 words of `detect.d2`: same names, arguments, results and exception types.

Only vocabulary lives here, nothing that learns. Each class has the part of Detectron2's interface that
this project uses; `tests/test_d2_contract.py` compares every one of them with the original.
"""

from detect._d2_fallback.boxes import Boxes, ImageList
from detect._d2_fallback.config import CfgNode, configurable, get_cfg
from detect._d2_fallback.data import DatasetCatalog, DatasetEvaluator, Metadata, MetadataCatalog
from detect._d2_fallback.events import EventStorage, get_event_storage
from detect._d2_fallback.instances import Instances
from detect._d2_fallback.modeling import (
    BACKBONE_REGISTRY,
    META_ARCH_REGISTRY,
    PROPOSAL_GENERATOR_REGISTRY,
    ROI_HEADS_REGISTRY,
    Backbone,
    ShapeSpec,
)

__all__ = [
    "BACKBONE_REGISTRY",
    "META_ARCH_REGISTRY",
    "PROPOSAL_GENERATOR_REGISTRY",
    "ROI_HEADS_REGISTRY",
    "Backbone",
    "Boxes",
    "CfgNode",
    "DatasetCatalog",
    "DatasetEvaluator",
    "EventStorage",
    "ImageList",
    "Instances",
    "Metadata",
    "MetadataCatalog",
    "ShapeSpec",
    "configurable",
    "get_cfg",
    "get_event_storage",
]
