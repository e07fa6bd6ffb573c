"""The demo tool: a checkpoint and a video are enough."""

import json
import os
import signal
import sys
import time

import cv2
import numpy as np
import pytest

from detect import ActionDetector
from detect.engine.checkpoint import weights_hash
from detect.evaluation.files.formats import read_detections, read_table_files
from detect.evaluation.files.tube_files import read_tubes
from detect.evaluation.tables import Detections
from detect.modeling import build_model
from detect.tasks import demo, demo_input, demo_output
from detect.tasks.demo_output import Painter
from detect.tracking import FrameDetections
from detect.utils.checkpoint_files import read_checkpoint
from detect.utils.errors import MissingExtraError, UserError
from detect.video.readers import container_facts, count_frames, read_frames
from detect.video.writer import save_video
from tests.running import ROOT, run_tool
from tests.tiny import save_detector, tiny_cfg


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    """A checkpoint of a detector with random weights."""
    return save_detector(tmp_path_factory.mktemp("demo") / "model_final.pth")


def test_demo_draws_and_lists_every_frame(detector, tmp_path):
    save_video(tmp_path / "in.avi", [np.full((60, 80, 3), 10 * i, np.uint8) for i in range(13)], fps=10)
    files = ("--input", tmp_path / "in.avi", "--output", tmp_path / "out.mp4", "--json", tmp_path / "out.json")
    out = run_tool("demo", "--weights", detector, *files, "--threshold", 0.0, "--batch-size", 4)
    assert out.returncode == 0, out.stderr
    listing = json.loads((tmp_path / "out.json").read_text())
    assert listing["classes"] == ["a", "b", "c"] and listing["fps"] == 10.0
    assert [item["frame"] for item in listing["frames"]] == list(range(13))
    assert [item["time"] for item in listing["frames"]] == [round(k / 10, 3) for k in range(13)]
    first = listing["frames"][0]["detections"][0]
    assert first["label"] in "abc" and 0 <= first["box"][0] <= first["box"][2] <= 80
    assert read_frames(tmp_path / "out.mp4", range(13)).shape == (13, 240, 320, 3)  # enlarged, so that tags can be read
    assert count_frames(tmp_path / "out.mp4") == 13
    assert_tubes_are_what_the_frames_show(listing, tmp_path / "out.json")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.avi", "out.json", "out.mp4"]


def assert_tubes_are_what_the_frames_show(listing, path):
    """Each box of a frame is the one of its tube there, and the tubes have no other."""
    tubes, shown = listing["tubes"], 0
    for item in listing["frames"]:
        for found in item["detections"]:
            (tube,) = (t for t in tubes if t["id"] == found["tube"] and t["start"] <= item["frame"] < t["end"])
            assert tube["label"] == found["label"]
            np.testing.assert_allclose(tube["boxes"][item["frame"] - tube["start"]], found["box"], atol=0.011)
            shown += 1
    assert shown and shown == sum(len(tube["boxes"]) for tube in tubes)
    assert all(len(tube["boxes"]) == tube["end"] - tube["start"] and tube["video"] == "in" for tube in tubes)
    assert len(read_tubes(path).tubes) == len(tubes)  # what tools/evaluate.py --tubes reads


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".npz", ".parquet"])
def test_the_table_has_every_detection(detector, tmp_path, suffix):
    frames = np.random.default_rng(0).integers(0, 256, (5, 60, 80, 3), dtype=np.uint8)
    save_video(tmp_path / "in.avi", frames, fps=10)
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    table = ("--csv" if suffix == ".csv" else "--detections", tmp_path / f"out{suffix}")  # the older name, and the name
    done = run_tool("demo", "--weights", detector, "--input", tmp_path / "in.avi", *table)
    assert done.returncode == 0 and "threshold 0.4: the default" in done.stderr
    assert ("note: --csv is now --detections" in done.stderr) == (suffix == ".csv")
    (table,), names = read_detections([tmp_path / f"out{suffix}"])
    found = list(ActionDetector.load(detector).detect(tmp_path / "in.avi"))
    assert names == ["in"] and len(table) == sum(map(len, found)) > 0 and not table.video.any()
    np.testing.assert_array_equal(table.frame, np.repeat(range(5), list(map(len, found))))
    for name, column in (("label", "labels"), ("score", "scores"), ("boxes", "boxes")):
        expected = np.concatenate([getattr(one, column) for one in found])
        np.testing.assert_array_equal(getattr(table, name).astype(expected.dtype), expected)


def test_typed_columns_are_collected_from_files_only(detector, tmp_path, monkeypatch):
    with pytest.raises(UserError, match="must end in .csv, .csv.gz of a camera, as it comes"):
        demo_output.detections_table("o.npz", "0", "abc", live=True).__enter__()
    with demo_output.detections_table(str(tmp_path / "o.npz"), "in", "abc"):
        pass  # not one frame
    table, names, classes = read_table_files([(tmp_path / "o.npz", Detections)])
    assert len(table[0]) == 0 and names == ["in"] and classes == ["a", "b", "c"]
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError), demo_output.detections_table("o.parquet", "in", "abc"):
        raise AssertionError  # said before the work


