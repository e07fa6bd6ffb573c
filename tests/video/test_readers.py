import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from detect.video.readers import (
    FrameReadError,
    MissingMediaError,
    count_frames,
    iter_frames,
    iter_frames_or_errors,
    read_frames,
)

ROOT = Path(__file__).resolve().parents[2]
COLOURS = np.array([[200, 30, 90], [10, 180, 60], [40, 70, 220], [250, 250, 10], [5, 5, 5]], np.uint8)  # RGB


@pytest.fixture
def folder(tmp_path):
    """Five one-colour frames 00001.png .. 00005.png."""
    path = tmp_path / "frames"
    path.mkdir()
    for number, colour in enumerate(COLOURS, 1):
        cv2.imwrite(str(path / f"{number:05d}.png"), np.full((6, 8, 3), colour[::-1], np.uint8))
    return path


@pytest.fixture
def video(tmp_path):
    """The same frames as a Motion-JPEG file of 64 x 48."""
    path = tmp_path / "video.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 25, (64, 48))
    for colour in COLOURS:
        writer.write(np.full((48, 64, 3), colour[::-1], np.uint8))
    writer.release()
    return path


@pytest.mark.parametrize("kind", ["folder", "video"])
def test_rgb_frames_in_the_order_asked_for(kind, request):
    path = request.getfixturevalue(kind)
    frames = read_frames(path, [3, 0, 0, 4])
    assert frames.dtype == np.uint8 and frames.shape[0] == 4
    means = frames.reshape(4, -1, 3).astype(int)
    tolerance = 0 if kind == "folder" else 6  # JPEG
    assert np.abs(means - COLOURS[[3, 0, 0, 4]][:, None].astype(int)).max() <= tolerance
    assert count_frames(path) == 5
    np.testing.assert_array_equal(np.stack(list(iter_frames(path))), read_frames(path, range(5)))


def test_no_frames_asked_for(folder):
    assert read_frames(folder, []).shape == (0, 0, 0, 3)


@pytest.mark.parametrize("kind", ["folder", "video"])
def test_frame_beyond_the_end(kind, request):
    path = request.getfixturevalue(kind)
    with pytest.raises(FrameReadError, match=f"{path}: frame 7 was asked for, but only 5 frames decode") as error:
        read_frames(path, [2, 7])
    assert error.value.decoded == 5
    with pytest.raises(FrameReadError, match="frame -1"):
        read_frames(path, [-1])


@pytest.mark.parametrize("content", [b"", b"junk" * 500])
def test_file_that_is_no_video(tmp_path, content, capfd):
    path = tmp_path / "bad.avi"
    path.write_bytes(content)
    for read in (count_frames, lambda p: read_frames(p, [0]), lambda p: list(iter_frames(p))):
        with pytest.raises(FrameReadError, match="bad.avi: does not open as a video"):
            read(path)
    assert capfd.readouterr().err == ""  # one message, not OpenCV's as well


