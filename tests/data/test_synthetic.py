"""The built-in action set."""

import numpy as np
import pytest

from detect.data import synthetic
from detect.data.catalog import load_action_dataset, set_datasets_root
from detect.data.ucf24 import load_ucf24
from detect.video.readers import read_frames

NAMES = list(synthetic.CLASSES)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    root = tmp_path_factory.mktemp("synthetic")
    synthetic.write_dataset(root, num_train=6, num_test=3)
    return root


def test_it_goes_through_the_reader_of_ucf101_24(written):
    train, test = (load_ucf24(written, split) for split in ("train", "test"))
    assert train.classes == tuple(NAMES) and (len(train.videos), len(test.videos)) == (6, 3) and not train.notes
    for index, video in enumerate(train.videos):
        assert (video.num_frames, video.height, video.width) == (32, 180, 240) and 1 <= len(video.tubes) <= 3
        assert video.name.split("/")[0] == NAMES[video.tubes[0].label] == NAMES[index]
    for index, video in enumerate(train.videos[:2]):  # what was drawn, but for JPEG's loss, and where
        rng = np.random.default_rng([0, False, index])
        actors = synthetic.make_actors(rng, index)
        frames, boxes = synthetic.draw_video(rng, actors)
        assert np.abs(read_frames(video.path, range(32)).astype(int) - frames).mean() < 4
        for tube, actor, (x, y, w, h) in zip(video.tubes, actors, (np.int64(b).T for b in boxes), strict=True):
            assert tube.label == actor.label and tube.frames.tolist() == list(range(actor.start, actor.stop))
            np.testing.assert_array_equal(tube.boxes, np.stack([x, y, x + w, y + h], 1))


def test_boxes_enclose_the_actors_tightly():
    rng = np.random.default_rng(0)
    (actor,) = [a for a in synthetic.make_actors(rng, 0) if a.start == 0][:1]
    frames, (boxes,) = synthetic.draw_video(np.random.default_rng(1), [actor])
    empty, _ = synthetic.draw_video(np.random.default_rng(1), [])
    for t in (0, 15, actor.stop - 1):
        ys, xs = np.nonzero(np.abs(frames[t].astype(int) - empty[t]).max(2) > 60)
        x, y, w, h = boxes[t].astype(int)
        assert abs(xs.min() - x) <= 2 and abs(xs.max() + 1 - x - w) <= 2
        assert abs(ys.min() - y) <= 2 and abs(ys.max() + 1 - y - h) <= 2


@pytest.mark.parametrize("label", range(len(NAMES)))
def test_a_class_reversed_in_time_is_its_partner(label):
    partner = label ^ 1
    forward = synthetic._path(np.random.default_rng(7), label, synthetic.DETECTION, 60.0)
    backward = synthetic._path(np.random.default_rng(7), partner, synthetic.DETECTION, 60.0)
    for a, b in zip(forward, backward, strict=True):
        np.testing.assert_allclose(a, b[::-1])


def test_classes_do_what_they_say():
    def change(name):
        centres, sizes = synthetic._path(np.random.default_rng(3), NAMES.index(name), synthetic.DETECTION, 60.0)
        return (
            np.sign(centres[-1, 0] - centres[0, 0]),
            np.sign(centres[-1, 1] - centres[0, 1]),
            np.sign(sizes[-1] - sizes[0]),
        )

    assert change("MoveLeft") == (-1, 0, 0) and change("MoveRight") == (1, 0, 0)
    assert change("Rise") == (0, -1, 0) and change("Fall") == (0, 1, 0)  # y grows downwards
    assert change("Grow") == (0, 0, 1) and change("Shrink") == (0, 0, -1)


def test_actors_never_overlap():
    for seed in range(30):
        actors = synthetic.make_actors(np.random.default_rng(seed), seed % len(NAMES))
        for i, a in enumerate(actors):
            for b in actors[:i]:
                reach = synthetic.SPRITE * (a.scales + b.scales) / 2
                assert (np.abs(a.centres - b.centres).max(1) >= reach - 1e-6).all()


def test_the_same_seed_draws_the_same_set(written, tmp_path):
    synthetic.write_dataset(tmp_path, num_train=6, num_test=3)
    for file in sorted(p.relative_to(written) for p in written.rglob("*") if p.is_file()):
        assert (written / file).read_bytes() == (tmp_path / file).read_bytes(), file


def test_drawn_when_first_asked_for_and_not_again(tmp_path, monkeypatch):
    monkeypatch.setattr(synthetic, "NUM_TRAIN", 2)
    calls = []
    draw = synthetic.write_dataset
    monkeypatch.setattr(synthetic, "write_dataset", lambda root: (calls.append(root), draw(root, 2, 1)))
    try:
        set_datasets_root(tmp_path)
        assert len(load_action_dataset("synthetic_train").videos) == 2
        assert len(load_action_dataset("synthetic_test").videos) == 1
        assert calls == [tmp_path / "synthetic" / f"v{synthetic.VERSION}"]
    finally:
        set_datasets_root(None)


def test_an_interrupted_drawing_is_started_again(tmp_path, monkeypatch):
    folder = tmp_path / f"v{synthetic.VERSION}"
    synthetic.write_dataset(folder, num_train=1, num_test=1)
    (folder / "splitfiles" / "pyannot.pkl").unlink()  # written last
    draw = synthetic.write_dataset
    monkeypatch.setattr(synthetic, "write_dataset", lambda root: draw(root, 2, 1))
    assert len(synthetic.load_synthetic(tmp_path, "train", "x").videos) == 2