def test_the_threshold_of_the_evaluation_of_the_same_weights(tmp_path, capsys):
    """As an evaluation notes them: of the model as it is in the file, not as it is folded for a stream."""
    weights = str(save_detector(tmp_path / "m.pth"))
    model = build_model(tiny_cfg())
    model.load_state_dict(read_checkpoint(weights)["model"])
    loaded = ActionDetector.load(weights)
    assert loaded.weights_hash == weights_hash(model) != weights_hash(loaded.model)
    file = tmp_path / "evaluation" / "set" / "results.json"
    file.parent.mkdir(parents=True)
    for digest in (loaded.weights_hash, "0" * 64):
        facts = {"dataset": "small_test", "weights_hash": digest}
        file.write_text(json.dumps({"protocols": [{"best_f1": {"threshold": 0.07}}], "provenance": facts}))
        expected = demo.LEAST_THRESHOLD if digest == loaded.weights_hash else demo.DEFAULT_THRESHOLD
        assert demo.suited_threshold(weights, loaded.weights_hash) == expected
    said = capsys.readouterr().err.splitlines()
    instead = "at least that, in place of 0.07, the best F1 of these weights on small_test"
    assert said[0] == f"threshold 0.2: {instead}, in {file}"
    assert said[1].startswith("threshold 0.4: the default")


class Camera:
    """Gives `length` frames at 50 a second and then ends, or goes on after having sent a signal to this process."""

    fps, endless = 50.0, True

    def __init__(self, length, interrupt=None):
        self.count, self.length, self.interrupt, self.released = 0, length, interrupt, False

    def read(self):
        if self.count == self.length:
            if self.interrupt is None:
                return None
            os.kill(os.getpid(), self.interrupt)
        time.sleep(1 / self.fps)
        self.count += 1
        return np.full((60, 80, 3), self.count % 256, np.uint8)

    def release(self):
        self.released = True


@pytest.mark.parametrize("interrupt", [None, signal.SIGINT, signal.SIGTERM])
def test_a_camera_to_its_end_or_to_a_signal(detector, tmp_path, monkeypatch, interrupt):
    camera = Camera(40, interrupt)
    monkeypatch.setattr(demo_input, "OpenCVCapture", lambda source: camera)
    files = ("--output", tmp_path / "out.mp4", "--json", tmp_path / "out.json")
    done = run_tool("demo", "--weights", detector, "--input", "0", *files, "--threshold", 0, "--every", 4)
    assert done.returncode == 0 and camera.released, done.stderr
    assert "0: " in done.stderr and "frames came" in done.stderr and "latency" in done.stderr
    listing = json.loads((tmp_path / "out.json").read_text())
    times = [item["time"] for item in listing["frames"]]
    assert listing["video"] == "0" and times[0] == 0 and (np.diff(times) > 0).all() and len(times) > 5
    assert container_facts(tmp_path / "out.mp4")[0] == 50
    assert abs(count_frames(tmp_path / "out.mp4") - (times[-1] * 50 + 1)) <= 1  # as long as it was
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.json", "out.mp4"]


def test_a_camera_is_looked_at_as_often_as_the_detector_can(detector, monkeypatch):
    loaded = ActionDetector.load(detector)
    monkeypatch.setattr(demo_input, "OpenCVCapture", lambda source: Camera(1))
    source = demo_input.open_input("0")
    seconds = iter([0, 9, 9, 9.1])  # two clips, the first of which takes longer
    monkeypatch.setattr(demo_input.time, "perf_counter", lambda: next(seconds))
    assert source.every(loaded, None, "dis") == 6  # 1.1 x 0.1 s x 50 frames a second = 5.5
    assert source.every(loaded, 3, "dis") == 3
    seconds = iter([0, 9, 9, 19])
    assert source.every(loaded, None, "dis") == demo_input.MOST_EVERY


class Screen:
    """A window that is closed at its third picture."""

    shown = 0

    def __init__(self, title):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def show(self, picture):
        Screen.shown += 1
        return Screen.shown < 3


def test_closing_the_window_ends_it_with_what_there_is(detector, tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "Window", Screen)
    save_video(tmp_path / "in.avi", np.zeros((60, 60, 80, 3), np.uint8), fps=10)
    files = ("--input", tmp_path / "in.avi", "--output", tmp_path / "out.avi")
    assert run_tool("demo", "--weights", detector, *files, "--show", "--every", 4).returncode == 0
    assert Screen.shown == count_frames(tmp_path / "out.avi") < 60


