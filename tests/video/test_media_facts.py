"""What decoding tells, and for how long it is believed."""

import json
import os

import pytest

from detect.utils.files import signature
from detect.video import media_facts
from detect.video.media_facts import FactsCache, MediaFacts, look_at
from detect.video.writer import save_video
from tests.data.tiny_set import draw, write_frames

FACTS = MediaFacts(40, 240, 320)


@pytest.fixture
def video(tmp_path):
    save_video(tmp_path / "a.avi", draw(12, 0))
    return str(tmp_path / "a.avi")


def test_files_and_folders(video, tmp_path):
    write_frames(tmp_path / "frames", draw(5, 0))
    assert look_at(video) == (12, 24, 32, "") and look_at(str(tmp_path / "frames")) == (5, 24, 32, "")


def test_damaged_ones_say_where_they_end(video, tmp_path):
    write_frames(tmp_path / "frames", draw(5, 0))
    (tmp_path / "frames" / "00004.png").write_bytes(b"")
    facts = look_at(str(tmp_path / "frames"))
    assert facts.frames == 3 and "00004.png: 0 bytes, not a readable image" in facts.problem
    data = open(video, "rb").read()
    open(video, "wb").write(data[: len(data) // 2])
    facts = look_at(video)
    assert 0 < facts.frames < 12 and "cut off" in facts.problem
    write_frames(tmp_path / "sizes", draw(2, 0))
    write_frames(tmp_path / "other", draw(1, 0, (48, 64)))
    os.replace(tmp_path / "other" / "00001.png", tmp_path / "sizes" / "00002.png")
    assert "frames 0 and 1 differ in size: 32 x 24 and 64 x 48" in look_at(str(tmp_path / "sizes")).problem


def test_a_signature_changes_with_the_files(video, tmp_path):
    before = signature(video)
    os.utime(video, ns=(0, before[2] + 1))
    assert signature(video)[:2] == before[:2] and signature(video) != before
    write_frames(tmp_path / "frames", draw(3, 0))
    seen = [signature(tmp_path / "frames")]
    (tmp_path / "frames" / "00002.png").write_bytes(b"x")  # in place: the folder's own time stays
    seen.append(signature(tmp_path / "frames"))
    (tmp_path / "frames" / "00003.png").unlink()
    seen.append(signature(tmp_path / "frames"))
    assert len({tuple(one) for one in seen}) == 3 and [one[0] for one in seen] == [3, 3, 2]
    (tmp_path / "empty").mkdir()
    assert signature(tmp_path / "empty") == [0, 0, 0]
    with pytest.raises(FileNotFoundError):
        signature(tmp_path / "gone")


def test_known_while_the_signature_stays(tmp_path):
    cache = FactsCache(tmp_path / "sub" / "facts.json")
    cache.add("/a", [1, 2, 3], FACTS)
    cache.add("/bad", [1, 2, 3], MediaFacts(3, 1, 1, "cut off"))  # it may be readable elsewhere, or tomorrow
    assert cache.get("/a", [1, 2, 3]) == FACTS and not (tmp_path / "sub").exists()
    cache.save()
    again = FactsCache(tmp_path / "sub" / "facts.json")
    assert again.get("/a", [1, 2, 3]) == FACTS
    assert again.get("/a", [1, 2, 4]) is None and again.get("/b", [1, 2, 3]) is None
    assert again.get("/bad", [1, 2, 3]) is None


def test_paths_are_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cache = FactsCache("facts.json")
    cache.add("a", [1, 2, 3], FACTS)
    assert cache.get(str(tmp_path / "a"), [1, 2, 3]) == FACTS


def test_what_is_added_reaches_the_disk_in_time(tmp_path, monkeypatch):
    monkeypatch.setattr(media_facts, "SAVE_SECONDS", 0.0)
    FactsCache(tmp_path / "facts.json").add("/a", [1, 2, 3], FACTS)  # and then kill -9
    assert FactsCache(tmp_path / "facts.json").get("/a", [1, 2, 3]) == FACTS


def test_two_runs_keep_what_the_other_wrote(tmp_path):
    first, second = FactsCache(tmp_path / "facts.json"), FactsCache(tmp_path / "facts.json")
    first.add("/a", [1, 2, 3], FACTS)
    second.add("/b", [1, 2, 3], FACTS)
    first.save()
    second.save()
    both = FactsCache(tmp_path / "facts.json")
    assert both.get("/a", [1, 2, 3]) == both.get("/b", [1, 2, 3]) == FACTS


@pytest.mark.parametrize("content", ["", "[]", "{", '{"videos": 3, "opencv": "%s"}', '{"opencv": "1.0", "videos": {}}'])
def test_a_damaged_file_is_begun_anew(content, tmp_path):
    file = tmp_path / "facts.json"
    file.write_text(content.replace("%s", media_facts.cv2.__version__))
    cache = FactsCache(file)
    assert cache.get("/a", [1, 2, 3]) is None
    cache.add("/a", [1, 2, 3], FACTS)
    cache.save()
    assert list(json.loads(file.read_text())["videos"]) == ["/a"]


def test_entries_that_are_none_are_left_out(tmp_path):
    file = tmp_path / "facts.json"
    good, bad = [1, 2, 3, 40, 240, 320], ([1, 2, 3], [1, 2, 3, 40, 240, "320"], None, [True] * 6)
    videos = {"/good": good, **{f"/{i}": entry for i, entry in enumerate(bad)}}
    file.write_text(json.dumps({"opencv": media_facts.cv2.__version__, "videos": videos}))
    cache = FactsCache(file)
    assert cache.get("/good", [1, 2, 3]) == FACTS
    assert all(cache.get(f"/{i}", [1, 2, 3]) is None for i in range(len(bad)))


def test_frames_of_a_real_clip_whose_header_is_wrong(real_data):
    (path,) = (real_data / "jhmdb" / "ReCompress_Videos" / "catch").glob("*.avi")
    assert look_at(str(path)) == FACTS  # its header says 48
    assert all(part > 0 for part in signature(path))
