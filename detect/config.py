"""Every config key: its default, one line of meaning, and where the default comes from.

Keys that Detectron2 has carry Detectron2's name; a config file means the same with and without it.
"(RPN only)" marks a key that only that component of Detectron2 reads; ours do what the default says. A key that the
chosen architecture does not read must keep its default, else it is an error that says who reads it.
Sources: [P] the paper (Xie et al., ECCV 2018, section 5.3), [O] TensorFlow Object Detection API sample
configs, on whose defaults the paper builds, [D2] Detectron2's default, [D] decided here. Keys marked "classifier:"
are read by tools/train_classifier.py only; its other defaults are in configs/Base-ActionClassifier.yaml.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence
from typing import Any

import torch
import yaml

import backbones
from detect import config_checks as checks
from detect import d2
from detect.config_checks import COUNT, FILLED, NOT_NEGATIVE, POSITIVE, SHARE, Key, list_of, one_of
from detect.config_node import CheckedCfgNode, ConfigError, leaves, put

# fmt: off
KEYS: tuple[Key, ...] = tuple(Key(*row) for row in (
    ("VERSION", 2, None, "[D2] version of the config format"),
    ("SEED", -1, None, "[D2] seed of every random generator; negative draws one and logs it"),
    ("OUTPUT_DIR", "./output", FILLED, "[D2] folder of checkpoints, logs, metrics and the saved config"),
    ("CUDNN_BENCHMARK", False, None, "[D2] let cuDNN time its algorithms; inputs here have one size"),

    ("MODEL.META_ARCHITECTURE", "ActionRCNN", FILLED, "[P] the registered detector"),
    ("MODEL.DEVICE", "cpu", checks.DEVICE, "[D] cuda where a GPU is present (decided in get_cfg), else cpu"),
    ("MODEL.WEIGHTS", "", None, "[D2] checkpoint of the whole detector, to start from or to evaluate"),
    ("MODEL.PIXEL_MEAN", [123.675, 116.28, 103.53], list_of(checks.FINITE, 3),
     "[D] ImageNet mean of the keyframe, as INPUT.FORMAT"),
    ("MODEL.PIXEL_STD", [58.395, 57.12, 57.375], list_of(POSITIVE, 3), "[D] ImageNet deviation, as INPUT.FORMAT"),

    ("MODEL.BACKBONE.NAME", "build_keyframe_resnet", FILLED, "[P] the trunk; Detectron2's: build_resnet_backbone"),
    ("MODEL.BACKBONE.FREEZE_AT", 0, checks.within(0, 5),
     "[O] freeze the stem and the stages up to this number; 0 trains all"),
    ("MODEL.BACKBONE.WEIGHTS", "", None, "[P] file of the trunk's weights, maybe the RPN's too; empty for random"),
    ("MODEL.RESNETS.DEPTH", 50, one_of(18, 34, 50, 101, 152), "[P] ResNet-50"),
    ("MODEL.RESNETS.NORM", "FrozenBN", one_of("FrozenBN", "BN", "SyncBN", "GN", ""),
     "[O] batch norm keeps its ImageNet statistics; BN trains it"),
    ("MODEL.RESNETS.STRIDE_IN_1X1", False, None, "[D] stride in the 3x3 convolution as torchvision's weights want"),
    ("MODEL.RESNETS.OUT_FEATURES", ["res4"], checks.SOME, "[P] conv4, stride 16 (build_resnet_backbone only)"),

    ("MODEL.STREAMS", ("rgb",), one_of(("rgb",), ("flow",), ("rgb", "flow")),
     "[P] what the context network sees; of both the maps at MODEL.CONTEXT.TAP are averaged"),
    ("MODEL.CONTEXT.NAME", "s3dg", checks.NETWORK,
     "[P] context network by its backbones.build name: s3dg, i3d, i2d, ..."),
    ("MODEL.CONTEXT.WIDTH", 1.0, POSITIVE, "[D] multiplier of every channel count of the context network"),
    ("MODEL.CONTEXT.TAP", "mixed_4e", one_of(*backbones.ENDPOINTS),
     "[P] endpoint that is pooled, also as MODEL.ROI_HEADS.IN_FEATURES [name]"),
    ("MODEL.CONTEXT.SHARE_UP_TO", "", one_of("", *backbones.ENDPOINTS), "[D] of a span the part run once; empty: TAP"),
    ("MODEL.CONTEXT.WEIGHTS", "", None, "[P] Kinetics weights of the context network (a file); empty for random"),
    ("MODEL.CONTEXT.PIXEL_MEAN", [127.5, 127.5, 127.5], list_of(checks.FINITE, 3),
     "[P] with the next key, pixels become -1 .. 1"),
    ("MODEL.CONTEXT.PIXEL_STD", [127.5, 127.5, 127.5], list_of(POSITIVE, 3), "[P] see the previous key"),
    ("MODEL.CONTEXT.NORM", "FrozenBN", one_of("FrozenBN", "BN", "SyncBN"),
     "[O] FrozenBN keeps batch-norm statistics and scale; BN, SyncBN train them"),
    ("MODEL.CONTEXT.FREEZE_AT", "", one_of("", *backbones.ENDPOINTS),
     "[D] freeze the context network up to this endpoint"),
    ("MODEL.CONTEXT.ACTIVATION_CHECKPOINT", False, None,
     "[D] less memory in training, a second forward pass of the stages"),
    ("MODEL.CONTEXT.OVERRIDES", {}, None, "[D] fields of the network's variant to change, by name; any keys"),

    ("MODEL.FLOW.NAME", "", one_of("", *backbones.names()),
     "[P] network of the flow stream; empty here and below: as MODEL.CONTEXT"),
    ("MODEL.FLOW.WIDTH", None, checks.optional(POSITIVE), "[D] its width; the maps that are averaged must be of one"),
    ("MODEL.FLOW.WEIGHTS", "", None, "[P] its weights: of a flow classifier, or of an RGB one; empty for random"),
    ("MODEL.FLOW.PIXEL_MEAN", [127.5, 127.5], list_of(checks.FINITE, 2), "[P] with the next key, x, y become -1 .. 1"),
    ("MODEL.FLOW.PIXEL_STD", [127.5, 127.5], list_of(POSITIVE, 2), "[P] see the previous key"),
    ("MODEL.FLOW.NORM", "", one_of("", "FrozenBN", "BN", "SyncBN"), "[O] its batch normalisation"),
    ("MODEL.FLOW.FREEZE_AT", None, checks.nullable(one_of("", *backbones.ENDPOINTS)), "[D] its last frozen endpoint"),
    ("MODEL.FLOW.ACTIVATION_CHECKPOINT", None, checks.nullable(one_of(False, True)), "[D] less memory for it"),
    ("MODEL.FLOW.OVERRIDES", {}, None, "[D] fields of its variant, over those of MODEL.CONTEXT.OVERRIDES; any keys"),

    ("MODEL.CLASSIFIER.DROPOUT", 0.2, checks.BELOW_ONE, "[P] classifier: share of pooled features dropped in training"),
    ("MODEL.CLASSIFIER.LABEL_SMOOTHING", 0.0, checks.BELOW_ONE,
     "[D] classifier: share of the target spread over all classes"),

    ("MODEL.ANCHOR_GENERATOR.SIZES", [[64, 128, 256, 512]], checks.lists_of(POSITIVE),
     "[O] anchor sides, input pixels, per map"),
    ("MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS", [[0.5, 1.0, 2.0]], checks.lists_of(POSITIVE),
     "[O] anchor height / width, per feature map"),
    ("MODEL.PROPOSAL_GENERATOR.NAME", "KeyframeRPN", FILLED, "[P] proposal generator; RPN is Detectron2's"),
    ("MODEL.PROPOSAL_GENERATOR.MIN_SIZE", 0, NOT_NEGATIVE,
     "[D2] proposals with a side below this many pixels are dropped"),
    ("MODEL.RPN.HEAD_NAME", "StandardRPNHead", FILLED, "[D2] a 3x3 convolution, objectness, deltas (RPN only)"),
    ("MODEL.RPN.IN_FEATURES", ["res4"], checks.SOME, "[P] feature maps that carry anchors"),
    ("MODEL.RPN.CONV_DIMS", [-1], checks.SOME, "[D2] channels of the head's convolutions; -1: the input's (RPN only)"),
    ("MODEL.RPN.BOUNDARY_THRESH", -1, None, "[D2] untrained if this far outside; -1: all trained (RPN only)"),
    ("MODEL.RPN.IOU_THRESHOLDS", [0.3, 0.7], list_of(SHARE, 2, rising=True),
     "[O] below the first: negative; above the second: positive"),
    ("MODEL.RPN.IOU_LABELS", [0, -1, 1], None, "[O] labels between the thresholds, -1 ignored (RPN only)"),
    ("MODEL.RPN.BATCH_SIZE_PER_IMAGE", 256, COUNT, "[O] anchors sampled per image for the loss"),
    ("MODEL.RPN.POSITIVE_FRACTION", 0.5, SHARE, "[O] largest share of positives among them"),
    ("MODEL.RPN.BBOX_REG_WEIGHTS", (1.0, 1.0, 1.0, 1.0), list_of(POSITIVE, 4), "[D2] scales of the deltas dx dy dw dh"),
    ("MODEL.RPN.SMOOTH_L1_BETA", 0.0, NOT_NEGATIVE, "[D2] where the box loss turns from quadratic to linear; 0 is L1"),
    ("MODEL.RPN.LOSS_WEIGHT", 1.0, NOT_NEGATIVE, "[O] weight of the objectness loss"),
    ("MODEL.RPN.BBOX_REG_LOSS_WEIGHT", 2.0, NOT_NEGATIVE, "[O] weight of the box loss, times LOSS_WEIGHT"),
    ("MODEL.RPN.PRE_NMS_TOPK_TRAIN", 2000, COUNT, "[D] proposals kept before suppression, training"),
    ("MODEL.RPN.PRE_NMS_TOPK_TEST", 1000, COUNT, "[D] proposals kept before suppression, test"),
    ("MODEL.RPN.POST_NMS_TOPK_TRAIN", 300, COUNT, "[O] proposals kept after suppression, training"),
    ("MODEL.RPN.POST_NMS_TOPK_TEST", 300, COUNT, "[O] proposals kept after suppression, test"),
    ("MODEL.RPN.NMS_THRESH", 0.7, SHARE, "[O] IoU above which the weaker proposal is suppressed"),
    ("MODEL.RPN.NMS_THRESH_TEST", None, checks.optional(SHARE), "[D] the same at test, if another (KeyframeRPN only)"),
    ("MODEL.RPN.SCORE_THRESH_TEST", 0.0, SHARE,
     "[D] proposals of less objectness than this are dropped at test, all but the best (KeyframeRPN only)"),

    ("MODEL.ROI_HEADS.NAME", "ActionROIHead", FILLED, "[P] region head over the context network's tail"),
    ("MODEL.ROI_HEADS.NUM_CLASSES", 24, COUNT, "[D] action classes without background (24: UCF101-24)"),
    ("MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE", 64, COUNT, "[O] regions sampled per image for the loss"),
    ("MODEL.ROI_HEADS.POSITIVE_FRACTION", 0.25, SHARE, "[O] largest share of foreground among them"),
    ("MODEL.ROI_HEADS.IOU_THRESHOLDS", [0.5], list_of(SHARE, 1), "[O] overlap from which a region is foreground"),
    ("MODEL.ROI_HEADS.IOU_LABELS", [0, 1], None, "[O] labels around the threshold (StandardROIHeads only)"),
    ("MODEL.ROI_HEADS.PROPOSAL_APPEND_GT", True, None, "[D2] ground-truth boxes join the proposals in training"),
    ("MODEL.ROI_HEADS.SCORE_THRESH_TEST", 0.0, SHARE, "[O] detections scored below this are dropped"),
    ("MODEL.ROI_HEADS.NMS_THRESH_TEST", 0.6, SHARE, "[O] IoU of the suppression within a class"),
    ("MODEL.ROI_BOX_HEAD.BBOX_REG_WEIGHTS", (10.0, 10.0, 5.0, 5.0), list_of(POSITIVE, 4),
     "[O] scales of the deltas dx dy dw dh"),
    ("MODEL.ROI_BOX_HEAD.SMOOTH_L1_BETA", 1.0, NOT_NEGATIVE, "[O] where the box loss turns from quadratic to linear"),
    ("MODEL.ROI_BOX_HEAD.CLS_LOSS_WEIGHT", 1.0, NOT_NEGATIVE, "[O] weight of the classification loss"),
    ("MODEL.ROI_BOX_HEAD.BBOX_REG_LOSS_WEIGHT", 2.0, NOT_NEGATIVE, "[O] weight of the box loss"),
    ("MODEL.ROI_BOX_HEAD.POOLER_RESOLUTION", 7, COUNT, "[O] cells per side of a pooled region"),
    ("MODEL.ROI_BOX_HEAD.POOLER_SAMPLING_RATIO", 1, COUNT, "[O] bilinear samples per side of a cell, at least 1"),
    ("MODEL.ROI_BOX_HEAD.MAX_POOL", True, None, "[O] pool at twice the resolution, then 2x2 maximum"),
    ("MODEL.ROI_BOX_HEAD.DROPOUT", 0.0, checks.BELOW_ONE, "[O] share of pooled features dropped in training"),

    ("INPUT.FORMAT", "RGB", one_of("RGB", "BGR"),
     "[D] channel order of the keyframe: RGB or BGR (Detectron2's zoo weights)"),
    ("INPUT.NUM_FRAMES", 20, COUNT, "[P] frames of context, keyframe at position NUM_FRAMES // 2"),
    ("INPUT.SPAN_FRAMES", 0, NOT_NEGATIVE, "[D] most frames of a span, whose trunk runs once; 0: windows only"),
    ("INPUT.SPAN_KEYFRAMES", 0, NOT_NEGATIVE, "[D] keyframes of a span in training, drawn anew each time; 0: all"),
    ("INPUT.SIZE", (320, 400), list_of(COUNT, 2), "[P] height, width of the network input; the aspect is not kept"),
    ("INPUT.MODALITY", "rgb", one_of("rgb", "flow"), "[P] classifier: rgb or flow"),
    ("INPUT.RESIZE", (256, 256), list_of(COUNT, 2),
     "[P] classifier: height, width of the frames of which SIZE is cropped"),
    ("INPUT.FLIP_PROB", 0.5, SHARE, "[O] chance of a horizontal flip in training"),
    ("INPUT.COLOR_JITTER", 0.0, checks.BELOW_ONE,
     "[D] brightness, contrast, saturation vary by up to this share in training"),
    ("INPUT.SCALE_JITTER", (1.0, 1.0), list_of(POSITIVE, 2, rising=True), "[D] smallest and largest zoom in training"),

    ("DATASETS.TRAIN", (), checks.NAMES, "[D2] names of registered training sets"),
    ("DATASETS.TEST", (), checks.NAMES, "[D2] names of registered test sets"),
    ("DATASETS.ROOT", "", None, "[D] folder of ucf24/, jhmdb/, ...; empty: DETECT_DATASETS, else ./datasets"),
    ("DATALOADER.NUM_WORKERS", 2, NOT_NEGATIVE, "[D] loader processes per training process; 0 loads in it"),
    ("DATALOADER.MAX_BAD_SHARE", 0.02, SHARE, "[D] training stops when a larger share of samples cannot be read"),

    ("SOLVER.OPTIMIZER", "sgd", one_of("sgd", "adamw"), "[P] sgd or adamw"),
    ("SOLVER.IMS_PER_BATCH", 1, COUNT, "[O] clips per step over all processes; the learning rate belongs to it"),
    ("SOLVER.ACCUMULATE", 1, COUNT, "[D] batches of IMS_PER_BATCH whose gradients are averaged into one step"),
    ("SOLVER.REFERENCE_BATCH", 0, NOT_NEGATIVE,
     "[D] clips a step that BASE_LR is for; scaled linearly to another; 0: never"),
    ("SOLVER.EMA_DECAY", 0.0, checks.BELOW_ONE,
     "[D] decay a step of averaged weights, which are evaluated and saved; 0: none"),
    ("SOLVER.BASE_LR", 3e-4, POSITIVE, "[O] learning rate after the warm-up"),
    ("SOLVER.BASE_LR_END", 0.0, NOT_NEGATIVE, "[D2] last learning rate of WarmupCosineLR"),
    ("SOLVER.MOMENTUM", 0.9, checks.BELOW_ONE, "[O] momentum of sgd"),
    ("SOLVER.NESTEROV", False, None, "[D2] Nesterov momentum"),
    ("SOLVER.WEIGHT_DECAY", 0.0, NOT_NEGATIVE, "[O] weight decay of weights"),
    ("SOLVER.WEIGHT_DECAY_NORM", 0.0, NOT_NEGATIVE, "[D2] weight decay of normalisation scales and shifts"),
    ("SOLVER.WEIGHT_DECAY_BIAS", None, checks.optional(NOT_NEGATIVE),
     "[D2] weight decay of biases; none means WEIGHT_DECAY"),
    ("SOLVER.BIAS_LR_FACTOR", 1.0, NOT_NEGATIVE, "[D2] multiplier of the learning rate of biases"),
    ("SOLVER.MAX_ITER", 600000, COUNT, "[P] optimiser steps"),
    ("SOLVER.LR_SCHEDULER_NAME", "WarmupMultiStepLR", one_of("WarmupMultiStepLR", "WarmupCosineLR"),
     "[O] WarmupMultiStepLR or WarmupCosineLR"),
    ("SOLVER.STEPS", (), list_of(COUNT, rising=True),
     "[O] steps that multiply the rate by GAMMA; its first, 900k, is never reached"),
    ("SOLVER.GAMMA", 0.1, POSITIVE, "[O] factor of each step"),
    ("SOLVER.WARMUP_ITERS", 1000, NOT_NEGATIVE, "[D2] steps of warm-up"),
    ("SOLVER.WARMUP_FACTOR", 0.001, SHARE, "[D2] share of the learning rate at which the warm-up starts"),
    ("SOLVER.WARMUP_METHOD", "linear", one_of("linear", "constant"), "[D2] linear or constant"),
    ("SOLVER.CHECKPOINT_PERIOD", 5000, COUNT, "[D2] steps between checkpoints"),
    ("SOLVER.KEEP_CHECKPOINTS", 0, NOT_NEGATIVE, "[D] newest model_<iteration>.pth that stay; 0 keeps all"),
    ("SOLVER.SKIP_NOT_FINITE", 0, NOT_NEGATIVE,
     "[D] steps of a run that may be skipped for a loss or gradient that is not finite; one more stops it"),
    ("SOLVER.CLIP_GRADIENTS.ENABLED", True, None, "[O] clip gradients"),
    ("SOLVER.CLIP_GRADIENTS.CLIP_TYPE", "full_model", one_of("full_model"),
     "[O] by the norm of the whole model's gradient"),
    ("SOLVER.CLIP_GRADIENTS.CLIP_VALUE", 10.0, POSITIVE, "[O] largest norm"),
    ("SOLVER.CLIP_GRADIENTS.NORM_TYPE", 2.0, one_of(2.0), "[O] Euclidean"),
    ("SOLVER.AMP.ENABLED", False, None, "[D] bfloat16 autocast in training"),

    ("TEST.EVAL_PERIOD", 0, NOT_NEGATIVE, "[D2] steps between evaluations; 0 evaluates once, at the end"),
    ("TEST.IMS_PER_BATCH", 1, COUNT, "[D] keyframes, or parts of videos, per forward pass and process"),
    ("TEST.CLIPS", 0, NOT_NEGATIVE,
     "[P] classifier: 0 tests all frames, n as many clips of INPUT.NUM_FRAMES, evenly spread"),
    ("TEST.CROPS", 1, one_of(1, 3), "[P] classifier: 1 tests the centre crop, 3 also both ends of the longer side"),
    ("TEST.PAD_FRAMES", 0, NOT_NEGATIVE, "[P] classifier: shorter videos are looped to so many frames"),
    ("TEST.CHUNK_FRAMES", 320, checks.EIGHTS,
     "[D] classifier: frames of one pass; longer videos take several, in equal memory"),
    ("TEST.SAVE_SCORES", False, None, "[D] classifier: write scores.npz beside results.json, as --save-scores"),
    ("TEST.KEYFRAME_STRIDE", 1, COUNT, "[D] detect on every n-th frame; between, boxes move along linked detections"),
    ("TEST.SPAN_PHASES", 0, NOT_NEGATIVE,
     "[D] passes of a span that begin between two steps of its map; with fewer than the stride, the nearest; 0: all"),
    ("TEST.DETECTIONS_PER_IMAGE", 300, COUNT, "[O] detections kept per keyframe"),
    ("TEST.DETECTIONS_PER_CLASS", 100, COUNT, "[O] detections kept per keyframe and class"),
    ("TEST.PRESET", "voc", one_of("voc", "tfod", "act", "peng", "gurkirt", "yowo", "yowo_11pt"),
     "[D] frame-mAP protocol: voc, tfod, act, peng, gurkirt or yowo"),
    ("TEST.FRAMES", "", one_of("", "all", "annotated"),
     "[D] frames that count: all or annotated; empty: as the preset says"),
    ("TEST.IOU_THRESHOLD", 0.5, checks.OVERLAP, "[P] overlap from which a detection is right"),
    ("TEST.MAX_BAD_SHARE", 0.02, SHARE, "[D] exit status 1 when more of the frames, or videos, cannot be read"),
    ("TEST.PICTURES", 0, NOT_NEGATIVE, "[D] videos drawn after an evaluation, to OUTPUT_DIR/pictures; 0 draws none"),
    ("TEST.COCO", False, None, "[D] add COCO-style AP and AR"),
))
# fmt: on


class ActionCfgNode(CheckedCfgNode):
    """The config of this project: checked merges and a portable dump."""

    def merge_tree(self, tree: Any, origin: str) -> None:
        super().merge_tree(checks.without_alias(tree, origin), origin)

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
    cfg.MODEL.FLOW.OVERRIDES.set_new_allowed(True)
    cfg.MODEL.DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
    return cfg


def check_values(cfg: ActionCfgNode) -> None:
    """ConfigError with every key whose value is not legal."""
    if problems := [*checks.violations(KEYS, dict(leaves(cfg))), *checks.contradictions(cfg)]:
        raise ConfigError(". ".join(problems))


def load_cfg_of_checkpoint(text: str, path: str, overrides: Sequence[Any] = ()) -> ActionCfgNode:
    """The config `text` in the checkpoint at `path`, which becomes MODEL.WEIGHTS, then the overrides; frozen.

    The device is this machine's. Results go to the checkpoint's folder: a file from elsewhere names no folder to write.
    """
    cfg = get_cfg()
    here = os.path.dirname(path) if os.path.isfile(path) else cfg.OUTPUT_DIR
    kept = {"MODEL.DEVICE": cfg.MODEL.DEVICE, "MODEL.WEIGHTS": path, "OUTPUT_DIR": here or "."}
    try:
        tree = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"the config in {path} cannot be read: {error}") from error
    cfg.merge_tree(tree, f"the config in {path}")
    cfg.merge_from_list([*(word for pair in kept.items() for word in pair), *overrides])
    check_values(cfg)
    cfg.freeze()
    return cfg


def changed_keys(cfg: dict) -> dict[str, Any]:
    """{dotted name: value} of what is not the default."""
    defaults = dict(leaves(get_cfg()))
    return {name: value for name, value in leaves(cfg) if name not in defaults or defaults[name] != value}


def check_read(cfg: ActionCfgNode, reader: str, unread: Sequence[str] = (), tool: str = "") -> None:
    """ConfigError for keys that are set to something else than their default and would be ignored.

    reader: "detector" or "classifier", whose architecture MODEL.META_ARCHITECTURE must be. unread: further keys that
    `tool` does not read.
    """
    checks.check_architecture(cfg.MODEL.META_ARCHITECTURE, reader)
    changed = changed_keys(cfg)
    problems = [f"{key} is {changed[key]!r}, and {tool} does not read it" for key in unread if key in changed]
    problems += [*checks.unread_keys(KEYS, cfg, changed, reader), *checks.unread_options(cfg.SOLVER, changed)]
    if problems:
        raise ConfigError(f"{'; '.join(problems)}. Leave {'it' if len(problems) == 1 else 'them'} at the default")


def load_cfg(config_file: str | os.PathLike = "", overrides: Sequence[Any] = ()) -> ActionCfgNode:
    """Defaults, then `config_file` unless empty, then `[KEY, VALUE, ...]` overrides; frozen."""
    cfg = get_cfg()
    if config_file:
        cfg.merge_from_file(os.fspath(config_file))
    cfg.merge_from_list(overrides)
    check_values(cfg)
    cfg.freeze()
    return cfg
