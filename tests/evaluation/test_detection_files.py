"""Detections of every form, as its public writer lays it out: the same table from each, and bad input named."""

import inspect
import re
from pathlib import Path

import numpy as np
import pytest
from detection_set import (
    CLASSES,
    DATASET,
    NAMES,
    WRITERS,
    made,
    record,
    table,
    write_act,
    write_ava,
    write_coco,
    write_pickle,
)

from detect.data.records import ActionDataset
from detect.evaluation import GroundTruth, evaluate_frame_ap, preset
from detect.evaluation.files.detection_files import DETECTION_FORMATS, read_detection_file, recognise_detections

EVERY = pytest.mark.parametrize("format", WRITERS)


def apart(rows):
    """Rows of which no two are in one frame and class, so that suppression leaves them alone."""
    return list({(name, frame, label): (name, frame, label, s, box) for name, frame, label, s, box in rows}.values())


def test_every_form_is_tested_and_documented():
    assert set(WRITERS) == set(DETECTION_FORMATS)
    text = (Path(__file__).resolve().parents[2] / "docs" / "detection_files.md").read_text()
    rows = [line.split("|") for line in text.splitlines() if line.startswith("| `")]
    options = {row[1].strip(" `"): re.findall(r"`(\w+)`", row[6]) for row in rows}
    known = {name: list(inspect.signature(row.read).parameters)[3:] for name, row in DETECTION_FORMATS.items()}
    assert options == known


@EVERY
def test_round_trip(tmp_path, format):
    rows = apart(made())
    path = WRITERS[format](tmp_path, rows)
    assert recognise_detections(path) == format
    found, names, _ = read_detection_file(path, DATASET)
    assert names == NAMES
    wanted = table(rows)
    order = np.lexsort((-found.score, found.frame, found.video))
    for name in ("video", "frame", "label", "score", "boxes"):
        np.testing.assert_allclose(getattr(found, name)[order], getattr(wanted, name), rtol=0, atol=1e-4, err_msg=name)
    truth = DATASET.ground_truth_table()
    renumber = np.array([NAMES.index(video.name) for video in DATASET.videos])
    gt = GroundTruth(**{**truth, "video": renumber[truth["video"]]})
    scores = [evaluate_frame_ap(gt, one, 3, preset("voc", iou_threshold=0.45)).mean for one in (found, wanted)]
    assert scores[0] == pytest.approx(scores[1], abs=1e-9) and scores[1] > 0


@EVERY
def test_no_detections(tmp_path, format):
    path = WRITERS[format](tmp_path, [])
    found, names, _ = read_detection_file(path, DATASET, format)
    assert len(found) == 0 and names == NAMES


def spoiled(format, *, name=None, frame=None, label=None, score=None, box=None):
    rows = apart(made(count=20))
    old = rows[7]
    given = zip((name, frame, label, score, box), old, strict=True)
    rows[7] = tuple(before if new is None else new for new, before in given)
    return rows


@pytest.mark.parametrize("format", ["yowo", "ava", "coco", "multisports", "act", "act_tubelets"])
@pytest.mark.parametrize(
    "change, message",
    [
        ({"frame": 29, "name": "short"}, "frame 29 of kick_ball/a_1, from 0; it has 25 frames, 0 to 24"),
        ({"score": float("nan")}, "nan"),
        ({"box": (10, 20, float("inf"), 60)}, "inf"),
    ],
)
def test_bad_rows_are_named(tmp_path, format, change, message):
    if format == "coco" and "frame" not in change:
        message = "not finite"  # width plus infinity is not a number
    rows = spoiled(format, **{**change, "name": "kick_ball/a_1"})
    dataset = ActionDataset("made", CLASSES, (DATASET.videos[0], record("kick_ball/a_1", 25)), "0")
    rows = [row for row in rows if row[0] != "kick_ball/a_1" or row[1] < 25 or row is rows[7]]
    with pytest.raises(ValueError, match=message) as error:
        read_detection_file(WRITERS[format](tmp_path, rows), dataset)
    assert any(word in str(error.value) for word in ("row ", "line ", "result ", "entry ", ".pkl"))


@pytest.mark.parametrize("format", ["yowo", "ava", "coco", "multisports", "act_tubelets"])
def test_unknown_videos_are_named(tmp_path, format):
    other = ActionDataset("other", CLASSES, (DATASET.videos[0],), "0")
    with pytest.raises(ValueError, match="unknown video .*kick_ball.*a_1'; other has 1 videos, such as 'wave/b_c_3'"):
        read_detection_file(WRITERS[format](tmp_path, made(count=9)), other)


@EVERY
def test_unknown_classes_are_named(tmp_path, format):
    two = ActionDataset("two", CLASSES[:2], DATASET.videos, "0")
    with pytest.raises(ValueError, match="label 2, from 0; there are 2 classes|class 3; classes count from 1"):
        read_detection_file(WRITERS[format](tmp_path, apart(made(count=30))), two)


def test_reversed_boxes_are_kept_and_noted(tmp_path):
    rows = spoiled("ava", box=(50, 60, 40, 80))
    found, _, notes = read_detection_file(write_ava(tmp_path, rows), DATASET)
    assert len(found) == len(rows)
    assert [note for note in notes if note.startswith("1 boxes with x2 < x1 or y2 < y1") and "line 8" in note]


def test_files_that_are_not_what_they_seem(tmp_path):
    with pytest.raises(ValueError, match="no such file"):
        read_detection_file(tmp_path / "none.csv")
    (tmp_path / "empty").write_bytes(b"")
    with pytest.raises(ValueError, match="the file is empty"):
        read_detection_file(tmp_path / "empty")
    (tmp_path / "text").write_text("hello\n")
    with pytest.raises(ValueError, match="cannot be told from the content. Name it; legal values are yowo"):
        read_detection_file(tmp_path / "text")
    with pytest.raises(ValueError, match="the format is 'voc'; legal values are yowo"):
        read_detection_file(tmp_path / "text", format="voc")
    with pytest.raises(ValueError, match="the format ava has no option 'images'; it has classes, sizes, fps"):
        read_detection_file(tmp_path / "text", format="ava", images="x")
    with pytest.raises(ValueError, match="line 1: expected video,timestamp,x1,y1,x2,y2,action,score, found 'hello'"):
        read_detection_file(tmp_path / "text", format="ava")
    whole = write_act(tmp_path, made())
    whole.write_bytes(whole.read_bytes()[:-40])
    with pytest.raises(ValueError, match="frame_detections.pkl: .*cut off"):
        read_detection_file(whole, DATASET)
    truncated = write_coco(tmp_path, made())
    truncated.write_text(truncated.read_text()[:-20])
    with pytest.raises(ValueError, match="not JSON.*is the file complete"):
        read_detection_file(truncated, DATASET)

    class Evil:
        def __reduce__(self):
            return print, ("run",)

    with pytest.raises(ValueError, match="refused to load the global builtins.print"):
        read_detection_file(write_pickle(tmp_path / "evil.pkl", [np.zeros(2), Evil()]), DATASET)
