"""The words shared with Detectron2: its own where it is installed, else those of `detect._d2_fallback`.

This file and `detect.tasks.detectron2_engine` are the only importers of detectron2. A Detectron2 that is
installed but broken raises its own error here; it is never replaced silently. Setting the environment
variable `DETECT_FORCE_FALLBACK=1` leaves an installed Detectron2 unused.
"""

import os

__all__ = [
    "BACKBONE_REGISTRY", "Backbone", "Boxes", "CfgNode", "DatasetCatalog", "DatasetEvaluator", "EventStorage",
    "HAS_DETECTRON2", "ImageList", "Instances", "META_ARCH_REGISTRY", "MetadataCatalog",
    "PROPOSAL_GENERATOR_REGISTRY", "ROI_HEADS_REGISTRY", "ShapeSpec", "configurable", "get_cfg",
    "get_event_storage",
]  # fmt: skip


def _detectron2_is_wanted() -> bool:
    if os.environ.get("DETECT_FORCE_FALLBACK", "") not in ("", "0"):
        return False
    try:
        import detectron2  # noqa: F401
    except ModuleNotFoundError as error:
        if error.name != "detectron2":  # Detectron2 is there and lacks something of its own
            raise
        return False
    return True


HAS_DETECTRON2: bool = _detectron2_is_wanted()

if HAS_DETECTRON2:
    from detectron2.config import CfgNode, configurable, get_cfg
    from detectron2.data import DatasetCatalog, MetadataCatalog
    from detectron2.evaluation import DatasetEvaluator
    from detectron2.layers import ShapeSpec
    from detectron2.modeling import (
        BACKBONE_REGISTRY,
        META_ARCH_REGISTRY,
        PROPOSAL_GENERATOR_REGISTRY,
        ROI_HEADS_REGISTRY,
        Backbone,
    )
    from detectron2.structures import Boxes, ImageList, Instances
    from detectron2.utils.events import EventStorage, get_event_storage
else:
    from detect._d2_fallback import (
        BACKBONE_REGISTRY,
        META_ARCH_REGISTRY,
        PROPOSAL_GENERATOR_REGISTRY,
        ROI_HEADS_REGISTRY,
        Backbone,
        Boxes,
        CfgNode,
        DatasetCatalog,
        DatasetEvaluator,
        EventStorage,
        ImageList,
        Instances,
        MetadataCatalog,
        ShapeSpec,
        configurable,
        get_cfg,
        get_event_storage,
    )
