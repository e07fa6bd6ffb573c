"""A tiny detector whose scores are far from equal: at random weights of 0.01 its head scores all regions alike."""

import torch

from detect.utils.checkpoint_files import read_checkpoint
from tests.tiny import save_detector

OPEN_GATES = ("MODEL.CONTEXT.OVERRIDES.gate_init", 3.0)  # half open ones, one after the other, leave little
FACTORS = {"roi_heads.cls_score.weight": 1000, "roi_heads.bbox_pred.weight": 2000}


def lively(state):
    return {name: state[name] * factor for name, factor in FACTORS.items()}


def save_lively_detector(path, *overrides):
    """As `save_detector`."""
    save_detector(path, *OPEN_GATES, *overrides)
    data = read_checkpoint(path)
    data["model"] |= lively(data["model"])
    torch.save(data, path)
    return path
