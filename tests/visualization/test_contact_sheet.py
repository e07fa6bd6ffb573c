"""The page of a whole set: a card for each video, nothing of a file taken for markup, and a script that runs."""

import re
import shutil
import subprocess

import numpy as np
import pytest

from detect.data.records import ActionDataset, Tube, VideoRecord
from detect.visualization.contact_sheet import Shown, chosen_frames, contact_sheet, drawn
from detect.visualization.drawing import class_colour


def tube(label, frames):
    frames = np.array(frames, np.int64)
    return Tube(label, frames, np.tile(np.float32([4, 4, 20, 28]), (len(frames), 1)))


def video(name, *tubes, length=30):
    return VideoRecord(name, f"/{name}.avi", length, 48, 64, tubes)


def dataset(*videos):
    return ActionDataset("own", ("run", "<b>jump</b>"), videos, "0123456789abcdef0123", ("2 boxes clamped: x",))


def shown(data):
    return [
        Shown(i, {k: drawn(v, k, np.full((48, 64, 3), 90, np.uint8)) for k in chosen_frames(v)})
        for i, v in enumerate(data.videos)
    ]


def test_frames_are_spread_over_those_with_boxes():
    assert chosen_frames(video("a", tube(0, range(12, 24)))) == [14, 18, 22]
    assert chosen_frames(video("a", tube(0, [7]))) == [7]
    assert chosen_frames(video("a")) == [5, 15, 25]
    assert chosen_frames(video("a", length=0)) == []


def test_boxes_are_drawn_in_the_colour_of_their_class():
    picture = drawn(video("a", tube(1, [3])), 3, np.zeros((48, 64, 3), np.uint8))
    assert picture.shape == (132, 176, 3)
    rows, columns = np.nonzero((picture == np.array(class_colour(1))).all(-1))
    assert abs(rows.min() - 4 * 132 / 48) < 2 and abs(columns.max() - 20 * 132 / 48) < 2
    assert not drawn(video("a", tube(1, [3])), 4, np.zeros((48, 64, 3), np.uint8)).any()


def test_a_card_for_each_video_with_its_facts():
    data = dataset(video("a", tube(0, [0, 1, 2, 9]), tube(1, [4])), video("b", tube(1, range(30))), video("c"))
    page = contact_sheet(data, shown(data))
    assert re.findall(r'<article class="card" data-name="(\w)" data-class="(.*?)"', page) == [
        ("a", "run"), ("b", "&lt;b&gt;jump&lt;/b&gt;"), ("c", "no box"),
    ]  # fmt: skip
    assert "30 frames, 5 with a box, 64 x 48" in page
    assert page.count("data:image/jpeg;base64,") == 3 * 3
    bars = re.findall(r'<rect x="(\d+)" y="\d+" width="(\d+)" height="3.4"', page)
    assert bars == [("0", "3"), ("9", "1"), ("4", "1"), ("0", "30")]  # of a the gap is open
    assert "<b>jump" not in page and "2 boxes clamped: x" in page
    assert "<b>90</b>frames" in page and "videos on this page" not in page
    assert re.search(r"run</td><td class=\"number\">1</td><td class=\"number\">1</td><td class=\"number\">4</td>", page)


def test_part_of_a_set_and_a_video_that_cannot_be_read():
    data = dataset(video("a", tube(0, [0])), video("b", tube(1, [0])))
    page = contact_sheet(data, [Shown(1, {}, "/b.avi: <gone>")])
    assert page.count("<article") == 1 and "/b.avi: &lt;gone&gt;" in page and 'data-readable="0"' in page
    assert "<b>1</b>videos on this page" in page


@pytest.mark.skipif(not shutil.which("chromium"), reason="no chromium")
def test_in_a_browser_the_cards_are_grouped_by_class(tmp_path):
    data = dataset(*[video(f"v{i}", tube(i % 2, [0])) for i in range(10)])
    (tmp_path / "set.html").write_text(contact_sheet(data, shown(data)))
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/profile"]
    done = subprocess.run([*command, "--dump-dom", f"file://{tmp_path}/set.html"], capture_output=True, timeout=60)
    found = done.stdout.decode()
    assert re.findall(r'<h2 class="group">(.*?)<span class="muted">(.*?)</span>', found) == [
        ("&lt;b&gt;jump&lt;/b&gt;", "5 videos"), ("run", "5 videos"),
    ]  # fmt: skip
    assert re.findall(r'data-name="(v\d)"', found) == ["v1", "v3", "v5", "v7", "v9", "v0", "v2", "v4", "v6", "v8"]
    assert "10 of 10 videos" in found
