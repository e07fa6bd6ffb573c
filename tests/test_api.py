"""The detector and the classifier as objects, and the examples of docs/api.md."""

import doctest
import subprocess
import sys
import weakref
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

import backbones
from detect import ActionDetector, VideoClassifier
from detect.classification.clips import EvalPlan
from detect.data.keyframe_mapper import KeyframeMapper
from detect.utils.checkpoint_files import CheckpointError, read_checkpoint
from detect.utils.errors import UserError
from detect.video.readers import FrameReadError, read_frames
from detect.video.windows import clip_indices
from detect.video.writer import save_video
from tests.tiny import save_detector, tiny_cfg

ROOT = Path(__file__).resolve().parents[1]
LENGTH = 12


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """detector.pth, classifier.pth and video.avi, 12 frames of 80 x 60."""
    folder = tmp_path_factory.mktemp("api")
    save_detector(folder / "detector.pth")
    torch.manual_seed(0)
    net = backbones.build("s3dg", width=0.125, num_classes=4, conv_std=0.0)
    torch.save({**backbones.network_state(net), "tag": {"classes": list("wxyz")}}, folder / "classifier.pth")
    rng = np.random.default_rng(0)
    save_video(folder / "video.avi", rng.integers(0, 256, (LENGTH, 60, 80, 3), dtype=np.uint8), fps=10)
    return folder


@pytest.fixture(scope="module")
def detector(folder):
    return ActionDetector.load(folder / "detector.pth", device="cpu")


def assert_same(found, other):
    assert found.frame == other.frame and found.names == other.names
    for name in ("boxes", "labels", "scores"):
        np.testing.assert_array_equal(getattr(found, name), getattr(other, name))


def test_the_examples_of_the_document(folder, monkeypatch):
    monkeypatch.chdir(folder)
    names = {"net_input": torch.zeros(1, 3, 8, 32, 32)}
    text = (ROOT / "docs" / "api.md").read_text()
    test = doctest.DocTestParser().get_doctest(text, names, "docs/api.md", "docs/api.md", 0)
    assert len(test.examples) > 15
    report = []
    doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=report.append)
    assert not report, "".join(report)


def test_results_are_those_of_the_model_on_the_mapped_clips(detector, folder):
    """Independently of the stream: each clip is read anew, mapped and run alone."""
    mapper = KeyframeMapper.from_config(tiny_cfg(), is_train=False)
    results = list(detector.detect(folder / "video.avi", batch_size=4))
    assert [found.frame for found in results] == list(range(LENGTH))
    assert [found.time for found in results] == pytest.approx([k / 10 for k in range(LENGTH)])
    frames = read_frames(folder / "video.avi", range(LENGTH))
    for k in (0, 5, LENGTH - 1):
        clip = [mapper.prepare({"height": 60, "width": 80}, frames[i]).rgb for i in clip_indices(k, LENGTH, 8)]
        with torch.no_grad():
            (expected,) = detector.model([{"clip": torch.from_numpy(np.stack(clip)), "height": 60, "width": 80}])
        expected = expected["instances"]
        np.testing.assert_allclose(results[k].boxes, expected.pred_boxes.tensor.numpy(), atol=1e-3)
        np.testing.assert_allclose(results[k].scores, expected.scores.numpy(), atol=1e-6)
        assert results[k].names == tuple("abc"[label] for label in expected.pred_classes)
        assert (np.diff(results[k].scores) <= 0).all()


def test_files_folders_and_frames_give_the_same(detector, folder):
    frames = list(read_frames(folder / "video.avi", range(LENGTH)))
    for found, other in zip(detector.detect(folder / "video.avi"), detector.detect(iter(frames), fps=10), strict=True):
        assert_same(found, other)
        assert found.time == pytest.approx(other.time)


def test_every_nth_frame_and_the_threshold(detector, folder):
    whole = list(detector.detect(folder / "video.avi"))
    held = list(detector.detect(folder / "video.avi", every=5))
    for k, found in enumerate(held):
        assert (found.frame, found.time) == (k, pytest.approx(k / 10)) and (np.diff(found.scores) <= 0).all()
        if k % 5 == 0 or k > 10:
            np.testing.assert_array_equal(found.boxes, whole[k - k % 5].boxes)
    best = whole[0].scores[2]
    strong = next(detector.detect(folder / "video.avi", threshold=float(best)))
    np.testing.assert_array_equal(strong.scores, whole[0].scores[whole[0].scores >= best])
    with pytest.raises(UserError, match="every is 0"):
        next(detector.detect(folder / "video.avi", every=0))


def test_tracking_gives_every_frame_and_whole_tubes(detector, folder):
    tracking = detector.track(folder / "video.avi", threshold=0.05)
    results = list(tracking)
    assert [found.frame for found in results] == list(range(LENGTH)) and results[3].time == pytest.approx(0.3)
    shown = [row for found in results for row in zip([found.frame] * len(found), found.tubes, found.names, strict=True)]
    listed = [(k, tube.id, tube.name) for tube in tracking.tubes for k in range(tube.start, tube.end)]
    assert shown and sorted(shown) == sorted(listed)
    with pytest.raises(UserError, match="the threshold is 1.5"):
        detector.track(folder / "video.avi", threshold=1.5)


def test_tracking_a_video_that_is_cut_off_gives_what_there_is_first(detector):
    def frames():
        yield from np.zeros((9, 60, 80, 3), np.uint8)
        raise FrameReadError("film.avi: frame 9 does not decode")

    seen = []
    with pytest.raises(FrameReadError, match="frame 9"):
        for found in detector.track(frames()):
            seen.append(found.frame)  # noqa: PERF401
    assert seen == list(range(9))


