import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import pytest

from detect.tasks.extract_flow import extract_flow
from detect.utils.errors import UserError
from detect.utils.shards import Shard
from detect.video.flow import check_flow_range, decode_flow, flow_length, read_flow
from detect.video.flow_extraction import FlowSettings, extract_video
from detect.video.readers import FrameReadError, count_frames

ROOT = Path(__file__).resolve().parents[2]
DIS = FlowSettings("dis")


def write_frames(folder, count=3, size=(48, 64), shift=(3, -2), seed=0):
    """A texture that moves by `shift` (x, y) pixels a frame, as 00001.png, ..."""
    folder.mkdir(parents=True)
    height, width = size
    dx, dy = shift
    margin = count * max(abs(dx), abs(dy), 1)
    noise = np.random.default_rng(seed).integers(0, 256, (height + 2 * margin, width + 2 * margin), np.uint8)
    texture = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 2.5), None, 0, 255, cv2.NORM_MINMAX)
    for k in range(count):
        y, x = margin - k * dy, margin - k * dx
        cv2.imwrite(str(folder / f"{k + 1:05d}.png"), texture[y : y + height, x : x + width])
    return folder


def write_cut_off_video(path):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 25, (64, 48))
    for image in np.random.default_rng(0).integers(0, 255, (20, 48, 64, 3), np.uint8):
        writer.write(image)
    writer.release()
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def tree(folder):
    """All entries but images, relative, sorted."""
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.suffix not in (".jpg", ".lock"))


@pytest.mark.parametrize("method", ["tvl1", "dis"])
def test_flow_of_a_known_motion(tmp_path, method):
    frames = write_frames(tmp_path / "frames", 3, (96, 128), (3, -2))
    assert extract_video(frames, tmp_path / "flow", FlowSettings(method, quality=100)) == 2
    flow = decode_flow(read_flow(tmp_path / "flow", range(2)))[:, 16:-16, 16:-16]
    assert np.abs(np.median(flow, (1, 2)) - [3, -2]).max() < 0.2  # half a step of the encoding is 0.08
    assert np.abs(flow - [3, -2]).mean() < 0.3
    check_flow_range(tmp_path / "flow")
    meta = json.loads((tmp_path / "flow" / "meta.json").read_text())
    assert (meta["method"], meta["frames"], meta["flows"], meta["jpeg_quality"]) == (method, 3, 2, 100)
    assert ("note" in meta) == (method == "dis")
    if method == "tvl1":  # OpenCV's documented defaults
        expected = {"Tau": 0.25, "Lambda": 0.15, "Theta": 0.3, "ScalesNumber": 5, "WarpingsNumber": 5, "Epsilon": 0.01,
                    "InnerIterations": 30, "OuterIterations": 10}  # fmt: skip
        assert expected.items() <= meta["parameters"].items()


def test_resized_flow_is_in_pixels_of_the_resized_frames(tmp_path):
    frames = write_frames(tmp_path / "frames", 2, (96, 128), (6, -4))
    extract_video(frames, tmp_path / "flow", FlowSettings("dis", short_side=48))
    flow = read_flow(tmp_path / "flow", [0])
    assert flow.shape == (1, 48, 64, 2)
    assert np.abs(np.median(decode_flow(flow), (1, 2)) - [3, -2]).max() < 0.3


def test_opencv_without_tvl1(monkeypatch, tmp_path):
    monkeypatch.delattr(cv2, "optflow")
    write_frames(tmp_path / "in" / "v")
    with pytest.raises(ValueError, match="pip install --force-reinstall opencv-contrib-python-headless"):
        extract_flow(tmp_path / "in", tmp_path / "out", FlowSettings("tvl1"))
    assert DIS.describe()["method"] == "dis"


@pytest.mark.parametrize("wrong", [{"method": "raft"}, {"short_side": 8}, {"quality": 0}])
def test_wrong_settings(wrong):
    with pytest.raises(ValueError, match="method one of .'tvl1', 'dis'.*, short_side at least 16, quality 1 to 100"):
        FlowSettings(**wrong)


def test_finished_videos_are_skipped_and_never_mixed(tmp_path, capfd):
    for name in ("a", "b"):
        write_frames(tmp_path / "in" / name)
    assert extract_flow(tmp_path / "in" / "a", tmp_path / "out", DIS) == {}
    written = (tmp_path / "out" / "a" / "meta.json").stat().st_mtime_ns
    assert extract_flow(tmp_path / "in", tmp_path / "out", DIS) == {}
    assert "2 videos: 1 done, 1 were done before, 0 bad" in capfd.readouterr().out
    assert (tmp_path / "out" / "a" / "meta.json").stat().st_mtime_ns == written
    assert tree(tmp_path / "out") == ["a", "a/meta.json", "b", "b/meta.json"]
    with pytest.raises(ValueError, match="a holds flow of method dis, .*now asked for: dis, 32, 95"):
        extract_flow(tmp_path / "in", tmp_path / "out", FlowSettings("dis", short_side=32))


