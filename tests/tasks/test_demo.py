"""The demo tool: a checkpoint and a video are enough."""

import json

import cv2
import numpy as np
import pytest

from detect.video.readers import read_frames
from detect.video.writer import save_video
from tests.running import ROOT, run_tool
from tests.tiny import save_detector


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
    capture, count = cv2.VideoCapture(str(tmp_path / "out.mp4")), 0
    while capture.grab():
        count += 1
    assert count == 13
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.avi", "out.json", "out.mp4"]


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
    assert read_frames(tmp_path / "out.mp4", range(3)).shape == (3, 34, 48, 3)


@pytest.mark.parametrize("arguments, message", [
    (["--input", "absent.mp4", "--output", "o.mp4"], "absent.mp4: there is no such video"),
    (["--input", "x", "--json", "o.json", "MODEL.CONTEXT.NAMES", "i3d"], "closest legal keys: MODEL.CONTEXT.NAME"),
    (["--input", "x", "--json", "o.json", "SOLVER.BASE_LR", "1"], "SOLVER.BASE_LR: tools/demo.py does not read it"),
    (["--input", "setup.py"], "--output VIDEO, --json FILE"),
    (["--input", "setup.py", "--json", "o.json"], "setup.py: does not open as a video"),
    (["--input", "configs", "--output", "o.gif"], "o.gif: the suffix must be one of .mp4, .avi"),
    (["--input", "tests", "--output", "o.gif", "--every", "0"], "--every 0"),
    (["--input", "setup.py", "--json", "o.json", "--threshold", "nan"], "--threshold nan: it must be 0 to 1"),
    (["--input", "a.mp4", "--output", "./a.mp4"], "--output ./a.mp4 is --input too"),
    (["--input", "a.mp4", "--output", "b.mp4", "--json", "b.mp4"], "--json b.mp4 is --output too"),
])  # fmt: skip
def test_demo_says_what_is_wrong(detector, arguments, message):
    out = run_tool("demo", "--weights", detector, *arguments)
    assert out.returncode == 2 and message in out.stderr and "Traceback" not in out.stderr
    assert not (ROOT / "o.json").exists() and not (ROOT / "o.mp4").exists()
