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
from detect.video.encoders import H264, MPEG4, PyAVEncoder
from detect.video.readers import container_facts, count_frames, read_frames
from detect.video.writer import VideoWriter, save_video

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(params=["h264", "mpeg4"])
def mp4_codec(request, monkeypatch):
    """The name of each codec of an MP4 in turn."""
    if request.param == "h264":
        pytest.importorskip("av")
        return H264
    monkeypatch.setattr("detect.video.encoders.open_h264", lambda *_: None)
    return MPEG4


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
from detect.video import encoders
from detect.video.writer import save_video
if sys.argv[2] == "mpeg4":
    encoders.open_h264 = lambda *_: None
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))  # as a disk with so much room; the signal is ignored
frames = np.random.default_rng(0).integers(0, 256, (int(sys.argv[3]), 64, 80, 3), dtype=np.uint8)
try:
    save_video(sys.argv[1], frames)
except UnusableFileError as error:
    print(error)
"""


@pytest.mark.parametrize("suffix, codec, count, message", [
    (".avi", "", 40, "40 frames were written and cannot be read back; is the disk full?"),
    (".mp4", "mpeg4", 40, "40 frames were written and cannot be read back; is the disk full?"),
    (".mp4", "h264", 40, "40 frames were written and cannot be read back; is the disk full?"),
    (".mp4", "h264", 300, "cannot be written (File too large); is the disk full?"),
])  # fmt: skip
def test_on_a_full_disk_the_former_film_stays(tmp_path, suffix, codec, count, message):
    if codec == "h264":
        pytest.importorskip("av")
    path = tmp_path / f"film{suffix}"
    save_video(path, noise(2))
    before = path.read_bytes()
    command = [sys.executable, "-c", FULL, str(path), codec, str(count)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert f"film{suffix}: " in done.stdout and message in done.stdout, done.stdout + done.stderr
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == [path.name]


def test_a_broken_block_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError), VideoWriter(tmp_path / "a.mp4", 10) as writer:
        writer.write(noise(1)[0])
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UnusableFileError, match="cannot be made"):
        VideoWriter("/proc/none/a.mp4", 10)


@pytest.mark.parametrize("suffix", [".mp4", ".avi"])
def test_two_processes_that_write_one_film_do_not_mix(tmp_path, suffix, monkeypatch):
    """Each has a file of its own, the last to end is the film; one left by a process that is dead goes."""
    path = tmp_path / f"film{suffix}"
    dead = tmp_path / f".film{suffix}.{2**22 + 1}.tmp{suffix}"  # above the highest id that Linux gives
    other_film = tmp_path / f".other{suffix}.{2**22 + 1}.tmp{suffix}"
    dead.touch()
    other_film.touch()
    with VideoWriter(path, 10) as first:
        first.write(noise(1)[0])
        monkeypatch.setattr("os.getpid", lambda: os.getppid())
        with VideoWriter(path, 10) as second:
            assert first.temporary != second.temporary and not dead.exists()
            for frame in noise(3):
                second.write(frame)
        assert count_frames(path) == 3
    assert count_frames(path) == 1 and sorted(tmp_path.iterdir()) == [other_film, path]


def test_a_stream_that_cannot_be_made_lets_go_of_the_file(tmp_path, monkeypatch):
    av = pytest.importorskip("av")

    class File:
        closed = False

        def add_stream(self, *_, **__):
            raise ValueError("no such rate")

        def close(self):
            self.closed = True

    file = File()
    monkeypatch.setattr(av, "open", lambda *_, **__: file)
    with pytest.raises(ValueError, match="no such rate"):
        PyAVEncoder(tmp_path / "a.mp4", 10, (64, 80))
    assert file.closed


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


@pytest.mark.parametrize("suffix", [".avi", ".mp4"])
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_leaves_no_half_of_a_film(tmp_path, how, suffix):
    environment = {**os.environ, "DETECT_DEFAULT_MALLOC": "1"}
    command = [sys.executable, "-c", STOPPED, str(tmp_path / f"film{suffix}")]
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)
    while not list(tmp_path.iterdir()):
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(how)
    error = process.communicate(timeout=60)[1]
    assert process.returncode == 128 + how and "Traceback" not in error and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("count", [1, 2, 31])
def test_frames_out_are_frames_in(tmp_path, mp4_codec, count):
    """In their order too: frame k has the grey 8 k."""
    with VideoWriter(tmp_path / "film.mp4", 30000 / 1001) as writer:
        for k in range(count):
            writer.write(np.full((64, 80, 3), 8 * k, np.uint8))
    assert writer.codec == mp4_codec and count_frames(tmp_path / "film.mp4") == count
    assert container_facts(tmp_path / "film.mp4") == (pytest.approx(29.97, rel=1e-4), count)
    found = read_frames(tmp_path / "film.mp4", range(count)).mean((1, 2, 3))
    np.testing.assert_allclose(found, 8 * np.arange(count), atol=5)  # the next one is 8 off


def test_h264_is_what_browsers_play(tmp_path):
    av = pytest.importorskip("av")
    save_video(tmp_path / "film.mp4", noise(12, height=33, width=47), fps=12.5)
    with av.open(str(tmp_path / "film.mp4")) as film:
        stream = film.streams.video[0]
        assert (stream.codec.name, stream.pix_fmt, stream.average_rate) == ("h264", "yuv420p", 12.5)
        assert (stream.width, stream.height, sum(1 for _ in film.decode(stream))) == (48, 34, 12)
    content = (tmp_path / "film.mp4").read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")  # the index first: it plays before it is loaded whole


def test_without_pyav_it_is_what_opencv_can(tmp_path, monkeypatch, capfd):
    monkeypatch.setitem(sys.modules, "av", None)
    with VideoWriter(tmp_path / "film.mp4", 10) as writer:
        writer.write(noise(1)[0])
    assert writer.codec in (H264, MPEG4) and count_frames(tmp_path / "film.mp4") == 1
    assert "".join(capfd.readouterr()) == ""  # OpenCV's own complaints


def test_frames_with_times_stand_until_the_next_one(tmp_path, mp4_codec):
    """At 10 frames a second the times 0, 0.31, 0.36, 0.43 and 1 s are frames 0, 3, 4, 4 and 10."""
    with VideoWriter(tmp_path / "film.mp4", 10) as writer:
        for value, time in ((40, 0.0), (90, 0.31), (140, 0.36), (190, 0.43), (240, 1.0)):
            writer.write(np.full((32, 48, 3), value, np.uint8), time)
    found = read_frames(tmp_path / "film.mp4", range(count_frames(tmp_path / "film.mp4"))).mean((1, 2, 3))
    np.testing.assert_allclose(found, [40] * 3 + [90] + [190] * 6 + [240], atol=3)  # 140 came too soon
