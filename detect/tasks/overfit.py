"""What `tools/train_net.py --overfit-check` does: learn a few clips by heart, or say what is in the way."""

import sys
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from detect.config import check_read
from detect.d2 import CfgNode
from detect.data.catalog import set_datasets_root
from detect.data.keyframe_mapper import KeyframeMapper
from detect.data.label_checks import twice_labelled
from detect.data.records import KeyframeDataset
from detect.engine.checkpoint import load_cfg_and_checkpoint
from detect.engine.setup import default_setup
from detect.engine.solver import scale_learning_rate
from detect.evaluation.overfit_measures import IOU
from detect.tasks.detection import DETECTION, frozen_at_random
from detect.tasks.overfit_annotation import clash_line, look_at_annotation
from detect.tasks.overfit_clips import choose_clips
from detect.tasks.overfit_training import learn, overfit_config, try_out
from detect.tasks.overfit_verdict import Circumstances, FailedTraining, Finding, Learned, reason
from detect.utils.errors import UserError, explain_errors
from detect.utils.lock import only_run


@explain_errors()
def overfit_check(config_file: str = "", opts: Sequence[Any] = (), weights: str = "", count: int = 4) -> None:
    """See tools/train_net.py. count: clips. Exit status 1 where they cannot be learned; UserError for bad input."""
    if count < 1:
        raise UserError(f"--clips {count}: at least one")
    cfg, contents = load_cfg_and_checkpoint(config_file, opts, weights)
    check_read(cfg, DETECTION.reader)
    set_datasets_root(cfg.DATASETS.ROOT)
    if len(cfg.DATASETS.TRAIN) != 1:
        raise UserError(f"DATASETS.TRAIN is {cfg.DATASETS.TRAIN}; training takes exactly one set")
    whole = DETECTION.load_training_set(cfg.DATASETS.TRAIN[0], cfg)
    cfg = overfit_config(scale_learning_rate(DETECTION.fitted(cfg, whole, whole.classes)), count)
    with only_run(cfg.OUTPUT_DIR):
        default_setup(cfg)
        findings, looked = look_at_annotation(whole.dataset, cfg.INPUT.NUM_FRAMES)
        clips, items = choose_clips(whole.dataset, count, KeyframeMapper.from_config(cfg, is_train=False))
        learned = learn(cfg, clips, items, contents)
        if not findings and not learned.reached:
            failed = FailedTraining(learned, circumstances(cfg, clips), partial(try_out, cfg, clips, items, contents))
            findings = [reason(failed)]
    conclude(looked, findings, learned, clips, len(learned.losses) // cfg.SOLVER.ACCUMULATE)


def conclude(
    looked: Sequence[str], findings: Sequence[Finding], learned: Learned, clips: KeyframeDataset, steps: int
) -> None:
    """Print what was seen and, last, the verdict; exit status 1 if it is not good."""
    names, videos = clips.classes, clips.dataset.videos
    for video, keyframe in zip(videos, clips.keyframes, strict=True):
        labels = ", ".join(names[tube.label] for tube in video.tubes)
        print(f"clip: {video.name} frame {keyframe[0]}, {labels}")
    print(*looked, sep="\n", end="\n" * bool(looked))
    score = "nothing was looked at"
    if learned.measures:
        print(f"{learned.loss_line()}; {learned.measures[-1].line()}")
        score = f"frame-mAP@{IOU} = {learned.measures[-1].frame_map:.3f} on {len(videos)} clips after {steps} steps"
    for finding in findings:
        print(f"found: {finding.reason} ({finding.evidence})")
    if not findings:
        print(f"overfit check passed: {score}")
        return
    print(f"{score}{'; wrong boxes and labels are learned by heart too' if learned.reached else ''}")
    print(f"overfit check failed: {findings[0].reason}; next: {findings[0].next_step}")
    sys.exit(1)


def circumstances(cfg: CfgNode, clips: KeyframeDataset) -> Circumstances:
    """What a verdict needs of the config and the clips."""
    anchor, sizes = anchor_fit(cfg, clips)
    clashes = [clash_line(clash, clips.classes) for clash in twice_labelled(clips.dataset)]
    frozen = [f"{section}.NORM" for section in frozen_at_random(cfg).values()]
    first = clips[0]
    place = f"--video {first['video']} --frame {first['frame_index']}"
    see = f"see the clips: tools/visualize_data.py {clips.name} {place} --output clip.png"
    return Circumstances(cfg.SOLVER.BASE_LR, anchor, sizes, frozen, clips.classes, clashes, see)


def anchor_fit(cfg: CfgNode, clips: KeyframeDataset) -> tuple[float, list[int]]:
    """Median over the boxes of the IoU with the anchor of the best shape, both centred; and sizes that would fit."""
    height, width = cfg.INPUT.SIZE
    tubes = [(tube.boxes, video) for video in clips.dataset.videos for tube in video.tubes]
    # (n, 2) in pixels of the network's input
    sides = np.concatenate([(b[:, 2:] - b[:, :2]) * (width / v.width, height / v.height) for b, v in tubes])
    anchors = cfg.MODEL.ANCHOR_GENERATOR
    shapes = np.array([(s * r**-0.5, s * r**0.5) for s in anchors.SIZES[0] for r in anchors.ASPECT_RATIOS[0]])
    common = np.minimum(sides[:, None], shapes).prod(-1)  # (n, anchors)
    best = (common / (sides.prod(-1)[:, None] + shapes.prod(-1) - common)).max(1)
    sizes = np.unique(np.rint(np.quantile(np.sqrt(sides.prod(-1)), (0.1, 0.5, 0.9))).astype(int))
    return float(np.median(best)), sizes.tolist()
