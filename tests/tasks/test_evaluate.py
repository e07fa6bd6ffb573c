"""tools/evaluate.py beyond one number: sets and their limits, tubes, comparisons, choices, errors, a page."""

import json

import numpy as np
import pytest

from detect.evaluation.files.formats import write_table
from detect.evaluation.tables import Detections
from tests.running import run_tool
from tests.tasks.evaluated_set import SQUARE, evaluated, table_of


@pytest.mark.parametrize("by", ["file", "set"])
def test_a_set_with_frames_that_nobody_labelled(tmp_path, own, by):
    # in the frames 16 to 19 of video b nothing counts; in those of video a a box is a false positive
    extra = [(1, frame, 1, 0.99, SQUARE) for frame in range(16, 20)]
    write_table(tmp_path / "found.npz", table_of(own, extra), ["a", "b"], own.classes)
    path = f"{tmp_path}/truth.json"
    truth = ("--ground-truth", path) if by == "file" else ("--dataset", f"json:{path}")
    done = run_tool("evaluate", tmp_path / "found.npz", *truth, "--json", tmp_path / "out.json")
    assert done.returncode == 0, done.stderr
    assert "4 detections dropped, on frames that no annotator looked at" in done.stdout
    assert done.stdout.splitlines()[-1] == "frame-mAP@0.5 = 1.000000"
    written = json.loads((tmp_path / "out.json").read_text())
    assert written["provenance"]["detections_on_unlabelled_frames"] == 4
    assert written["mABO"]["mean"] == pytest.approx(1.0) and written["recall"]["1"] == 1.0


def test_several_thresholds(tmp_path, own):
    det = table_of(own)
    write_table(tmp_path / "found.npz", det.__class__(*(getattr(det, n) for n in ("video", "frame", "label", "score")),
                det.boxes + np.float32([0, 0, 0, 20])), ["a", "b"])  # fmt: skip
    code, lines, _ = evaluated(tmp_path, "--iou", "0.5", "0.75")
    # 40 x 50 of 40 x 70: IoU 0.714
    assert code == 0 and lines[-2:] == ["frame-mAP@0.5 = 1.000000", "frame-mAP@0.75 = 0.000000"]


def test_classes_are_matched_by_name(tmp_path, own):
    det = table_of(own)
    write_table(tmp_path / "found.npz", Detections(det.video, det.frame, 1 - det.label, det.score, det.boxes),
                ["a", "b"], own.classes[::-1])  # fmt: skip
    assert evaluated(tmp_path)[1][-1] == "frame-mAP@0.5 = 1.000000"
    write_table(tmp_path / "found.npz", det, ["a", "b"], ["run", "swim"])
    code, _, error = evaluated(tmp_path)
    assert code == 2 and "found.npz: has the class 'swim'; the classes are run, jump" in error


@pytest.mark.parametrize(
    ("extra", "names", "said"),
    [
        ((2, 0, 0, 0.5, SQUARE), ["a", "b", "c"], "row 32: video 'c' is none of the 2 of"),
        ((0, 20, 0, 0.5, SQUARE), ["a", "b"], "row 32: video 'a' has frames 0 to 19; this detection is in frame 20"),
        ((0, 0, 2, 0.5, SQUARE), ["a", "b"], "row 32: video 'a' label 2; the classes are 0 to 1 (1 such rows)"),
        ((0, 0, 0, np.nan, SQUARE), ["a", "b"], "row 32: score nan is not finite"),
    ],
)
def test_detections_without_a_place_are_named(tmp_path, own, extra, names, said):
    table = table_of(own)
    bad = table_of(own, [extra[:3] + (0.5, SQUARE)])
    bad.score[len(table)] = extra[3]
    write_table(tmp_path / "found.npz", bad, names)
    code, _, error = evaluated(tmp_path)
    assert code == 2 and said in error and "found.npz" in error