def test_a_clip_is_its_middle_frame(detector, folder):
    frames = read_frames(folder / "video.avi", range(LENGTH))
    whole = list(detector.detect(list(frames)))
    assert_same(detector.detect_clip(frames), whole[LENGTH // 2])
    short = detector.detect_clip(frames[:3])  # continued by its edge frames
    assert_same(short, list(detector.detect(frames[:3]))[1])


def test_memory_is_one_clip_however_long_the_stream(detector):
    made = []

    class Frame(np.ndarray):
        pass

    def frames():
        for k in range(60):
            frame = np.full((60, 80, 3), k, np.uint8).view(Frame)
            made.append(weakref.ref(frame))
            yield frame

    most = 0
    for _ in detector.detect(frames(), every=10):
        most = max(most, sum(frame() is not None for frame in made))
    window, group = detector.cfg.INPUT.NUM_FRAMES, 2 * 10  # the group is what is held between two runs
    assert len(made) == 60 and most <= window + group


def test_files_that_give_no_detector(folder, tmp_path):
    with pytest.raises(CheckpointError, match="classifier.pth: holds no config"):
        ActionDetector.load(folder / "classifier.pth")
    data = read_checkpoint(folder / "detector.pth")
    torch.save({**data, "tag": {}}, tmp_path / "nameless.pth")
    with pytest.raises(CheckpointError, match="nameless.pth: does not say its classes"):
        ActionDetector.load(tmp_path / "nameless.pth", device="cpu")
    torch.save({**data, "tag": {"classes": ["a"]}}, tmp_path / "one.pth")
    with pytest.raises(CheckpointError, match="one.pth: has 1 classes, the config's MODEL.ROI_HEADS.NUM_CLASSES is 3"):
        ActionDetector.load(tmp_path / "one.pth", device="cpu")
    with pytest.raises(CheckpointError, match="is of a classifier, see VideoClassifier"):
        overrides = ["MODEL.META_ARCHITECTURE", "ActionClassifier"]
        ActionDetector.load(folder / "detector.pth", device="cpu", overrides=overrides)


def test_an_older_file_with_its_config(folder, tmp_path, detector):
    data = read_checkpoint(folder / "detector.pth")
    torch.save({"model": data["model"], "tag": data["tag"]}, tmp_path / "old.pth")
    (tmp_path / "config.yaml").write_text(data["config"])
    old = ActionDetector.load(tmp_path / "old.pth", config_file=tmp_path / "config.yaml", device="cpu")
    clip = read_frames(folder / "video.avi", range(8))
    assert_same(old.detect_clip(clip), detector.detect_clip(clip))


def test_scores_are_the_softmax_of_the_network_on_the_whole_video(folder):
    plan = EvalPlan(resize_to=(40, 48), size=(32, 32), chunk_frames=16)
    net = backbones.load_network(folder / "classifier.pth")
    classifier = VideoClassifier(net, "wxyz", plan)
    frames = list(read_frames(folder / "video.avi", range(LENGTH)))
    small = np.stack([cv2.resize(frame, (48, 40))[4:36, 8:40] for frame in frames])  # the centre crop
    with torch.no_grad():
        logits = net(((torch.from_numpy(small).float() - 127.5) / 127.5).permute(3, 0, 1, 2)[None])
    np.testing.assert_allclose(classifier.scores(folder / "video.avi"), logits.softmax(1)[0].numpy(), atol=1e-5)
    np.testing.assert_array_equal(classifier.scores(folder / "video.avi"), classifier.scores(iter(frames)))
    best = classifier.classify(folder / "video.avi", top=1)
    assert best == [("wxyz"[int(logits.argmax())], pytest.approx(float(logits.softmax(1).max()), abs=1e-5))]
    with pytest.raises(UserError, match="nothing to classify: it has no frames"):
        classifier.scores(iter(()))


def test_a_classifier_without_a_word_of_its_network(folder, tmp_path):
    torch.save(read_checkpoint(folder / "classifier.pth")["model"], tmp_path / "plain.pth")
    with pytest.raises(CheckpointError, match="plain.pth: does not say which network"):
        VideoClassifier.load(tmp_path / "plain.pth")


@pytest.mark.parametrize("entry, value", [
    ("network", {}), ("network", 3), ("network", {"spec": {"separable": True, "depth": 5}}), ("tag", [1]),
    ("preprocessing", {"mean": [1.0]}), ("preprocessing", {"mean": [0.0] * 3, "std": [0.0] * 3}), ("preprocessing", 7),
])  # fmt: skip
def test_entries_of_other_types_are_one_clear_word(folder, tmp_path, entry, value):
    torch.save({**read_checkpoint(folder / "classifier.pth"), entry: value}, tmp_path / "odd.pth")
    with pytest.raises(CheckpointError, match=r"odd.pth: what it says of its network cannot be used \("):
        VideoClassifier.load(tmp_path / "odd.pth")


def test_arrays_that_do_not_fit_the_network_they_say(folder, tmp_path):
    data = read_checkpoint(folder / "classifier.pth")
    data["network"]["num_classes"] = 7
    torch.save(data, tmp_path / "odd.pth")
    with pytest.raises(CheckpointError, match="odd.pth: its arrays do not fit its network"):
        VideoClassifier.load(tmp_path / "odd.pth")


def test_import_is_light():
    code = "import detect, sys; print({'torch', 'cv2', 'numpy'} & set(sys.modules), hasattr(detect, 'nothing'))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "set() False\n"
