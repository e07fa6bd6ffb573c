"""Films that are written are there, whole, or the former one stays."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from detect.utils.files import UnusableFileError
from detect.video.readers import count_frames, read_frames
from detect.video.writer import VideoWriter, save_video

ROOT = Path(__file__).resolve().parents[2]


def noise(count, height=64, width=80):
    return np.random.default_rng(0).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("suffix", [".mp4", ".avi"])
def test_odd_sizes_are_padded_and_no_frame_is_lost(tmp_path, suffix, caplog):
    frames = [np.full((*size, 3), 90, np.uint8) for size in ((33, 47), (20, 60), (33, 47))]
    save_video(tmp_path / f"film{suffix}", frames)
    found = read_frames(tmp_path / f"film{suffix}", range(3))
    assert found.shape == (3, 34, 48, 3) and abs(found.astype(int) - 90).max() < 8  # edges are repeated, not black
    assert caplog.text.count("47 x 33 frames are fitted to 48 x 34") == 1


FULL = """
import resource, sys
import numpy as np
from detect.utils.files import UnusableFileError
from detect.video.writer import save_video
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))  # as a disk with so much room; the signal is ignored
frames = np.random.default_rng(0).integers(0, 256, (40, 64, 80, 3), dtype=np.uint8)
try:
    save_video(sys.argv[1], frames)
except UnusableFileError as error:
    print(error)
"""


@pytest.mark.parametrize("suffix", [".mp4", ".avi"])
def test_on_a_full_disk_the_former_film_stays(tmp_path, suffix):
    path = tmp_path / f"film{suffix}"
    save_video(path, noise(2))
    before = path.read_bytes()
    done = subprocess.run([sys.executable, "-c", FULL, str(path)], cwd=ROOT, capture_output=True, text=True)
    message = f"film{suffix}: 40 frames were written and cannot be read back; is the disk full?"
    assert message in done.stdout, done.stderr
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == [path.name]


def test_a_broken_block_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError), VideoWriter(tmp_path / "a.mp4", 10) as writer:
        writer.write(noise(1)[0])
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UnusableFileError, match="cannot be made"):
        VideoWriter("/proc/none/a.mp4", 10)


STOPPED = """
import sys, time
import numpy as np
from detect.utils.cli import running_tool
from detect.video.writer import VideoWriter
with running_tool(), VideoWriter(sys.argv[1], 10) as writer:
    for _ in range(600):
        writer.write(np.zeros((64, 80, 3), np.uint8))
        time.sleep(0.05)
"""


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_leaves_no_half_of_a_film(tmp_path, how):
    environment = {**os.environ, "DETECT_DEFAULT_MALLOC": "1"}
    command = [sys.executable, "-c", STOPPED, str(tmp_path / "film.avi")]
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)
    while not list(tmp_path.iterdir()):
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(how)
    error = process.communicate(timeout=60)[1]
    assert process.returncode == 128 + how and "Traceback" not in error and list(tmp_path.iterdir()) == []


def test_frames_out_are_frames_in(tmp_path):
    save_video(tmp_path / "film.mp4", noise(31))
    assert count_frames(tmp_path / "film.mp4") == 31
