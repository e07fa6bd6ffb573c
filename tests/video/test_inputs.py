import os

import pytest

from detect.utils.errors import UserError
from detect.video.inputs import find_videos
from detect.video.readers import MissingMediaError


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_tree(tmp_path):
    touch(tmp_path, "B/v.2.avi", "B/w.MP4", "A/frames.v1/00001.jpg", "A/frames.v1/00002.jpg", "A/notes.txt",
          "A/.hidden/x.avi", "A/.x.avi", "out/B/v/flow_x_00001.jpg", "B/00001.jpg")  # fmt: skip
    found = find_videos(tmp_path, skip=[tmp_path / "out"])
    assert found == {
        "A/frames.v1": tmp_path / "A/frames.v1",  # a folder's name is kept whole
        "B/v.2": tmp_path / "B/v.2.avi",
        "B/w": tmp_path / "B/w.MP4",  # and the picture beside the videos is no frame folder
    }


def test_links(tmp_path):
    touch(tmp_path, "in/A/v.avi", "in/B/frames/1.jpg", "elsewhere/w.avi", "elsewhere/deep/x.avi")
    links = {
        "in/A/loop": "in", "in/A/B": "in/B", "in/0": "in/A", "in/self": "in/self", "in/Z": "elsewhere",
        "elsewhere/deep/back": "in", "in/A/again.avi": "in/A/v.avi", "in/A/y.avi": "elsewhere/gone.avi",
    }  # fmt: skip
    for name, target in links.items():
        (tmp_path / name).symlink_to(tmp_path / target)
    os.link(tmp_path / "in/A/v.avi", tmp_path / "in/A/hard.avi")  # two names of equal right
    assert list(find_videos(tmp_path / "in")) == ["A/hard", "A/v", "A/y", "B/frames", "Z/deep/x", "Z/w"]
    assert list(find_videos(tmp_path / "in", skip=[tmp_path / "elsewhere/deep"])) == [
        "A/hard", "A/v", "A/y", "B/frames", "Z/w",
    ]  # fmt: skip
    assert list(find_videos(tmp_path / "in/Z")) == ["deep/back/A/hard", "deep/back/A/v", "deep/back/A/y",
                                                    "deep/back/B/frames", "deep/x", "w"]  # fmt: skip
    assert list(find_videos(tmp_path / "in/A", skip=[tmp_path / "in/A"]))[:1] == ["B/frames"]


def test_one_video_and_one_folder(tmp_path):
    touch(tmp_path, "a/v.avi", "b/00001.png")
    assert find_videos(tmp_path / "a/v.avi") == {"v": tmp_path / "a/v.avi"}
    assert find_videos(tmp_path / "b") == {"b": tmp_path / "b"}


def test_list(tmp_path):
    touch(tmp_path, "data/A/a b.avi", "data/B/frames/00001.jpg", "data/C/12 frames/1.jpg")
    (tmp_path / "list.txt").write_text(
        f"A/a b.avi 3\n\nB/frames 0\r\nC/12 frames\nC/gone.mp4 2\n{tmp_path}/data/A/a b.avi\nC/absent 7\n"
    )
    root = tmp_path / "data"
    assert find_videos(tmp_path / "list.txt", root) == {
        "A/a b": root / "A/a b.avi",
        "B/frames": root / "B/frames",
        "C/12 frames": root / "C/12 frames",
        "C/absent": root / "C/absent",
        "C/gone": root / "C/gone.mp4",
    }
    (root / "list.txt").write_text("\ufeffA/a b.avi\n", encoding="utf-8")  # relative to the list's folder
    assert find_videos(root / "list.txt") == {"A/a b": root / "A/a b.avi"}


def test_bad_sources(tmp_path):
    with pytest.raises(MissingMediaError, match="nothing: there is no such folder"):
        find_videos(tmp_path / "nothing")
    touch(tmp_path, "in/notes.md", "list.txt")
    for source in ("in", "list.txt"):
        with pytest.raises(ValueError, match="no video; expected files .*avi"):
            find_videos(tmp_path / source)
    (tmp_path / "list.txt").write_bytes(b"a\xff.avi\n")
    with pytest.raises(UserError, match="list.txt: not a text file in UTF-8"):
        find_videos(tmp_path / "list.txt")
    (tmp_path / "list.txt").write_text("x" * 5000)  # no file system has such names
    assert len(find_videos(tmp_path / "list.txt")) == 1
    touch(tmp_path, "in/v.avi", "in/v.mp4")
    with pytest.raises(ValueError, match="v.avi and .*v.mp4 would both become v"):
        find_videos(tmp_path / "in")
    (tmp_path / "list.txt").write_text("../elsewhere.avi\n")
    with pytest.raises(ValueError, match="elsewhere.avi is not below .*--root"):
        find_videos(tmp_path / "list.txt")