def test_cut_off_video(video, tmp_path):
    data = video.read_bytes()
    path = tmp_path / "cut.avi"
    path.write_bytes(data[: data.index(b"movi") + (len(data) - data.index(b"movi")) // 2])
    decoded = count_frames(path)
    assert 0 < decoded < 5 and len(list(iter_frames_or_errors(path))) == decoded
    with pytest.raises(FrameReadError, match=f"cut.avi: frame 4 was asked for, but only {decoded} frames decode"):
        read_frames(path, [0, 4])


READ_ALL = """
import os, sys
from detect.video.readers import FrameReadError, container_facts, count_frames, iter_frames, read_frames
path = os.fsdecode(os.fsencode(sys.argv[1]))
print(count_frames(path), len(list(iter_frames(path))), len(read_frames(path, [4])), container_facts(path)[0])
open(path, "wb").close()
try:
    count_frames(path)
except FrameReadError as error:
    print(error)
"""


def test_a_name_that_is_not_utf8(video, tmp_path):
    """In a process of its own: OpenCV 5.0 ends by SIGSEGV."""
    path = os.fsencode(tmp_path) + b"/v\xff.avi"
    shutil.copy(video, path)
    command = [sys.executable, "-c", READ_ALL, path]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env={**os.environ, "PYTHONUTF8": "1"})
    assert done.returncode == 0, done.stderr
    facts, message = done.stdout.splitlines()
    assert facts == "5 5 1 25.0"
    assert message.startswith(f"{tmp_path}/v\\xff.avi: does not open as a video")


def test_nothing_there(tmp_path):
    for read in (count_frames, lambda p: read_frames(p, [0]), lambda p: list(iter_frames(p))):
        with pytest.raises(MissingMediaError, match="nothing: there is no such video file or folder of frames"):
            read(tmp_path / "nothing")


def test_missing_frame_keeps_its_place(folder):
    (folder / "00003.png").unlink()
    assert count_frames(folder) == 5
    np.testing.assert_array_equal(read_frames(folder, [1, 3])[:, 0, 0], COLOURS[[1, 3]])
    with pytest.raises(FrameReadError, match="00003.png: this frame is missing"):
        read_frames(folder, [1, 2])
    with pytest.raises(FrameReadError, match="00003.png"):
        list(iter_frames(folder))
    found = list(iter_frames_or_errors(folder))
    assert [isinstance(frame, FrameReadError) for frame in found] == [False, False, True, False, False]


@pytest.mark.parametrize("suffix", ["png", "jpg"])
@pytest.mark.parametrize("share", [0, 0.1, 0.9])
def test_cut_off_image(tmp_path, suffix, share):
    noise = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
    path = tmp_path / f"00001.{suffix}"
    cv2.imwrite(str(path), noise)
    assert read_frames(tmp_path, [0]).shape == (1, 24, 32, 3)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(FrameReadError, match=f"00001.{suffix}: \\d+ bytes, not a readable image"):
        read_frames(tmp_path, [0])


def test_frames_of_two_sizes(folder):
    cv2.imwrite(str(folder / "00002.png"), np.zeros((6, 9, 3), np.uint8))
    assert len(list(iter_frames(folder))) == 5
    with pytest.raises(FrameReadError, match="00002.png: frames 0 and 1 differ in size: 8 x 6 and 9 x 6 pixels"):
        list(iter_frames(folder, one_size=True))
    with pytest.raises(FrameReadError, match="frames: frames 0 to 2 differ in size"):
        read_frames(folder, [0, 1, 2])


@pytest.mark.parametrize(
    "first, name", [(0, "{:05d}.png"), (0, "{}.jpg"), (1, "img_{:05d}.jpg"), (1, "frame{:06d}.PNG")]
)
def test_names_of_frames(tmp_path, first, name):
    for number in range(12):  # 10 comes after 9 also without leading zeros
        cv2.imwrite(str(tmp_path / name.format(number + first)), np.full((8, 8, 3), number * 20, np.uint8))
    assert count_frames(tmp_path) == 12
    assert np.abs(read_frames(tmp_path, range(12))[:, 4, 4, 0] - np.arange(12) * 20.0).max() <= 2


def test_other_files_in_the_folder(folder):
    for name in (".DS_Store", "._00001.png", "notes.txt", "Thumbs.db", "00001.png.bak"):
        (folder / name).write_text("x")
    (folder / ".AppleDouble").mkdir()
    assert count_frames(folder) == 5
    for number in range(1, 5):  # flow beside the frames
        cv2.imwrite(str(folder / f"x_{number:05d}.jpg"), np.zeros((6, 8), np.uint8))
    assert count_frames(folder) == 5


def test_folders_that_cannot_be_understood(folder, tmp_path):
    cv2.imwrite(str(folder / "00002.jpg"), np.zeros((6, 8, 3), np.uint8))
    with pytest.raises(FrameReadError, match="00002.* and 00002.* are both frame 00002"):
        count_frames(folder)
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(FrameReadError, match="empty: no numbered .jpg or .png image; expected 00001.jpg"):
        count_frames(empty)
    (empty / "00007.png").touch()
    with pytest.raises(FrameReadError, match="the first image is 00007.png"):
        count_frames(empty)
    (empty / "00007.png").rename(empty / "x_1.png")
    (empty / "y_1.png").touch()
    with pytest.raises(FrameReadError, match=r"prefixes \['x_', 'y_'\]"):
        count_frames(empty)


REAL_COUNTS = {  # by decoding; the headers of the first four claim 73, 75, 49 and 84
    "hmdb51/wave/RATRACE_wave_f_nm_np1_fr_goo_37.avi": (72, (240, 560)),
    "hmdb51/wave/SchoolRulesHowTheyHelpUs_wave_f_nm_np1_ba_med_0.avi": (74, (240, 320)),
    "hmdb51/wave/TrumanShow_wave_f_nm_np1_fr_med_26.avi": (48, (240, 432)),
    "hmdb51/cartwheel/hmdb51_Turnk_r_Pippi_Michel_cartwheel_f_cm_np2_le_med_6.avi": (83, (240, 320)),
    "ucf101/SoccerJuggling/v_SoccerJuggling_g23_c01.avi": (240, (240, 320)),
    "ucf101/SoccerJuggling/v_SoccerJuggling_g24_c01.avi": (251, (240, 320)),
    "kinetics400/R6llTwEh07w.mp4": (303, (256, 340)),
}


@pytest.mark.parametrize("name", REAL_COUNTS)
def test_real_videos(real_data, name):
    count, size = REAL_COUNTS[name]
    path = real_data / "videos" / name
    assert count_frames(path) == count
    assert read_frames(path, [0, count - 1]).shape == (2, *size, 3)
    with pytest.raises(FrameReadError, match=f"only {count} frames decode"):
        read_frames(path, [count])


def test_real_frame_folder_beside_flow(real_data):
    """img_00001 .. 10 are frames 1 .. 10 of the video: their extractor dropped frame 0."""
    folder = read_frames(real_data / "rawframes_flow" / "mmaction2_imgs", range(10))
    video = read_frames(real_data / "videos" / "ucf101_like" / "mmaction2_test.avi", range(1, 11))
    assert folder.shape == video.shape
    assert np.abs(folder.astype(float) - video).mean() < 3  # JPEG
    assert np.abs(folder[:1].astype(float) - video[5:6]).mean() > np.abs(folder[:1].astype(float) - video[:1]).mean()
