"""The synthetic classification set: pairs of classes that are each other reversed in time."""

import numpy as np
import pytest
import torch

import backbones
from detect.classification import synthetic
from detect.config import load_cfg
from detect.data.synthetic import make_actors
from detect.video.readers import read_frames

LABELS = range(len(synthetic.CLASSES))


def test_partners_are_mutual_and_opposite():
    assert synthetic.PARTNERS["MoveLeft"] == "MoveRight" and synthetic.PARTNERS["Grow"] == "Shrink"
    assert all(synthetic.PARTNERS[partner] == name != partner for name, partner in synthetic.PARTNERS.items())


@pytest.mark.parametrize("label", LABELS)
def test_what_draws_a_class_draws_its_partner_reversed(label):
    """So each class reversed has exactly the distribution of its partner, background and all."""
    frames = synthetic.draw_example(np.random.default_rng(5), label)
    partner = synthetic.draw_example(np.random.default_rng(5), label ^ 1)
    np.testing.assert_array_equal(frames, partner[::-1])
    assert (frames != partner).any()


@pytest.mark.parametrize("label", LABELS)
def test_the_actor_does_what_its_class_says(label):
    """Found by colour alone: the background is drawn pale, an actor's first colour is saturated."""
    frames = synthetic.draw_example(np.random.default_rng(3), label).astype(int)
    centres, areas = [], []
    for frame in frames:
        ys, xs = np.nonzero(frame.max(2) - frame.min(2) > 130)
        centres.append((xs.mean(), ys.mean()))
        areas.append(len(xs))
    (dx, dy), growth = np.subtract(centres[-1], centres[0]), areas[-1] / areas[0]
    expected = {
        "MoveLeft": dx < -20, "MoveRight": dx > 20, "Rise": dy < -20, "Fall": dy > 20,
        "Grow": growth > 2, "Shrink": growth < 1 / 2,
    }  # fmt: skip
    assert expected[synthetic.CLASSES[label]]


def test_an_actor_is_alone_and_always_there():
    for seed in range(20):
        (actor,) = make_actors(np.random.default_rng(seed), 0, synthetic.SCENE)
        assert (actor.start, actor.stop, len(actor.centres)) == (0, 13, 13)


def test_written_set_and_its_labels(tmp_path, monkeypatch):
    draw = synthetic.write_videos
    monkeypatch.setattr(synthetic, "write_videos", lambda folder: draw(folder, num_train=7, num_test=2))
    train, test = (synthetic.load_synthetic_videos(tmp_path, subset) for subset in ("train", "test"))
    assert (len(train.items), len(test.items)) == (7, 2) and train.classes == synthetic.CLASSES
    assert [item.label for item in train.items] == [0, 1, 2, 3, 4, 5, 0]
    assert train.name == "synthetic_cls_train" and train.annotation_hash != test.annotation_hash
    for item in train.items:
        assert synthetic.CLASSES[item.label] in item.path
        frames = read_frames(item.path, range(13))
        assert frames.shape == (13, 64, 64, 3)
    drawn = synthetic.draw_example(np.random.default_rng([0, False, 6]), 0)
    assert np.abs(frames.astype(int) - drawn).mean() < 6  # JPEG
    assert read_pairs(tmp_path) == synthetic.PARTNERS
    assert not [path for path in (tmp_path / "synthetic_cls").iterdir() if path.name.startswith(".")]


def read_pairs(root):
    (path,) = root.rglob("partners.txt")
    return dict(line.split() for line in path.read_text().splitlines())


def test_the_same_seed_writes_the_same_files_and_another_does_not(tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        synthetic.write_videos(tmp_path / name, 3, 1, seed)
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*.avi"))
    assert len(files) == 4
    for file in files:
        a, b, c = ((tmp_path / name / file).read_bytes() for name in "abc")
        assert a == b != c


def test_a_drawing_that_fails_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(synthetic, "save_video", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        synthetic.write_videos(tmp_path / "set", 1, 1)
    assert list(tmp_path.iterdir()) == []


def test_the_set_of_the_process_that_is_first_is_kept(tmp_path, monkeypatch):
    folder, save = tmp_path / "set", synthetic.save_video

    def meanwhile(path, frames):
        (folder / "first").mkdir(parents=True, exist_ok=True)
        save(path, frames)

    monkeypatch.setattr(synthetic, "save_video", meanwhile)
    synthetic.write_videos(folder, 1, 1)
    assert list(tmp_path.iterdir()) == [folder] and [path.name for path in folder.iterdir()] == ["first"]


def test_flow_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no flow; extract it"):
        synthetic.load_synthetic_videos(tmp_path, "test", modality="flow")


@pytest.mark.parametrize("name", ["i2d", "i3d", "fast_s3d"])
def test_at_the_length_of_the_config_only_i2d_is_blind_to_the_order(name):
    """A fair control: the strides in time fall alike in both directions. Kernels are random: by slim's start the
    temporal convolutions do nothing, and with them no network would see the order.
    """
    cfg = load_cfg("configs/synthetic_cls.yaml")
    assert cfg.INPUT.NUM_FRAMES == synthetic.SCENE.num_frames and tuple(cfg.INPUT.SIZE) == (64, 64)
    clip = torch.from_numpy(synthetic.draw_example(np.random.default_rng(0), 0).copy()).permute(3, 0, 1, 2)[None] / 255
    torch.manual_seed(0)
    net = backbones.build(name, num_classes=6, width=0.125, conv_std=0.0, temporal_init="random").eval()
    with torch.no_grad():
        forward, backward = net(clip), net(clip.flip(2))
    difference = ((forward - backward).abs().max() / forward.std()).item()
    assert difference < 1e-5 if name == "i2d" else difference > 1e-2
