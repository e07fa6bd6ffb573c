"""Every file in configs/ loads, names what exists, and holds the paper's settings where it claims to."""

from pathlib import Path

import pytest

import backbones
from detect.config import KEYS, check_read, load_cfg
from detect.d2 import DatasetCatalog
from detect.data import catalog
from detect.engine.solver import scale_learning_rate

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
VIDEO_SETS = {
    *(f"{name}_{part}" for name in ("kinetics400", "mini_kinetics200", "ssv1", "ssv2") for part in ("train", "val")),
    *(f"synthetic_cls_{part}" for part in ("train", "test")),
    *(f"{name}_split1_{part}" for name in ("ucf101", "hmdb51") for part in ("train", "test")),
}
FILES = sorted(CONFIGS.rglob("*.yaml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(CONFIGS)))
def test_it_loads_and_names_what_exists(path):
    cfg = load_cfg(path)
    check_read(cfg, "classifier" if cfg.MODEL.META_ARCHITECTURE == "ActionClassifier" else "detector")
    assert cfg.MODEL.CONTEXT.NAME in backbones.names()
    assert cfg.MODEL.CONTEXT.TAP in backbones.ENDPOINTS
    legal = VIDEO_SETS if cfg.MODEL.META_ARCHITECTURE == "ActionClassifier" else DatasetCatalog.list()
    for name in (*cfg.DATASETS.TRAIN, *cfg.DATASETS.TEST):
        assert name in legal or catalog.is_own(name)


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


@pytest.mark.parametrize(
    "folder, batch, lr, max_iter, steps, pad, flip",
    [
        ("kinetics400", 56 * 6, 0.1, 80000, (60000, 70000), 0, 0.5),
        ("mini_kinetics200", 56 * 6, 0.1, 80000, (60000, 70000), 250, 0.5),
        ("ssv1", 16 * 6, 0.1, 10000, (), 64, 0.0),
        ("ssv2", 16 * 6, 0.1, 10000, (), 64, 0.0),
        ("ucf101", 8 * 6, 0.01, 8000, (6000,), 0, 0.5),
        ("hmdb51", 8 * 6, 0.01, 8000, (6000,), 0, 0.5),
    ],
)
def test_the_papers_classification(folder, batch, lr, max_iter, steps, pad, flip):
    """GPUs x 6 clips, rates and steps of the paper (sections 3 and 5.1); weight decay and dropout of slim's S3D."""
    cfg = load_cfg(CONFIGS / folder / "s3dg.yaml")
    solver = cfg.SOLVER
    assert solver.IMS_PER_BATCH * solver.ACCUMULATE == solver.REFERENCE_BATCH == batch
    assert (solver.BASE_LR, solver.MAX_ITER, solver.STEPS, solver.GAMMA) == (lr, max_iter, steps, 0.1)
    assert (solver.MOMENTUM, solver.WEIGHT_DECAY, cfg.MODEL.CLASSIFIER.DROPOUT) == (0.9, 1e-7, 0.2)
    assert (cfg.INPUT.NUM_FRAMES, cfg.INPUT.RESIZE, cfg.INPUT.SIZE) == (64, (256, 256), (224, 224))
    assert (cfg.TEST.PAD_FRAMES, cfg.TEST.CLIPS, cfg.TEST.CROPS, cfg.INPUT.FLIP_PROB) == (pad, 0, 1, flip)
    assert scale_learning_rate(cfg) is cfg


def test_every_key_says_what_it_means_and_where_it_comes_from():
    for key in KEYS:
        assert key.meaning.startswith(("[P]", "[O]", "[D2]", "[D]")), key.name
