import json

import numpy as np
import pytest

from detect.benchmarks import data
from detect.video.readers import count_frames, read_frames


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """A video and a frame folder of 30 frames."""
    patch = pytest.MonkeyPatch()
    patch.setattr(data, "CLIP", 30)
    yield data.make_clip(tmp_path_factory.mktemp("clip"))
    patch.undo()


def test_clip_is_the_same_as_video_and_as_frames(clip):
    assert [count_frames(path) for path in clip] == [30, 30]
    video, frames = (read_frames(path, [0, 17]).astype(float) for path in clip)
    assert np.abs(video - frames).mean() < 8 < np.abs(video[0] - frames[1]).mean()  # two lossy codecs


def test_what_is_compared_gives_the_same_frames(clip):
    video, frames = clip
    for read in (data.cv2_seek, data.whole_video, data.from_start, data.from_places):
        np.testing.assert_array_equal(read(video, range(11, 20)), read_frames(video, range(11, 20)))
    readers = data.folder_readers((60, 50))
    floats = readers["cv2.imread, resize, float32, transpose"][1](frames, range(5, 9))
    ours = readers["read_frames with uint8 resize"][1](frames, range(5, 9))
    assert floats.shape == (3, 4, 60, 50) and floats.dtype == np.float32 and ours.dtype == np.uint8
    np.testing.assert_allclose(floats, ours.astype(np.float32).transpose(3, 0, 1, 2) / 127.5 - 1, atol=1e-6)


def test_every_reader_is_timed_and_a_missing_package_is_named(clip, monkeypatch, capsys):
    def absent(path, window):
        raise ModuleNotFoundError("No module named 'fastvideo'")

    def wrong(path, window):
        return 255 - read_frames(path, window)

    others = {"fast": ("fastvideo", absent), "wrong": ("wrongvideo", wrong)}
    own = {name: row for name, row in data.VIDEO_READERS.items() if row[0] is None}
    monkeypatch.setattr(data, "VIDEO_READERS", own | others)
    seconds = data.benchmark_data(*map(str, clip), length=4, size=(32, 40), rounds=2)
    assert seconds["video"].keys() == own.keys()
    assert seconds["frame folder"].keys() >= {"cv2.imread, resize, float32, transpose", "read_frames with uint8 resize"}
    assert all(0 < value.cpu < 5 > value.wall > 0 for kind in seconds.values() for value in kind.values())
    printed = capsys.readouterr().out
    assert "left out: fast: No module named 'fastvideo'" in printed and "left out: wrong: pixels differ" in printed
    assert "frame folder frames, 30 frames; clips of 4, one thread, median of 2" in printed and "clips/s" in printed


def test_a_long_video_is_read_from_places_near_the_clip(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(data, "CLIP", 30)
    ours = "read_frames, from the nearest place"
    monkeypatch.setattr(data, "VIDEO_READERS", {ours: data.VIDEO_READERS[ours]})
    seconds = data.benchmark_data(length=4, size=(32, 40), rounds=1, seconds=8)
    assert list(seconds) == ["video of 8 s", "video of 8 s, .mp4", "frame folder"]
    assert list(seconds["video of 8 s"]) == [ours]
    printed = capsys.readouterr().out
    assert "long.avi, 200 frames" in printed and "5 places where" in printed  # 53, 89, ... 197


def test_clip_longer_than_the_video(clip):
    with pytest.raises(ValueError, match="clips of 31 of 30 frames, 15 rounds; at least one of each"):
        data.benchmark_data(*map(str, clip), length=31)


def test_share_of_waiting(tmp_path):
    rows = [{"iteration": 0, "time": 2.0, "data_time": 0.5}, {"iteration": 1, "AP": 3}, {"time": 2.0, "data_time": 0.1}]
    file = tmp_path / "metrics.json"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert data.waiting_share(file) == pytest.approx(0.6 / 4)
    file.write_text("{}\n")
    with pytest.raises(ValueError, match="no row has time and data_time"):
        data.waiting_share(file)