def test_no_detections_and_reversed_boxes(tmp_path, own):
    write_table(tmp_path / "found.npz", Detections(*(np.empty(0, int),) * 3, np.empty(0), np.empty((0, 4))), [])
    code, lines, _ = evaluated(tmp_path, "--errors", "--link", "act")
    assert code == 0 and "note: no detections; every truth is missed" in lines
    assert lines[-5:-1] == [
        "frame-mAP@0.5 = 0.000000", "video-mAP@0.2 = 0.000000", "video-mAP@0.5 = 0.000000", "video-mAP@0.75 = 0.000000",
    ]  # fmt: skip
    write_table(tmp_path / "found.npz", table_of(own, [(0, 0, 0, 0.99, SQUARE[[2, 1, 0, 3]])]), ["a", "b"])
    code, lines, _ = evaluated(tmp_path)
    assert "note: 1 detections with x2 < x1 or y2 < y1; they overlap nothing and are false positives" in lines


def test_all_protocols(tmp_path, own):
    write_table(tmp_path / "found.npz", table_of(own, [(0, 18, 0, 0.99, SQUARE)]), ["a", "b"])
    code, lines, _ = evaluated(tmp_path, "--protocol", "all", "--json", tmp_path / "out.json")
    assert code == 0
    scores = json.loads((tmp_path / "out.json").read_text())["protocols"]
    assert scores["yowo, annotated frames"] == 1.0 and scores["voc, all frames"] < 1.0
    gained = 100 * (1 - scores["voc, all frames"])
    assert any("| frames annotated" in line and f"| {gained:+12.2f} |" in line for line in lines)
    assert not any("| frames all" in line for line in lines)


def test_comparison_of_two_files(tmp_path, own):
    write_table(tmp_path / "found.npz", table_of(own), ["a", "b"])
    write_table(tmp_path / "other.npz", table_of(own, [(0, 18, 0, 0.99, SQUARE)]), ["a", "b"])
    code, lines, _ = evaluated(tmp_path, tmp_path / "other.npz", "--compare", "--json", tmp_path / "out.json")
    assert code == 0
    about = json.loads((tmp_path / "out.json").read_text())["comparison"]
    assert about["difference"] < 0 and about["low"] <= about["difference"] <= about["high"]
    assert any(line.startswith("B - A ") and "B ahead in 0.0% of the draws" in line for line in lines)
    assert lines[-1] == f"frame-mAP@0.5 = 1.000000 (A: {tmp_path / 'found.npz'})"


def test_errors_say_why(tmp_path, own):
    rows = [(0, 0, 1, 0.99, SQUARE)]  # the right box, the wrong class
    write_table(tmp_path / "found.npz", table_of(own, rows), ["a", "b"])
    code, lines, _ = evaluated(tmp_path, "--errors", "--json", tmp_path / "out.json")
    errors = json.loads((tmp_path / "out.json").read_text())["errors"]
    assert code == 0 and errors["detections"]["classification"] == 1 and errors["truths"]["found"] == 32
    assert errors["gains"]["labels"] > 0 == errors["gains"]["boxes"]
    first, *others = errors["classes"]
    names = [first["name"], *(one["name"] for one in others)]
    for kind in ("correct", "classification", "found", "lost"):
        total = errors["detections" if kind in errors["detections"] else "truths"][kind]
        assert first[kind] + sum(one[kind] for one in others) == total
    truths = errors["confusion"]["truths"]
    assert errors["confusion"]["from_score"] == 0.05 and set(truths) <= {*names, ""}
    assert sum(truths[name][name] for name in names) == 32 and truths[""] == {names[1]: 1}  # its truth was taken


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "nothing to evaluate"),
        (("a", "b"), "2 files of detections: one is evaluated; --compare"),
        (("a", "--compare"), "--compare takes two files"),
        (("--link", "act", "--tubes", "t"), "give one of them"),
        (("--tubes", "t", "--link", "peng"), "give one of them"),
        (("--tubes", "t", "--report", "p"), "--report is about detections; name their file"),
        (("--tubes", "t", "--iou", "0.7"), "--iou is about detections; name their file"),
        (("--tubes", "t", "--errors"), "--errors is about detections; name their file"),
        (("a", "b", "--compare", "--errors"), "--errors is for one file of detections; leave it or --compare out"),
        (("a", "b", "--compare", "--coco"), "--coco is for one file of detections"),
        (("a", "b", "--compare", "--protocol", "all"), "--protocol is for one file of detections"),
        (("a", "b", "--compare", "--proposals", "p"), "--proposals is for one file of detections"),
        (("a", "b", "--compare", "--link", "act"), "--link is for one file of detections"),
        (("a", "b", "--compare", "--iou", "0.5", "0.6"), "--iou with several thresholds is for one file"),
        (("a", "--trim", "1"), "--trim trims tubes made of detections; add --link"),
        (("--tubes", "t", "--trim", "1"), "--trim trims tubes made of detections; add --link"),
        (("a", "--tube-nms", "0"), "--tube-nms is about tubes; add --tubes FILE or --link RULE"),
        (("a", "--spatial-only"), "--spatial-only is about tubes"),
        (("a", "--tubes-output", "t"), "--tubes-output is about tubes"),
        (("--tubes", "t", "--tube-nms", "-3"), "--tube-nms is -3; it must be 0 or more"),
        (("a", "--link", "act", "--trim", "-1"), "--trim is -1; it must be 0 or more"),
        (("a", "--iou", "1.5"), "iou_threshold is 1.5; expected 0 < iou_threshold <= 1"),
    ],
)
def test_requests_that_make_no_sense(tmp_path, own, arguments, said):
    done = run_tool("evaluate", *arguments, "--ground-truth", tmp_path / "truth.json")
    assert done.returncode == 2 and said in done.stderr


