"""The page: well-formed, complete, harmless whatever names the data has, and there for every poor input."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from detect.data.records import ActionDataset, VideoRecord
from detect.evaluation import FrameAPOptions, preset
from detect.report import numbered_as, write_report
from detect.report.page import in_words
from detect.report.style import CSS, KIND_COLOURS
from detect.report.training import read_training
from detect.utils.errors import UserError
from tests.report.small_set import CLASSES, HOSTILE, KINDS, detections, small_set

VOID = {"meta", "img", "br", "hr", "link", "input", "line", "rect", "path", "circle", "image"}


class Page(HTMLParser):
    """Checks that tags are nested; collects the text of headings and cells, scripts, and addresses."""

    def __init__(self, text: str):
        super().__init__(convert_charrefs=True)
        self.open, self.words, self.ids, self.addresses, self.scripts = [], [], [], [], 0
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        assert len(found) == len(attributes), (tag, attributes)
        self.ids += [found["id"]] if "id" in found else []
        self.addresses += [found[name] for name in ("src", "href", "xlink:href") if name in found]
        self.scripts += tag == "script"
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        if tag not in VOID:
            raise AssertionError(f"<{tag}/>")
        self.handle_starttag(tag, attributes)

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, (tag, self.open, self.getpos())

    def handle_data(self, data):
        self.words.append(data)


def written(tmp_path, *arguments, **options) -> tuple[str, Page]:
    path = write_report(tmp_path / "out", *arguments, **options)
    assert path == tmp_path / "out" / "index.html" and [file.name for file in path.parent.iterdir()] == ["index.html"]
    text = path.read_text("utf-8")
    page = Page(text)
    assert len(set(page.ids)) == len(page.ids)
    assert all(address.startswith(("data:image/jpeg;base64,", "#")) for address in page.addresses)  # nothing fetched
    assert page.scripts == 1 and not re.search(r"\b(nan|inf)\b", text)
    return text, page


def test_page_is_whole_and_names_are_harmless(tmp_path):
    text, page = written(tmp_path, small_set(tmp_path), detections(KINDS), FrameAPOptions())
    said = " ".join(page.words)
    assert all(name in said for name in CLASSES) and "a/<b>" in said and "toy & set" in said
    assert HOSTILE not in text and "<b>, frame" not in text
    assert {"by-class", "boxes", "errors", "pictures", "provenance", "classes"} <= set(page.ids)
    assert "training" not in page.ids
    assert text.count("data:image/jpeg") > 5 and "the video is not on this machine" in said  # a is there, b is not
    assert "0123abcd" in said and "2 boxes clamped" in said


@pytest.mark.parametrize("name", ["voc", "act", "yowo_11pt", "gurkirt"])
def test_protocol_is_spelled_out(tmp_path, name):
    options = preset(name)
    words = in_words(options)
    assert "Every frame that was looked at" not in words
    assert f"Protocol {name}" in words and "IoU of 0.5" in words
    assert ("pixel corners inclusive" in words) == options.plus_one
    _, page = written(tmp_path, small_set(), detections(KINDS), options)
    assert f"protocol {name}: iou_threshold 0.5" in " ".join(page.words)


def test_no_detections(tmp_path):
    _, page = written(tmp_path, small_set(), detections([]), FrameAPOptions())
    said = " ".join(page.words)
    assert "0.0" in said and "0 of 23" in said and "Missed by every box" in said


def test_one_class_no_media_no_strips(tmp_path):
    dataset = small_set(classes=("act",))
    text, page = written(tmp_path, dataset, detections(KINDS[:6]), FrameAPOptions(iou_threshold=0.3), max_strips=0)
    assert "pictures" not in page.ids and "data:image" not in text
    assert "frame-mAP@0.3" in " ".join(page.words)


def test_no_truths(tmp_path):
    bare = ActionDataset("bare", ("act",), (VideoRecord("v", "/none.avi", 5, 48, 64, ()),), "hash")
    _, page = written(tmp_path, bare, detections([(0, 1, 0, 0.5, [0, 0, 9, 9])]), FrameAPOptions())
    assert "–" in " ".join(page.words)
    written(tmp_path, bare, detections([]), FrameAPOptions())
    written(tmp_path, ActionDataset("none", ("act",), (), "hash"), detections([]), FrameAPOptions())


def test_many_classes_and_scores_beyond_one(tmp_path):
    classes = tuple(f"class {i}" for i in range(100))
    rows = [(0, i % 8, i, 1.5 + i, [4, 4, 24, 24 + i % 3]) for i in range(100)]
    text, page = written(tmp_path, small_set(classes=classes), detections(rows), FrameAPOptions())
    assert all(name in text for name in classes) and "commonest confusions" in text


def test_further_results_and_proposals(tmp_path):
    per_class = np.array([0.5, 0.25, np.nan, np.nan])
    proposals = detections([(0, frame, 0, 0.5, [4, 4, 24, 24]) for frame in range(8)])
    video = {"video-mAP@0.5": 0.4321, "video-AP@0.5": per_class}
    facts = {"seed": 3, "ground_truth": {"file": "<i>gt.csv", "rows": 7, "notes": []}, "deep": {"a": {"b": [1]}}}
    toy = (tmp_path, small_set(), detections(KINDS), FrameAPOptions())
    text, page = written(*toy, proposals=proposals, video_results=video, provenance=facts)
    said = " ".join(page.words)
    assert "43.2" in said and "video-AP@0.5" in said and "recall of 300 proposals" in said
    assert "34.8" in said  # 8 of 23 truths have a proposal
    assert "file <i>gt.csv, rows 7" in said and '"b": [' in said and "<i>gt" not in text
    _, page = written(*toy, proposals={"AR@10": 0.3, "recall@0.5@10": 0.75})
    assert "recall of 10 proposals" in " ".join(page.words)


def test_curves_of_the_run(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    same = {"loss_cls": 1.0, "lr": 0.02, "time": 0.1}
    lines = [{"iteration": i, "total_loss": 2 - i / 1000, **same} for i in range(19, 1000, 20)]
    lines[-1] |= {"toy/frame_ap/mAP": 0.5}
    text = "\n".join(map(json.dumps, lines)) + '\n[1]\n{"iteration": 1001, "tot'
    (run / "metrics.json").write_text(text)
    (run / "config.yaml").write_text("SEED: 7\nMODEL: <x>\n")
    training = read_training(run)
    assert training.lines_skipped == 2 and training.losses() == ["total_loss", "loss_cls"]
    assert training.scalars["total_loss"][0].tolist() == list(range(19, 1000, 20))
    _, page = written(tmp_path, small_set(), detections(KINDS), FrameAPOptions(), run_folder=run)
    said = " ".join(page.words)
    assert "training" in page.ids and "learning rate" in said and "frame ap mAP" in said and "MODEL: <x>" in said


@pytest.mark.parametrize("content", [None, "", "not json\n", '{"iteration": 5}\n'])
def test_no_curves_no_section(tmp_path, content):
    if content is not None:
        (tmp_path / "metrics.json").write_text(content)
    _, page = written(tmp_path, small_set(), detections(KINDS), FrameAPOptions(), run_folder=tmp_path)
    assert "training" not in page.ids


def test_videos_by_name():
    """The table's own numbering, by name, becomes the set's."""
    det = detections([(0, 0, 0, 0.5, [0, 0, 9, 9]), (1, 0, 0, 0.5, [0, 0, 9, 9])])
    assert numbered_as(small_set(), det, ["b", "a/<b>"]).video.tolist() == [1, 0]
    assert len(numbered_as(small_set(), detections([]), [])) == 0
    with pytest.raises(UserError, match="1 videos that toy & set does not have, such as 'c'.*a/<b>, b"):
        numbered_as(small_set(), detections([(0, 0, 0, 0.5, [0, 0, 9, 9])]), ["c"])


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ((2, 0, 0, 0.5, [0, 0, 9, 9]), "detection row 1 is of video 2; toy & set has 2, 0 to 1"),
        ((0, 0, 4, 0.5, [0, 0, 9, 9]), "detection row 1 is of class 4; toy & set has 4, 0 to 3"),
    ],
)
def test_a_detection_without_a_place_is_an_error(tmp_path, row, message):
    with pytest.raises(UserError, match=message):
        write_report(tmp_path, small_set(), detections([KINDS[0], row]), FrameAPOptions())
    assert not (tmp_path / "index.html").exists()


def test_what_is_of_the_frames_that_were_looked_at_says_so(tmp_path):
    dataset = small_set()
    partly = replace(dataset.videos[0], labelled=np.arange(10))
    dataset = replace(dataset, videos=(partly, *dataset.videos[1:]))
    page = write_report(tmp_path, dataset, detections(KINDS), FrameAPOptions()).read_text("utf-8")
    assert "all of the frames that were looked at" in page and "Every frame that was looked at counts" in page


def test_a_class_without_truth_has_neither_recall_nor_bar(tmp_path):
    page = write_report(tmp_path, small_set(), detections(KINDS), FrameAPOptions()).read_text("utf-8")
    row = page.split('<td class="name">never</td>')[1].split("</tr>")[0]
    assert "--share" not in row and row.count(">–<") >= 2  # AP and recall


def test_every_kind_of_error_has_one_colour_of_its_own():
    kinds = {kind: colour for kind, colour in KIND_COLOURS.items() if kind not in ("found", "other")}
    assert len(set(kinds.values())) == len(kinds) and CSS.count(".k-background") == 1
