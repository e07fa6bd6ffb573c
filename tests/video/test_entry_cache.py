"""Places are found where that pays, kept for the file as it is, and found anew where what was kept is damaged."""

import json
import multiprocessing
import os
from itertools import islice

import numpy as np
import pytest

from detect.data.keyframe_mapper import KeyframeMapper
from detect.data.train_stream import build_train_loader
from detect.utils.files import signature
from detect.video import entry_cache
from detect.video.entry_points import NO_ENTRIES, find_entry_points
from detect.video.readers import iter_frames, read_frames
from tests.video.made_videos import SIZE, write_video


@pytest.fixture
def video(tmp_path, monkeypatch):
    """A video of 300 frames that no process knows, and a cache of its own."""
    monkeypatch.setenv("DETECT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(entry_cache, "_known", {})
    return write_video(tmp_path, "gop12.avi")


@pytest.fixture
def searches(monkeypatch):
    """The files searched for places, in order."""
    found = []
    monkeypatch.setattr(entry_cache, "find_entry_points", lambda path: found.append(path) or find_entry_points(path))
    return found


def read_often(path, times=4, start=200):
    for _ in range(times):
        frames = read_frames(path, range(start, start + 20))
    return frames


def forget(monkeypatch):
    """As a process that starts."""
    monkeypatch.setattr(entry_cache, "_known", {})


def test_found_once_it_pays(video, searches):
    whole = np.stack(list(iter_frames(video)))
    np.testing.assert_array_equal(read_often(video, 2), whole[200:220])  # 400 frames for nothing
    assert searches == [] and not entry_cache.cache_file(video).exists()
    np.testing.assert_array_equal(read_often(video, 1), whole[200:220])  # twice the length
    assert searches == [str(video)] and entry_cache.cache_file(video).exists()
    np.testing.assert_array_equal(read_often(video, 5), whole[200:220])
    assert len(searches) == 1


def test_the_next_process_uses_what_is_on_the_disk(video, searches, monkeypatch):
    read_often(video)
    forget(monkeypatch)
    points = entry_cache.entry_points(video, np.arange(200, 220))
    assert points == find_entry_points(video) and len(searches) == 1
    assert entry_cache.entry_points(video, np.arange(10, 30)) == NO_ENTRIES  # near the start


def test_not_for_short_videos_nor_for_reads_near_the_start(tmp_path, monkeypatch, searches):
    monkeypatch.setenv("DETECT_CACHE", str(tmp_path / "cache"))
    path = write_video(tmp_path, "gop12.avi", count=120)
    read_often(path, 20, start=90)
    assert searches == []
    path = write_video(tmp_path, "gop12.avi", count=300)
    read_often(path, 50, start=60)
    assert searches == [] and not (tmp_path / "cache").exists()


@pytest.mark.parametrize("how", ["touched", "another video", "cut off"])
def test_a_file_that_changes(how, video, searches, monkeypatch):
    read_often(video)
    before, times = signature(video), (0, signature(video)[2] + 10**9)
    if how == "touched":
        os.utime(video, ns=times)
    elif how == "another video":
        write_video(video.parent, video.name, seed=1)
    else:
        video.write_bytes(video.read_bytes()[: video.stat().st_size * 4 // 5])
        os.utime(video, ns=(0, before[2]))
    whole = np.stack(list(islice(iter_frames(video), 230)))
    np.testing.assert_array_equal(read_often(video, 1), whole[200:220])
    assert len(searches) == 1 and entry_cache.load(video, signature(video)) is None
    np.testing.assert_array_equal(read_often(video), whole[200:220])
    assert len(searches) == 2 and entry_cache.load(video, signature(video)) == find_entry_points(video)


def test_the_same_signature_and_another_content(video, searches):
    """What no signature tells, the checksum does."""
    read_often(video)
    before = signature(video)
    other = write_video(video.parent, video.name, seed=1).read_bytes()
    video.write_bytes(other[: before[1]].ljust(before[1], b"\0"))
    os.utime(video, ns=(0, before[2]))
    assert signature(video) == before
    whole = np.stack(list(islice(iter_frames(video), 220)))
    np.testing.assert_array_equal(read_often(video, 1), whole[200:220])


DAMAGED = {
    "empty": lambda text: "",
    "no JSON": lambda text: text[: len(text) // 2],
    "a list": lambda text: "[]",
    "deep": lambda text: "[" * 100_000,
    "without frames": lambda text: text.replace('"frames"', '"count"'),
    "text for numbers": lambda text: text.replace('"frames": 300', '"frames": "300"'),
    "short entry": lambda text: json.dumps({**json.loads(text), "entries": [[1, 2]]}),
    "beyond the end": lambda text: json.dumps({**json.loads(text), "entries": [[60, 60, 400, 0]]}),
    "not in order": lambda text: json.dumps({**json.loads(text), "entries": json.loads(text)["entries"][::-1]}),
    "another OpenCV": lambda text: json.dumps(
        {**json.loads(text), "made_of": [*json.loads(text)["made_of"][:-1], "x"]}
    ),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_damaged_files_are_made_anew(kind, video, searches, monkeypatch):
    read_often(video)
    file = entry_cache.cache_file(video)
    good = file.read_text()
    file.write_text(DAMAGED[kind](good))
    forget(monkeypatch)
    frames = read_often(video)
    np.testing.assert_array_equal(frames, read_frames(video, range(200, 220), entries=NO_ENTRIES))
    assert len(searches) == 2 and file.read_text() == good


def test_wrong_places_in_a_good_file_do_no_harm(video, monkeypatch):
    read_often(video)
    file = entry_cache.cache_file(video)
    content = json.loads(file.read_text())
    content["entries"] = [[target + 1, first, stop, checksum] for target, first, stop, checksum in content["entries"]]
    file.write_text(json.dumps(content))
    forget(monkeypatch)
    np.testing.assert_array_equal(read_often(video), read_frames(video, range(200, 220), entries=NO_ENTRIES))


def test_a_cache_that_cannot_be_written(video, searches, caplog):
    (video.parent / "cache").write_text("a file, not a folder")
    read_often(video, 9)
    assert len(searches) == 1 and "this folder cannot be made" in caplog.text


def _hold(path, held, done):
    with entry_cache._alone(path) as alone:
        held.put(alone)
        done.wait(60)


def test_one_process_searches_while_the_others_read(video, searches):
    context = multiprocessing.get_context("fork")
    held, done = context.Queue(), context.Event()
    other = context.Process(target=_hold, args=(str(video), held, done))
    other.start()
    assert held.get(timeout=60)
    read_often(video, 6)
    assert searches == []
    done.set()
    other.join()
    read_often(video, 1)
    assert len(searches) == 1


def test_a_bad_frame_is_left_to_its_reader(video, monkeypatch):
    def fails(path):
        raise entry_cache.FrameReadError(f"{path}: frame 250 does not decode")

    monkeypatch.setattr(entry_cache, "find_entry_points", fails)
    assert read_often(video, 6).shape[0] == 20 and not entry_cache.cache_file(video).exists()


def test_in_the_process_of_a_loader(video):
    """It finds the places by itself, and its samples stay the same."""
    mapper = KeyframeMapper(8, SIZE, is_train=True, flip_prob=0.5)
    sample = {"file_name": str(video), "image_id": "v#250", "height": SIZE[0], "width": SIZE[1], "num_frames": 300}
    samples = [{**sample, "frame_index": 250, "annotations": []}] * 8
    clips = []
    for workers in (1, 0):
        loader = build_train_loader(samples, mapper, 1, seed=0, num_workers=workers)
        clips.append(np.stack([batch[0]["clip"].numpy() for batch in islice(loader, 8)]))
        assert (entry_cache.cache_file(video)).exists()
    np.testing.assert_array_equal(*clips)
    mapper_of_start = KeyframeMapper(8, SIZE, is_train=False)
    whole = np.stack(list(iter_frames(video)))
    np.testing.assert_array_equal(mapper_of_start(samples[0])["clip"], whole[246:254])
