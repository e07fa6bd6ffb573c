"""The demo over many videos: the files of each, shards, going on where it was, bad videos, what is refused."""

import json

import numpy as np
import pytest

from detect.video.readers import count_frames
from detect.video.writer import save_video
from tests.running import run_tool
from tests.tiny import save_detector


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    return save_detector(tmp_path_factory.mktemp("demo") / "model_final.pth")


@pytest.fixture
def videos(tmp_path):
    """Four videos of 2 frames, one of them in a folder of its own."""
    for number, name in enumerate(("a.avi", "b.avi", "c/d.avi", "e.avi")):
        save_video(tmp_path / "in" / name, np.full((2, 60, 80, 3), 40 * number, np.uint8), fps=10)
    return tmp_path / "in"


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_each_video_has_its_files_and_a_second_run_goes_on(detector, videos, tmp_path):
    out = videos / "drawn"  # inside the input: its films are no inputs
    call = ("--weights", detector, "--input", videos, "--output", f"{out}/{{}}.avi", "--json", f"{out}/{{}}.json")
    whole = (videos / "e.avi").read_bytes()
    (videos / "e.avi").write_bytes(b"no video")
    done = run_tool("demo", *call, "--shard", "1/2")
    assert done.returncode == 0 and "2 videos: 2 done, 0 were done before, 0 bad" in done.stdout, done.stderr
    assert names(out) == ["a.avi", "a.json", "c/d.avi", "c/d.json", "settings.json"]
    assert count_frames(out / "c" / "d.avi") == 2
    assert json.loads((out / "c" / "d.json").read_text())["video"].endswith("c/d.avi")

    done = run_tool("demo", *call, RANK="1", WORLD_SIZE="2")  # as torchrun starts it
    assert done.returncode == 0 and "2 videos: 1 done, 0 were done before, 1 bad" in done.stdout, done.stderr
    assert "bad input: " in done.stderr and (out / "bad_inputs_2_of_2.txt").read_text().startswith(f"{videos}/e.avi\t")

    (videos / "e.avi").write_bytes(whole)
    (out / "a.json").unlink()  # a run that was killed between the two
    before = (out / "b.avi").stat().st_mtime_ns
    done = run_tool("demo", *call)
    assert done.returncode == 0 and "4 videos: 2 done, 2 were done before, 0 bad" in done.stdout, done.stderr
    assert (out / "a.json").exists() and (out / "b.avi").stat().st_mtime_ns == before
    done = run_tool("demo", *call, "--every", 2)
    assert done.returncode == 2 and "drawn holds results of every None (now 2)" in done.stderr


def test_a_video_that_is_cut_off_leaves_nothing(detector, tmp_path):
    frames = np.random.default_rng(0).integers(0, 256, (20, 60, 80, 3), dtype=np.uint8)
    save_video(tmp_path / "in" / "half.avi", frames, fps=10)
    content = (tmp_path / "in" / "half.avi").read_bytes()
    (tmp_path / "in" / "half.avi").write_bytes(content[: len(content) // 2])
    (tmp_path / "list.txt").write_text("in/half.avi 3\nin/absent.avi\n")
    call = ("--weights", detector, "--input", tmp_path / "list.txt", "--detections", f"{tmp_path}/out/{{}}.csv")
    done = run_tool("demo", *call, "--every", 8)
    assert done.returncode == 1 and "2 videos: 0 done, 0 were done before, 2 bad" in done.stdout
    assert names(tmp_path / "out") == ["bad_inputs.txt", "settings.json"]


@pytest.mark.parametrize("arguments, message", [
    (["--output", "o/{}.mp4", "--json", "o.json"], "--json o.json: is of one video; for many give a folder or list"),
    (["--output", "{}/o.mp4"], "--output {}/o.mp4: is of one video"),
    (["--output", "o/{}.mp4", "--show"], "--show: is of one video"),
    (["--output", "{in}/{}.mp4"], "the next run would take it for an input; give another folder"),
    (["--json", "o/{}.json", "--detections", "o/{}.json"], "--detections o/{}.json is --json too"),
    (["--output", "o.mp4", "--shard", "1/2"], "shard 1/2 of one video; for many give"),
    (["--json", "o/{}.json", "--shard", "3/2"], "shard 3/2: give i/n with 1 <= i <= n, such as 3/8"),
])  # fmt: skip
def test_what_is_refused(videos, arguments, message):
    words = [word.replace("{in}", str(videos)) for word in arguments]
    done = run_tool("demo", "--weights", "absent.pth", "--input", videos, *words)
    assert done.returncode == 2 and message in done.stderr and "Traceback" not in done.stderr, done.stderr
