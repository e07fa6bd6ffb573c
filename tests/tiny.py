"""A detector and clips small enough for a test."""

import torch

from detect.config import get_cfg
from detect.d2 import Boxes, Instances
from detect.engine.checkpoint import ActionCheckpointer
from detect.modeling import build_model

OVERRIDES = [
    "MODEL.DEVICE", "cpu", "MODEL.RESNETS.DEPTH", 18, "MODEL.RESNETS.NORM", "BN", "MODEL.CONTEXT.WIDTH", 0.125,
    "MODEL.CONTEXT.NORM", "BN", "MODEL.CONTEXT.OVERRIDES.conv_std", 0.0, "MODEL.ANCHOR_GENERATOR.SIZES", [[16, 32]],
    "MODEL.RPN.BATCH_SIZE_PER_IMAGE", 32, "MODEL.RPN.PRE_NMS_TOPK_TRAIN", 60, "MODEL.RPN.PRE_NMS_TOPK_TEST", 60,
    "MODEL.RPN.POST_NMS_TOPK_TRAIN", 20, "MODEL.RPN.POST_NMS_TOPK_TEST", 12, "MODEL.ROI_HEADS.NUM_CLASSES", 3,
    "MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE", 8, "INPUT.SIZE", (48, 64), "INPUT.NUM_FRAMES", 8, "SEED", 0,
]  # fmt: skip
BOTH = ("MODEL.STREAMS", ("rgb", "flow"))  # streams


def tiny_cfg(*overrides):
    """The default config at toy size, then KEY, VALUE, ... overrides."""
    cfg = get_cfg()
    cfg.merge_from_list([*OVERRIDES, *overrides])
    return cfg


def built(*overrides):
    """(config, detector) of `tiny_cfg(*overrides)`, with weights of seed 0."""
    torch.manual_seed(0)
    cfg = tiny_cfg(*overrides)
    return cfg, build_model(cfg)


def clip_item(cfg, boxes=((8.0, 8.0, 40.0, 40.0),), classes=(1,), seed=0, height=96, width=128):
    """A mapped sample with a random clip; `height`, `width` of the original frame."""
    generator = torch.Generator().manual_seed(seed)
    h, w = cfg.INPUT.SIZE
    clip = torch.randint(0, 256, (cfg.INPUT.NUM_FRAMES, h, w, 3), generator=generator, dtype=torch.uint8)
    instances = Instances((h, w))
    instances.gt_boxes = Boxes(torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4))
    instances.gt_classes = torch.tensor(classes, dtype=torch.int64)
    return {"clip": clip, "instances": instances, "height": height, "width": width, "video": "v", "frame_index": seed}


def with_flow(item, seed=0):
    """The sample with random flow beside its clip."""
    generator = torch.Generator().manual_seed(100 + seed)
    return {**item, "flow": torch.randint(0, 256, (*item["clip"].shape[:3], 2), generator=generator, dtype=torch.uint8)}


def save_detector(path, *overrides):
    """A complete checkpoint of a tiny detector with random weights, of the classes a, b, c; returns its path."""
    cfg = tiny_cfg(*overrides)
    torch.manual_seed(0)
    model = build_model(cfg)
    entries = {"config": cfg.dump(), "preprocessing": model.preprocessing()}
    tag = {"meta_architecture": "ActionRCNN", "classes": ["a", "b", "c"]}
    ActionCheckpointer(model, str(path.parent), tag=tag, entries=entries).save(path.stem)
    return path