def test_a_window_without_a_screen_is_said_before_the_model_is_loaded(monkeypatch):
    build = "  GUI:                           {}\n"
    monkeypatch.setattr("cv2.getBuildInformation", lambda: build.format("NONE"))
    done = run_tool("demo", "--weights", "absent.pth", "--input", "a.mp4", "--show")
    assert done.returncode == 2 and "then pip install opencv-contrib-python" in done.stderr
    monkeypatch.setattr("cv2.getBuildInformation", lambda: build.format("QT5"))
    monkeypatch.setattr("sys.platform", "linux")
    done = run_tool("demo", "--weights", "absent.pth", "--input", "a.mp4", "--show", DISPLAY="", WAYLAND_DISPLAY="")
    assert done.returncode == 2 and "there is no screen here (DISPLAY is not set)" in done.stderr


def test_a_video_that_is_cut_off_is_drawn_as_far_as_it_goes(detector, tmp_path):
    rng = np.random.default_rng(0)
    save_video(tmp_path / "whole.avi", rng.integers(0, 256, (40, 60, 80, 3), dtype=np.uint8), fps=10)
    content = (tmp_path / "whole.avi").read_bytes()
    (tmp_path / "half.avi").write_bytes(content[: len(content) // 2])
    files = ("--input", tmp_path / "half.avi", "--output", tmp_path / "out.mp4", "--json", tmp_path / "out.json")
    done = run_tool("demo", "--weights", detector, *files, "--every", 8)
    assert done.returncode == 1 and "half.avi" in done.stderr and "what comes before was drawn" in done.stderr
    listed = json.loads((tmp_path / "out.json").read_text())["frames"]
    assert f"{len(listed)} of 40 frames decode" in done.stderr  # all of them are drawn
    assert 10 < len(listed) < 30 and len(read_frames(tmp_path / "out.mp4", range(len(listed)))) == len(listed)


def test_a_folder_of_frames_of_several_odd_sizes(detector, tmp_path):
    (tmp_path / "frames").mkdir()
    for number, size in enumerate(((33, 47), (40, 20), (33, 47)), 1):
        cv2.imwrite(str(tmp_path / "frames" / f"{number:05d}.png"), np.zeros((*size, 3), np.uint8))
    files = ("--input", tmp_path / "frames", "--output", tmp_path / "out.mp4")
    assert run_tool("demo", "--weights", detector, *files).returncode == 0
    assert read_frames(tmp_path / "out.mp4", range(3)).shape == (3, 232, 330, 3)  # 7 x (33, 47), even


@pytest.mark.parametrize("arguments, message", [
    (["--input", "absent.mp4", "--output", "o.mp4"], "absent.mp4: there is no such video"),
    (["--input", "x", "--json", "o.json", "MODEL.CONTEXT.NAMES", "i3d"], "closest legal keys: MODEL.CONTEXT.NAME"),
    (["--input", "x", "--json", "o.json", "SOLVER.BASE_LR", "1"], "SOLVER.BASE_LR: tools/demo.py does not read it"),
    (["--input", "setup.py"], "--output VIDEO, --json FILE, --detections FILE, --show"),
    (["--input", "997", "--json", "o.json"], "camera 997: does not open"),
    (["--input", "tests", "--detections", "o.txt"], "--detections o.txt: the name of the table must end in .parquet"),
    (["--input", "setup.py", "--json", "o.json"], "setup.py: does not open as a video"),
    (["--input", "configs", "--output", "o.gif"], "o.gif: the suffix must be one of .mp4, .avi"),
    (["--input", "tests", "--output", "o.gif", "--every", "0"], "--every 0"),
    (["--input", "setup.py", "--json", "o.json", "--threshold", "nan"], "--threshold nan: it must be 0 to 1"),
    (["--input", "a.mp4", "--output", "./a.mp4"], "--output ./a.mp4 is --input too"),
    (["--input", "a.mp4", "--output", "b.mp4", "--json", "b.mp4"], "--json b.mp4 is --output too"),
    (["--input", "a.mp4", "--detections", "b.csv", "--json", "b.csv"], "--detections b.csv is --json too"),
])  # fmt: skip
def test_demo_says_what_is_wrong(detector, arguments, message):
    out = run_tool("demo", "--weights", detector, *arguments)
    assert out.returncode == 2 and message in out.stderr and "Traceback" not in out.stderr
    assert not (ROOT / "o.json").exists() and not (ROOT / "o.mp4").exists()


def test_a_trail_ends_with_its_box():
    """An actor walks for three frames and is gone: then nothing of the way is left on the picture."""
    painter, frame = Painter(trail=True), np.full((240, 320, 3), 90, np.uint8)

    def found(k, *boxes):
        boxes = np.array(boxes, np.float32).reshape(-1, 4)
        zeros = np.zeros(len(boxes), np.int64)
        return FrameDetections(k, 0.0, boxes, zeros, ("walk",) * len(boxes), zeros + np.float32(0.9), zeros)

    for k in range(3):
        drawn = painter(frame, found(k, [20 + 30 * k, 20, 60 + 30 * k, 200]))
    assert (drawn[200, 45:65] != 90).any()  # where the feet were, left of the box
    assert (painter(frame, found(3)) == frame).all()