def test_options_of_the_truth_need_its_file(tmp_path):
    done = run_tool("evaluate", "a", "--dataset", "s", "--truth-format", "ava")
    assert done.returncode == 2 and "--truth-format is about the file of --ground-truth; give that" in done.stderr


def test_an_unknown_set(tmp_path, own):
    write_table(tmp_path / "found.npz", table_of(own), ["a", "b"])
    done = run_tool("evaluate", tmp_path / "found.npz", "--dataset", "ucf25_test")
    assert done.returncode == 2 and "there is no set 'ucf25_test'; did you mean ucf24_test" in done.stderr


def test_proposals_tell_what_the_head_lost(tmp_path, own):
    # nothing is detected in video b; proposals cover the half of its truths: these were lost by the head
    table = table_of(own)
    rows = {name: getattr(table, name) for name in ("video", "frame", "label", "score", "boxes")}
    write_table(tmp_path / "found.npz", Detections(*(column[:16] for column in rows.values())), ["a", "b"])
    some = Detections(*(np.r_[column[:16], column[16:24]] for column in rows.values()))
    write_table(tmp_path / "boxes.npz", some, ["a", "b"], ["actor", "nobody"])
    options = ("--errors", "--proposals", tmp_path / "boxes.npz", "--link", "act", "--report", tmp_path / "page")
    code, lines, error = evaluated(tmp_path, *options, "--json", tmp_path / "out.json")
    assert code == 0, error
    written = json.loads((tmp_path / "out.json").read_text())
    assert written["errors"]["truths"] == {"found": 16, "missed": 8, "lost": 8}
    assert written["recall"]["1"] == 0.75 and written["provenance"]["proposals"]["rows"] == 24
    assert any("of the best k proposals of a frame" in line for line in lines)
    assert ">video-AP@0.5</th>" in (tmp_path / "page" / "index.html").read_text()  # of each class


def test_two_files_that_are_equal(tmp_path, own):
    for name in ("found.npz", "again.npz"):
        write_table(tmp_path / name, table_of(own), ["a", "b"], own.classes)
    code, lines, _ = evaluated(tmp_path, tmp_path / "again.npz", "--compare")
    assert code == 0 and "B - A: no difference, in none of 1000 draws of videos" in lines
    assert lines[-1] == f"frame-mAP@0.5 = 1.000000 (A: {tmp_path / 'found.npz'})"
    _, _, said = evaluated(tmp_path, tmp_path / "again.npz", "--compare", "--report", tmp_path / "page")
    assert "--report is for one file of detections; leave it or --compare out" in said
    assert not (tmp_path / "page").exists()


def test_a_report_that_cannot_be_written_is_refused_first(tmp_path, own):
    (tmp_path / "page").write_text("a file")
    code, lines, said = evaluated(tmp_path, "--report", tmp_path / "page")  # found.npz is not even there
    assert (code, lines) == (2, []) and f"{tmp_path / 'page'}: this folder cannot be made" in said
