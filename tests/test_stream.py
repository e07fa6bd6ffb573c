"""Streaming detection: the keyframe contract without knowing the length, bounded memory, the demo tool."""

import json
import subprocess
import sys
import weakref
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from detect.d2 import Boxes, Instances
from detect.data.clip import clip_indices
from detect.stream import clips_around, detect_stream
from detect.visualize import save_video

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("length", [1, 2, 3, 8, 20])
@pytest.mark.parametrize("count", [0, 1, 2, 3, 7, 9, 10, 11, 19, 20, 21, 60])
def test_clips_are_those_of_the_keyframe_contract(length, count):
    clips = list(clips_around(iter(range(count)), length))
    assert [k for k, _ in clips] == list(range(count))
    for k, clip in clips:
        assert clip == clip_indices(k, count, length).tolist() and clip[length // 2] == k


def test_a_clip_comes_as_soon_as_its_last_frame_does():
    seen = []
    frames = (seen.append(i) or i for i in range(100))
    clips = clips_around(frames, 20)
    assert next(clips)[0] == 0 and len(seen) == 10  # frames -10 .. 9
    assert next(clips)[0] == 1 and len(seen) == 11


def test_memory_is_one_clip_however_long_the_stream():
    alive = weakref.WeakSet()

    class Frame:
        def __init__(self):
            alive.add(self)

    most = 0
    for _ in clips_around((Frame() for _ in range(500)), 20):
        most = max(most, len(alive))
    assert 20 <= most <= 22  # the clip given out, and the next frame


class Recorder(torch.nn.Module):
    """Finds one box whose position is the keyframe's first pixel."""

    def __init__(self):
        super().__init__()
        self.keys = []

    def forward(self, batch):
        values = [float(item["clip"][len(item["clip"]) // 2, 0, 0, 0]) for item in batch]
        self.keys += values
        return [
            {
                "instances": Instances(
                    (item["height"], item["width"]),
                    pred_boxes=Boxes(torch.tensor([[v, 0, v + 1, 1]])),
                    scores=torch.ones(1),
                    pred_classes=torch.zeros(1, dtype=torch.int64),
                )
            }
            for v, item in zip(values, batch, strict=True)
        ]


@pytest.mark.parametrize("every, batch", [(1, 1), (1, 4), (3, 2)])
def test_detections_belong_to_their_frames(every, batch):
    frames = (np.full((6, 8, 3), i, np.uint8) for i in range(11))
    model = Recorder()
    found = list(detect_stream(model, frames, 4, (6, 8), every=every, batch_size=batch))
    assert [k for k, _, _ in found] == list(range(11)) and [int(f[0, 0, 0]) for _, f, _ in found] == list(range(11))
    assert [float(d.pred_boxes.tensor[0, 0]) for _, _, d in found] == [k - k % every for k in range(11)]
    assert model.keys == list(range(0, 11, every))


def test_nothing_in_nothing_out():
    assert list(detect_stream(Recorder(), iter(()), 4, (6, 8))) == []


@pytest.fixture(scope="module")
def toy_detector(tmp_path_factory):
    """A config file and a checkpoint of a detector with random weights."""
    from detect.engine.checkpoint import ActionCheckpointer
    from detect.modeling import build_model
    from tests.tiny import tiny_cfg

    folder = tmp_path_factory.mktemp("demo")
    cfg = tiny_cfg()
    (folder / "toy.yaml").write_text(cfg.dump())
    ActionCheckpointer(build_model(cfg), str(folder), tag={"classes": ["a", "b", "c"]}).save("model_final")
    return folder


def run(folder, *arguments):
    command = [
        sys.executable,
        "tools/demo.py",
        "--config-file",
        folder / "toy.yaml",
        "--weights",
        folder / "model_final.pth",
    ]
    return subprocess.run(
        [*map(str, command), *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"},
    )


def test_demo_draws_and_lists_every_frame(toy_detector, tmp_path):
    save_video(tmp_path / "in.avi", [np.full((60, 80, 3), 10 * i, np.uint8) for i in range(13)], fps=10)
    out = run(
        toy_detector,
        "--input",
        tmp_path / "in.avi",
        "--output",
        tmp_path / "out.mp4",
        "--json",
        tmp_path / "out.json",
        "--threshold",
        0.0,
        "--batch-size",
        4,
    )
    assert out.returncode == 0, out.stderr
    listing = json.loads((tmp_path / "out.json").read_text())
    assert listing["classes"] == ["a", "b", "c"] and listing["fps"] == 10.0
    assert [item["frame"] for item in listing["frames"]] == list(range(13))
    first = listing["frames"][0]["detections"][0]
    assert first["label"] in "abc" and 0 <= first["box"][0] <= first["box"][2] <= 80
    capture, count = cv2.VideoCapture(str(tmp_path / "out.mp4")), 0
    while capture.grab():
        count += 1
    assert count == 13
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.avi", "out.json", "out.mp4"]


@pytest.mark.parametrize("arguments, message", [
    (["--input", "absent.mp4", "--output", "o.mp4"], "absent.mp4: there is no such video"),
    (["--input", "x", "--json", "o.json", "MODEL.CONTEXT.NAMES", "i3d"], "closest legal keys: MODEL.CONTEXT.NAME"),
    (["--input", "setup.py"], "--output VIDEO, --json FILE"),
    (["--input", "setup.py", "--json", "o.json"], "setup.py: does not open as a video"),
])  # fmt: skip
def test_demo_says_what_is_wrong(toy_detector, tmp_path, arguments, message):
    out = run(toy_detector, *arguments)
    assert out.returncode == 2 and message in out.stderr and "Traceback" not in out.stderr
    assert not (ROOT / "o.json").exists() and not (ROOT / "o.mp4").exists()
