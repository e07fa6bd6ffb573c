"""Every file in configs/ loads, names what exists, and holds the paper's settings where it claims to."""

from pathlib import Path

import pytest

import backbones
from detect.config import KEYS, load_cfg
from detect.d2 import DatasetCatalog
from detect.data import catalog  # noqa: F401  (registers the datasets)

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
FILES = sorted(CONFIGS.rglob("*.yaml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(CONFIGS)))
def test_it_loads_and_names_what_exists(path):
    cfg = load_cfg(path)
    assert cfg.MODEL.CONTEXT.NAME in backbones.names()
    assert cfg.MODEL.CONTEXT.TAP in backbones.ENDPOINTS
    for name in (*cfg.DATASETS.TRAIN, *cfg.DATASETS.TEST):
        assert name in DatasetCatalog.list()


@pytest.mark.parametrize("folder, classes", [("jhmdb", 21), ("ucf24", 24)])
@pytest.mark.parametrize("name", ["s3dg", "i3d"])
def test_the_papers_settings(folder, classes, name):
    cfg = load_cfg(CONFIGS / folder / f"{name}.yaml")
    assert cfg.MODEL.ROI_HEADS.NUM_CLASSES == classes
    assert (cfg.INPUT.SIZE, cfg.INPUT.NUM_FRAMES) == ((320, 400), 20)
    assert (cfg.MODEL.RESNETS.DEPTH, cfg.MODEL.CONTEXT.TAP, cfg.MODEL.CONTEXT.NAME) == (50, "mixed_4e", name)
    assert cfg.MODEL.ANCHOR_GENERATOR.SIZES == [[64, 128, 256, 512]]
    assert (cfg.MODEL.RPN.NMS_THRESH, cfg.MODEL.RPN.POST_NMS_TOPK_TEST) == (0.7, 300)
    assert (cfg.MODEL.ROI_HEADS.NMS_THRESH_TEST, cfg.TEST.DETECTIONS_PER_CLASS, cfg.TEST.DETECTIONS_PER_IMAGE) == (
        0.6,
        100,
        300,
    )
    assert (cfg.MODEL.ROI_BOX_HEAD.POOLER_RESOLUTION, cfg.MODEL.ROI_BOX_HEAD.MAX_POOL) == (7, True)
    assert (cfg.SOLVER.BASE_LR, cfg.SOLVER.MOMENTUM, cfg.SOLVER.MAX_ITER) == (3e-4, 0.9, 600000)
    assert cfg.SOLVER.CLIP_GRADIENTS.CLIP_VALUE == 10.0 and cfg.INPUT.FLIP_PROB == 0.5


def test_every_key_says_what_it_means_and_where_it_comes_from():
    for key in KEYS:
        assert key.meaning.startswith(("[P]", "[O]", "[D2]", "[D]")), key.name
