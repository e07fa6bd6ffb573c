"""Every config key: its default, one line of meaning, and where the default comes from.

Keys that Detectron2 has carry Detectron2's name; a config file means the same with and without it.
"D2 only" marks keys that only Detectron2's own components read; ours do what the default says.
Sources: [P] the paper (Xie et al., ECCV 2018, section 5.3), [O] TensorFlow Object Detection API sample
configs, on whose defaults the paper builds, [D2] Detectron2's default, [D] decided here. Keys marked "classifier"
are read by tools/train_classifier.py only; its other defaults are in configs/Base-ActionClassifier.yaml.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import yaml

from detect import d2
from detect.config_node import CheckedCfgNode, leaves, put


class Key(NamedTuple):
    """One row: dotted name, default, meaning with its source."""

    name: str
    default: Any
    meaning: str


# fmt: off
KEYS: tuple[Key, ...] = tuple(Key(*row) for row in (
    ("VERSION", 2, "[D2] version of the config format"),
    ("SEED", -1, "[D2] seed of every random generator; negative draws one and logs it"),
    ("OUTPUT_DIR", "./output", "[D2] folder of checkpoints, logs, metrics and the saved config"),
    ("CUDNN_BENCHMARK", False, "[D2] let cuDNN time its algorithms; inputs here have one size"),

    ("MODEL.META_ARCHITECTURE", "ActionRCNN", "[P] the registered detector"),
    ("MODEL.DEVICE", "cpu", "[D] cuda where a GPU is present (decided in get_cfg), else cpu"),
    ("MODEL.WEIGHTS", "", "[D2] checkpoint of the whole detector, to start from or to evaluate"),
    ("MODEL.PIXEL_MEAN", [123.675, 116.28, 103.53], "[D] ImageNet mean of the keyframe, as INPUT.FORMAT"),
    ("MODEL.PIXEL_STD", [58.395, 57.12, 57.375], "[D] ImageNet deviation, as INPUT.FORMAT"),

    ("MODEL.BACKBONE.NAME", "build_keyframe_resnet", "[P] the trunk; Detectron2's: build_resnet_backbone"),
    ("MODEL.BACKBONE.FREEZE_AT", 0, "[O] freeze the stem and the stages up to this number; 0 trains all"),
    ("MODEL.BACKBONE.WEIGHTS", "", "[P] ImageNet weights of the keyframe trunk (a file); empty for random"),
    ("MODEL.RESNETS.DEPTH", 50, "[P] ResNet-50"),
    ("MODEL.RESNETS.NORM", "FrozenBN", "[O] batch norm keeps its ImageNet statistics; BN trains it"),
    ("MODEL.RESNETS.STRIDE_IN_1X1", False, "[D] stride in the 3x3 convolution as torchvision's weights want"),
    ("MODEL.RESNETS.OUT_FEATURES", ["res4"], "[P] conv4, stride 16 (D2 only)"),

    ("MODEL.CONTEXT.NAME", "s3dg", "[P] context network by its backbones.build name: s3dg, i3d, i2d, ..."),
    ("MODEL.CONTEXT.WIDTH", 1.0, "[D] multiplier of every channel count of the context network"),
    ("MODEL.CONTEXT.TAP", "mixed_4e", "[P] endpoint that is pooled; the layers after it are the region head"),
    ("MODEL.CONTEXT.WEIGHTS", "", "[P] Kinetics weights of the context network (a file); empty for random"),
    ("MODEL.CONTEXT.PIXEL_MEAN", [127.5, 127.5, 127.5], "[P] with the next key, pixels become -1 .. 1"),
    ("MODEL.CONTEXT.PIXEL_STD", [127.5, 127.5, 127.5], "[P] see the previous key"),
    ("MODEL.CONTEXT.NORM", "FrozenBN", "[O] FrozenBN keeps batch-norm statistics and scale; BN, SyncBN train them"),
    ("MODEL.CONTEXT.FREEZE_AT", "", "[D] freeze the context network up to this endpoint"),
    ("MODEL.CONTEXT.OVERRIDES", {}, "[D] fields of the network's variant to change, by name; any keys"),

    ("MODEL.CLASSIFIER.DROPOUT", 0.2, "[P] classifier: share of pooled features dropped in training"),
    ("MODEL.CLASSIFIER.LABEL_SMOOTHING", 0.0, "[D] classifier: share of the target spread over all classes"),

    ("MODEL.ANCHOR_GENERATOR.SIZES", [[64, 128, 256, 512]], "[O] anchor sides, input pixels, per map"),
    ("MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS", [[0.5, 1.0, 2.0]], "[O] anchor height / width, per feature map"),
    ("MODEL.PROPOSAL_GENERATOR.NAME", "KeyframeRPN", "[P] proposal generator; RPN is Detectron2's"),
    ("MODEL.PROPOSAL_GENERATOR.MIN_SIZE", 0, "[D2] proposals with a side below this many pixels are dropped"),
    ("MODEL.RPN.HEAD_NAME", "StandardRPNHead", "[D2] a 3x3 convolution, objectness, deltas (D2 only)"),
    ("MODEL.RPN.IN_FEATURES", ["res4"], "[P] feature maps that carry anchors"),
    ("MODEL.RPN.CONV_DIMS", [-1], "[D2] channels of the head's convolutions; -1: the input's (D2 only)"),
    ("MODEL.RPN.BOUNDARY_THRESH", -1, "[D2] untrained if this far outside; -1: all trained (D2 only)"),
    ("MODEL.RPN.IOU_THRESHOLDS", [0.3, 0.7], "[O] below the first: negative; above the second: positive"),
    ("MODEL.RPN.IOU_LABELS", [0, -1, 1], "[O] labels between the thresholds, -1 ignored (D2 only)"),
    ("MODEL.RPN.BATCH_SIZE_PER_IMAGE", 256, "[O] anchors sampled per image for the loss"),
    ("MODEL.RPN.POSITIVE_FRACTION", 0.5, "[O] largest share of positives among them"),
    ("MODEL.RPN.BBOX_REG_WEIGHTS", (1.0, 1.0, 1.0, 1.0), "[D2] scales of the deltas dx dy dw dh"),
    ("MODEL.RPN.SMOOTH_L1_BETA", 0.0, "[D2] where the box loss turns from quadratic to linear; 0 is L1"),
    ("MODEL.RPN.LOSS_WEIGHT", 1.0, "[O] weight of the objectness loss"),
    ("MODEL.RPN.BBOX_REG_LOSS_WEIGHT", 2.0, "[O] weight of the box loss, times LOSS_WEIGHT"),
    ("MODEL.RPN.PRE_NMS_TOPK_TRAIN", 2000, "[D] proposals kept before suppression, training"),
    ("MODEL.RPN.PRE_NMS_TOPK_TEST", 1000, "[D] proposals kept before suppression, test"),
    ("MODEL.RPN.POST_NMS_TOPK_TRAIN", 300, "[O] proposals kept after suppression, training"),
    ("MODEL.RPN.POST_NMS_TOPK_TEST", 300, "[O] proposals kept after suppression, test"),
    ("MODEL.RPN.NMS_THRESH", 0.7, "[O] IoU above which the weaker proposal is suppressed"),

    ("MODEL.ROI_HEADS.NAME", "ActionROIHead", "[P] region head over the context network's tail"),
    ("MODEL.ROI_HEADS.NUM_CLASSES", 24, "[D] action classes without background (24: UCF101-24)"),
    ("MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE", 64, "[O] regions sampled per image for the loss"),
    ("MODEL.ROI_HEADS.POSITIVE_FRACTION", 0.25, "[O] largest share of foreground among them"),
    ("MODEL.ROI_HEADS.IOU_THRESHOLDS", [0.5], "[O] overlap from which a region is foreground"),
    ("MODEL.ROI_HEADS.IOU_LABELS", [0, 1], "[O] labels around the threshold (D2 only)"),
    ("MODEL.ROI_HEADS.PROPOSAL_APPEND_GT", True, "[D2] ground-truth boxes join the proposals in training"),
    ("MODEL.ROI_HEADS.SCORE_THRESH_TEST", 0.0, "[O] detections scored below this are dropped"),
    ("MODEL.ROI_HEADS.NMS_THRESH_TEST", 0.6, "[O] IoU of the suppression within a class"),
    ("MODEL.ROI_BOX_HEAD.BBOX_REG_WEIGHTS", (10.0, 10.0, 5.0, 5.0), "[O] scales of the deltas dx dy dw dh"),
    ("MODEL.ROI_BOX_HEAD.SMOOTH_L1_BETA", 1.0, "[O] where the box loss turns from quadratic to linear"),
    ("MODEL.ROI_BOX_HEAD.CLS_LOSS_WEIGHT", 1.0, "[O] weight of the classification loss"),
    ("MODEL.ROI_BOX_HEAD.BBOX_REG_LOSS_WEIGHT", 2.0, "[O] weight of the box loss"),
    ("MODEL.ROI_BOX_HEAD.POOLER_RESOLUTION", 7, "[O] cells per side of a pooled region"),
    ("MODEL.ROI_BOX_HEAD.POOLER_SAMPLING_RATIO", 1, "[O] bilinear samples per side of a cell, at least 1"),
    ("MODEL.ROI_BOX_HEAD.MAX_POOL", True, "[O] pool at twice the resolution, then 2x2 maximum"),
    ("MODEL.ROI_BOX_HEAD.DROPOUT", 0.0, "[O] share of pooled features dropped in training"),

    ("INPUT.FORMAT", "RGB", "[D] channel order of the keyframe: RGB or BGR (Detectron2's zoo weights)"),
    ("INPUT.NUM_FRAMES", 20, "[P] frames of context, keyframe at position NUM_FRAMES // 2"),
    ("INPUT.SIZE", (320, 400), "[P] height, width of the network input; the aspect is not kept"),
    ("INPUT.MODALITY", "rgb", "[P] classifier: rgb or flow"),
    ("INPUT.RESIZE", (256, 256), "[P] classifier: height, width of the frames of which SIZE is cropped"),
    ("INPUT.FLIP_PROB", 0.5, "[O] chance of a horizontal flip in training"),
    ("INPUT.COLOR_JITTER", 0.0, "[D] brightness, contrast, saturation vary by up to this share in training"),
    ("INPUT.SCALE_JITTER", (1.0, 1.0), "[D] smallest and largest zoom in training"),

    ("DATASETS.TRAIN", (), "[D2] names of registered training sets"),
    ("DATASETS.TEST", (), "[D2] names of registered test sets"),
    ("DATASETS.ROOT", "", "[D] folder of ucf24/, jhmdb/, ...; empty: DETECT_DATASETS, else ./datasets"),
    ("DATALOADER.NUM_WORKERS", 2, "[D] loader processes per training process; 0 loads in it"),
    ("DATALOADER.MAX_BAD_SHARE", 0.02, "[D] training stops when a larger share of samples cannot be read"),

    ("SOLVER.OPTIMIZER", "sgd", "[P] sgd or adamw"),
    ("SOLVER.IMS_PER_BATCH", 1, "[O] clips per step over all processes; the learning rate belongs to it"),
    ("SOLVER.ACCUMULATE", 1, "[D] batches of IMS_PER_BATCH whose gradients are averaged into one step"),
    ("SOLVER.REFERENCE_BATCH", 0, "[D] clips a step that BASE_LR is for; scaled linearly to another; 0: never"),
    ("SOLVER.EMA_DECAY", 0.0, "[D] classifier: decay a step of averaged weights, tested and saved; 0: none"),
    ("SOLVER.BASE_LR", 3e-4, "[O] learning rate after the warm-up"),
    ("SOLVER.BASE_LR_END", 0.0, "[D2] last learning rate of WarmupCosineLR"),
    ("SOLVER.MOMENTUM", 0.9, "[O] momentum of sgd"),
    ("SOLVER.NESTEROV", False, "[D2] Nesterov momentum"),
    ("SOLVER.WEIGHT_DECAY", 0.0, "[O] weight decay of weights"),
    ("SOLVER.WEIGHT_DECAY_NORM", 0.0, "[D2] weight decay of normalisation scales and shifts"),
    ("SOLVER.WEIGHT_DECAY_BIAS", None, "[D2] weight decay of biases; none means WEIGHT_DECAY"),
    ("SOLVER.BIAS_LR_FACTOR", 1.0, "[D2] multiplier of the learning rate of biases"),
    ("SOLVER.MAX_ITER", 600000, "[P] optimiser steps"),
    ("SOLVER.LR_SCHEDULER_NAME", "WarmupMultiStepLR", "[O] WarmupMultiStepLR or WarmupCosineLR"),
    ("SOLVER.STEPS", (), "[O] steps that multiply the rate by GAMMA; its first, 900k, is never reached"),
    ("SOLVER.GAMMA", 0.1, "[O] factor of each step"),
    ("SOLVER.WARMUP_ITERS", 1000, "[D2] steps of warm-up"),
    ("SOLVER.WARMUP_FACTOR", 0.001, "[D2] share of the learning rate at which the warm-up starts"),
    ("SOLVER.WARMUP_METHOD", "linear", "[D2] linear or constant"),
    ("SOLVER.CHECKPOINT_PERIOD", 5000, "[D2] steps between checkpoints"),
    ("SOLVER.CLIP_GRADIENTS.ENABLED", True, "[O] clip gradients"),
    ("SOLVER.CLIP_GRADIENTS.CLIP_TYPE", "full_model", "[O] by the norm of the whole model's gradient"),
    ("SOLVER.CLIP_GRADIENTS.CLIP_VALUE", 10.0, "[O] largest norm"),
    ("SOLVER.CLIP_GRADIENTS.NORM_TYPE", 2.0, "[O] Euclidean"),
    ("SOLVER.AMP.ENABLED", False, "[D] bfloat16 autocast in training"),

    ("TEST.EVAL_PERIOD", 0, "[D2] steps between evaluations; 0 evaluates once, at the end"),
    ("TEST.IMS_PER_BATCH", 1, "[D] keyframes, or parts of videos, per forward pass and process"),
    ("TEST.CLIPS", 0, "[P] classifier: 0 tests all frames, n as many clips of INPUT.NUM_FRAMES, evenly spread"),
    ("TEST.CROPS", 1, "[P] classifier: 1 tests the centre crop, 3 also both ends of the longer side"),
    ("TEST.PAD_FRAMES", 0, "[P] classifier: shorter videos are looped to so many frames"),
    ("TEST.CHUNK_FRAMES", 320, "[D] classifier: frames of one pass; longer videos take several, in equal memory"),
    ("TEST.SAVE_SCORES", False, "[D] classifier: write scores.npz beside results.json, as --save-scores"),
    ("TEST.DETECTIONS_PER_IMAGE", 300, "[O] detections kept per keyframe"),
    ("TEST.DETECTIONS_PER_CLASS", 100, "[O] detections kept per keyframe and class"),
    ("TEST.PRESET", "voc", "[D] frame-mAP protocol: voc, tfod, act, peng, gurkirt or yowo"),
    ("TEST.FRAMES", "", "[D] frames that count: all or annotated; empty: as the preset says"),
    ("TEST.IOU_THRESHOLD", 0.5, "[P] overlap from which a detection is right"),
    ("TEST.PICTURES", 0, "[D] videos drawn after an evaluation, to OUTPUT_DIR/pictures; 0 draws none"),
    ("TEST.COCO", False, "[D] add COCO-style AP and AR"),
))
# fmt: on


class ActionCfgNode(CheckedCfgNode):
    """The config of this project: checked merges and a portable dump."""

    def dump(self, **kwargs: Any) -> str:
        """YAML of the keys of the table and of those Detectron2 keys that differ from Detectron2's default.

        So a config saved with Detectron2 installed loads without it, unless it depends on Detectron2.
        """
        defaults, own = dict(leaves(d2.get_cfg())), {key.name for key in KEYS}
        tree: dict[str, Any] = {}
        for name, value in leaves(self):
            if name in own or name not in defaults or defaults[name] != value:
                put(tree, name, value)
        return yaml.safe_dump(tree, **kwargs)


def get_cfg() -> ActionCfgNode:
    """A fresh config: the defaults of the table, over Detectron2's own where it is installed."""
    tree: dict[str, Any] = d2.get_cfg()
    for key in KEYS:
        put(tree, key.name, copy.deepcopy(key.default))
    cfg = ActionCfgNode(tree)
    cfg.MODEL.CONTEXT.OVERRIDES.set_new_allowed(True)
    cfg.MODEL.DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
    return cfg


def load_cfg(config_file: str | os.PathLike = "", overrides: Sequence[Any] = ()) -> ActionCfgNode:
    """Defaults, then `config_file` unless empty, then `[KEY, VALUE, ...]` overrides; frozen."""
    cfg = get_cfg()
    if config_file:
        cfg.merge_from_file(os.fspath(config_file))
    cfg.merge_from_list(overrides)
    cfg.freeze()
    return cfg
