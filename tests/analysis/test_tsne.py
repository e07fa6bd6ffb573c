"""t-SNE of pooled activations."""

import builtins
import importlib

import cv2
import numpy as np
import pytest
import torch

import backbones
from detect.analysis.tsne import draw_grid, embed, pooled_endpoints, save_points
from detect.classification import synthetic
from detect.classification.clips import EvalPlan
from detect.classification.loader import build_video_loader
from detect.classification.model import ActionClassifier, build_classifier
from detect.classification.records import VideoItem, VideoSet
from detect.config import load_cfg
from detect.engine.checkpoint import ActionCheckpointer
from detect.tasks.classification import CLASSIFICATION
from detect.tasks.tsne import draw_tsne
from detect.utils.plots import import_extra
from detect.video.readers import read_frames

NAMES = ("maxpool_2a_3x3", "mixed_3b")
PLAN = EvalPlan(resize_to=(64, 64), size=(64, 64), chunk_frames=16)


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tsne")
    synthetic.write_videos(folder / "set", num_train=3, num_test=0)
    paths = sorted((folder / "set").rglob("*.avi"))
    return VideoSet("toy", tuple(VideoItem(path.name, str(path), k) for k, path in enumerate(paths)), synthetic.CLASSES)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return ActionClassifier(backbones.build("i2d", num_classes=6, width=0.125), [127.5] * 3, [127.5] * 3)


def test_activations_are_means_over_time_and_space(videos, model):
    rows, pooled = pooled_endpoints(model, build_video_loader(videos, PLAN, 2), videos, NAMES)
    assert rows.tolist() == [0, 1, 2]
    clip = torch.from_numpy(read_frames(videos.items[1].path, range(13)).copy()).float() / 127.5 - 1
    with torch.no_grad():
        found = model.network.eval().endpoints(clip.permute(3, 0, 1, 2)[None], NAMES)
    for name in NAMES:
        np.testing.assert_allclose(pooled[name][1], found[name][0].mean((1, 2, 3)).numpy(), rtol=1e-4, atol=1e-7)


def test_unreadable_videos_are_left_out_and_named(videos, model, tmp_path, caplog):
    (tmp_path / "broken.avi").write_bytes(b"no video")
    broken = VideoItem("broken.avi", str(tmp_path / "broken.avi"), 0)
    mixed = VideoSet("toy", (broken, videos.items[0]), videos.classes)
    rows, pooled = pooled_endpoints(model, build_video_loader(mixed, PLAN, 4), mixed, NAMES)
    assert rows.tolist() == [1] and len(pooled["mixed_3b"]) == 1 and "broken.avi is left out" in caplog.text
    alone = VideoSet("toy", (broken,), videos.classes)
    with pytest.raises(ValueError, match="none of its 1 videos can be read"):
        pooled_endpoints(model, build_video_loader(alone, PLAN, 4), alone, NAMES)


def test_an_unknown_endpoint_is_refused(videos, model):
    with pytest.raises(ValueError, match="unknown endpoint 'mixed_9z'"):
        pooled_endpoints(model, build_video_loader(videos, PLAN, 2), videos, ("mixed_9z",))


def test_clusters_stay_together_and_a_seed_gives_the_same_points_again():
    pytest.importorskip("sklearn")
    rng = np.random.default_rng(0)
    centres = np.repeat(np.eye(2, 8) * 20, 10, axis=0)
    activations = centres + rng.normal(size=(20, 8))
    points = embed(activations, seed=1)
    assert points.shape == (20, 2)
    np.testing.assert_array_equal(embed(activations, seed=1), points)
    scales = 2.0 ** np.arange(-4, 4)  # of the channels: they do not count, and powers of two round alike
    np.testing.assert_array_equal(embed(activations * scales, seed=1), points)
    distances = np.linalg.norm(points[:, None] - points[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    assert (distances.argmin(1) // 10 == np.arange(20) // 10).all()  # everyone's neighbour is of its own cluster
    with pytest.raises(ValueError, match="t-SNE of 3 videos"):
        embed(np.zeros((3, 2)))


def test_a_grid_with_a_panel_for_each_layer(tmp_path):
    pytest.importorskip("matplotlib")
    rng = np.random.default_rng(0)
    points = {f"layer_{k}": rng.normal(size=(6, 2)) for k in range(4)}
    groups = ["a", "a", "b", "b", "c", "c"]
    draw_grid(tmp_path / "four.png", points, groups)
    draw_grid(tmp_path / "one.png", {"layer_0": points["layer_0"]}, groups)
    four, one = (cv2.imread(str(tmp_path / name)) for name in ("four.png", "one.png"))
    assert four.shape[1] == 3 * one.shape[1] and four.shape[0] > 1.5 * one.shape[0]  # two rows of three
    save_points(tmp_path / "four.npz", points, list("uvwxyz"), groups)
    with np.load(tmp_path / "four.npz") as data:
        assert data["videos"].tolist() == list("uvwxyz") and data["groups"].tolist() == groups
        np.testing.assert_array_equal(data["layer_3"], points["layer_3"])


def test_from_a_checkpoint_to_the_picture(tmp_path):
    pytest.importorskip("sklearn"), pytest.importorskip("matplotlib")
    synthetic.write_videos(tmp_path / "set", num_train=0, num_test=6)
    (tmp_path / "groups.txt").write_text("MoveLeft sideways\nMoveRight sideways\nGrow size\nShrink size\n")
    videos, options = f"list:{tmp_path}/set/test.txt", ["MODEL.CONTEXT.NAME", "i2d", "MODEL.CONTEXT.WIDTH", 0.125]
    job = ("configs/synthetic_cls.yaml", [*options, "DATASETS.TEST", (videos,), "MODEL.DEVICE", "cpu"])
    cfg = load_cfg(*job)
    model = build_classifier(cfg, CLASSIFICATION.load_set(videos, cfg).classes, initial_weights=False)
    ActionCheckpointer(model.network, str(tmp_path)).save("model")
    job = (*job, str(tmp_path / "model.pth"))
    draw_tsne(*job, ("mixed_5c", "mixed_3b"), str(tmp_path / "groups.txt"), tmp_path / "out" / "tsne.png", 30.0)
    assert cv2.imread(str(tmp_path / "out" / "tsne.png")).shape[1] == 1200  # two panels of 4 inches, 150 dots an inch
    with np.load(tmp_path / "out" / "tsne.npz") as data:
        assert data["groups"].tolist() == ["sideways", "sideways", "other", "other", "size", "size"]
        assert data["mixed_5c"].shape == data["mixed_3b"].shape == (6, 2) and data["videos"].size == 6
    with pytest.raises(ValueError, match="tsne.jpg: the picture is a .png"):
        draw_tsne(*job, ("mixed_5c",), None, tmp_path / "tsne.jpg", 30.0)


def test_what_is_not_installed_is_named(monkeypatch):
    load = importlib.import_module
    monkeypatch.setattr(
        importlib, "import_module", lambda name: load("no_such_module" if name.startswith("sklearn") else name)
    )
    with pytest.raises(ValueError, match=r"needs no_such_module: pip install 'action-detection\[plots\]'"):
        import_extra("sklearn.manifold")
    assert import_extra("builtins") == [builtins]