def test_shards_part_the_videos(tmp_path):
    names = [f"class{i % 2}/v{i}" for i in range(5)]
    for name in names:
        write_frames(tmp_path / "in" / name, 2, (32, 32))
    made = []
    for index in (1, 2, 3):
        extract_flow(tmp_path / "in", tmp_path / str(index), DIS, shard=Shard(index, 3))
        made += [str(p.parent.relative_to(tmp_path / str(index))) for p in (tmp_path / str(index)).rglob("meta.json")]
    assert sorted(made) == sorted(names)


def test_bad_inputs_are_listed_and_the_rest_is_done(tmp_path, capfd):
    write_frames(tmp_path / "in" / "good")
    write_frames(tmp_path / "in" / "single", count=1)
    write_frames(tmp_path / "in" / "foreign")
    write_frames(tmp_path / "in" / "gap", count=4)
    (tmp_path / "in" / "gap" / "00003.png").unlink()
    (tmp_path / "in" / "junk.avi").write_bytes(b"junk" * 500)
    video = write_cut_off_video(tmp_path / "in" / "half.avi")
    (tmp_path / "out" / "foreign").mkdir(parents=True)
    (tmp_path / "list.txt").write_text("good 3\nsingle\nforeign\ngap\njunk.avi 0\nabsent.mp4 1\nhalf.avi\n")
    out = tmp_path / "out"
    bad = extract_flow(tmp_path / "list.txt", out, DIS, root=tmp_path / "in", workers=2)
    reasons = {
        "single": "has 1 frame; flow needs two",
        "foreign": "exists without meta.json",
        "gap": "00003.png: this frame is missing",
        "junk.avi": "does not open as a video",
        "absent.mp4": "there is no such video file",
        "half.avi": f"half.avi: cut off, {count_frames(video)} of 20 frames decode",
    }
    assert bad.keys() == {str(tmp_path / "in" / name) for name in reasons}
    assert all(text in bad[str(tmp_path / "in" / name)] for name, text in reasons.items())
    lines = (out / "bad_inputs.txt").read_text().splitlines()
    assert dict(line.split("\t") for line in lines) == bad
    assert tree(out) == ["bad_inputs.txt", "foreign", "good", "good/meta.json"]
    printed = capfd.readouterr()
    assert "7 videos: 1 done, 0 were done before, 6 bad" in printed.out and "absent.mp4" in printed.err
    assert extract_flow(tmp_path / "in" / "good", out, DIS) == {}
    assert not (out / "bad_inputs.txt").exists()


def test_a_name_that_is_not_utf8(tmp_path, capfd):
    folder, name = tmp_path / "in", os.fsdecode(b"v\xff")
    folder.mkdir()
    write_cut_off_video(folder / "half.avi").rename(folder / f"{name}.avi")
    write_frames(folder / "frames").rename(folder / f"{name}frames")
    out = tmp_path / f"{name}out"
    assert list(extract_flow(folder, out, DIS)) == [f"{folder}/{name}.avi"]
    listed = (out / "bad_inputs.txt").read_text()
    assert listed.startswith(f"{folder}/v\\xff.avi\t{folder}/v\\xff.avi: cut off")
    assert "2 videos: 1 done" in capfd.readouterr().out and flow_length(out / f"{name}frames") == 2


def test_damaged_meta(tmp_path):
    write_frames(tmp_path / "in" / "v")
    (tmp_path / "out" / "v").mkdir(parents=True)
    for text in ("{", "[1]", "\udcff"):
        (tmp_path / "out" / "v" / "meta.json").write_text(text, errors="surrogateescape")
        with pytest.raises(UserError, match="v/meta.json: damaged .*; remove .*/out/v, to make it anew"):
            extract_flow(tmp_path / "in", tmp_path / "out", DIS)


def test_a_full_disk_is_not_the_videos_fault(tmp_path):
    write_frames(tmp_path / "in" / "v")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".v.tmp").write_text("a file where the temporary folder should be")
    with pytest.raises(FileExistsError):
        extract_flow(tmp_path / "in", tmp_path / "out", DIS)


def start(*command):
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, *map(str, command)], cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, start_new_session=True,
    )  # fmt: skip


def wait_for(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def group_is_gone(group):
    """Zombies do not count: process 1 may let them wait for seconds."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    states = set()
    for file in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # ended meanwhile
            state, _, its_group, *_ = file.read_text().rpartition(")")[2].split()
            states |= {state} if int(its_group) == group else set()
    return states == {"Z"}


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_stopped_in_the_middle_and_gone_on_with(tmp_path, how):
    write_frames(tmp_path / "in" / "a", 2)
    write_frames(tmp_path / "in" / "b", 80, (64, 80), (1, 0))  # some seconds of TV-L1
    out = tmp_path / "out"
    code = (
        "import sys; from detect.tasks.extract_flow import run_extract_flow as run\n"
        "from detect.video.flow_extraction import FlowSettings\n"
        "run(sys.argv[1], sys.argv[2], FlowSettings())"
    )
    process = start("-c", code, tmp_path / "in", out)
    wait_for(lambda: (out / ".b.tmp" / "flow_y_00001.jpg").exists())
    process.send_signal(how)
    error = process.communicate()[1]
    wait_for(lambda: group_is_gone(process.pid))
    if how == signal.SIGKILL:
        assert tree(out) == [".b.tmp", "a", "a/meta.json"]
    else:
        assert process.returncode == 130 and "stopped; the same command goes on from here" in error
        assert tree(out) == ["a", "a/meta.json"]
    finished = (out / "a" / "meta.json").stat().st_mtime_ns

    for file in sorted((tmp_path / "in" / "b").iterdir())[4:]:  # so that the rest is short
        file.unlink()
    assert extract_flow(tmp_path / "in", out, FlowSettings("tvl1")) == {}
    assert tree(out) == ["a", "a/meta.json", "b", "b/meta.json"] and flow_length(out / "b") == 3
    assert (out / "a" / "meta.json").stat().st_mtime_ns == finished


def test_tool(tmp_path):
    write_frames(tmp_path / "in" / "a")
    (tmp_path / "in" / "bad.mp4").touch()
    arguments = ("--input", tmp_path / "in", "--output", tmp_path / "out", "--method", "dis")
    process = start("tools/extract_flow.py", *arguments)
    out, error = process.communicate()
    assert process.returncode == 1 and "bad input: " in error and "Traceback" not in error
    assert out.splitlines()[-1].startswith("2 videos: 1 done, 0 were done before, 1 bad, listed in ")


def test_two_runs_in_one_folder(tmp_path):
    write_frames(tmp_path / "in" / "a")
    (tmp_path / "out").mkdir()
    with open(tmp_path / "out" / ".extract_flow.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ValueError, match="another run is writing to"):
            extract_flow(tmp_path / "in", tmp_path / "out", DIS)


def test_frames_of_two_sizes(tmp_path):
    write_frames(tmp_path / "v", 3)
    cv2.imwrite(str(tmp_path / "v" / "00002.png"), np.zeros((48, 60), np.uint8))
    with pytest.raises(FrameReadError, match="00002.png: frames 0 and 1 differ in size: 64 x 48 and 60 x 48 pixels"):
        extract_video(tmp_path / "v", tmp_path / "flow", DIS)
    cv2.imwrite(str(tmp_path / "v" / "00002.png"), np.zeros((96, 128), np.uint8))  # equal once resized
    with pytest.raises(FrameReadError, match="00002.png: frames 0 and 1 differ in size"):
        extract_video(tmp_path / "v", tmp_path / "flow", FlowSettings("dis", short_side=32))
    assert not (tmp_path / "flow").exists()


def test_two_shards_at_once(tmp_path):
    for number in range(5):
        write_frames(tmp_path / "in" / f"v{number}")
    (tmp_path / "in" / "w.mp4").touch()
    arguments = ("--input", tmp_path / "in", "--output", tmp_path / "out", "--method", "dis")
    runs = [start("tools/extract_flow.py", *arguments, "--shard", f"{index}/2") for index in (1, 2)]
    last = [process.communicate()[0].splitlines()[-1] for process in runs]
    assert [process.returncode for process in runs] == [0, 1]
    assert last[0] == "3 videos: 3 done, 0 were done before, 0 bad"
    assert last[1].startswith("3 videos: 2 done, 0 were done before, 1 bad, listed in ")
    made = [f"v{number}{end}" for number in range(5) for end in ("", "/meta.json")]
    assert tree(tmp_path / "out") == ["bad_inputs_2_of_2.txt", *made]
