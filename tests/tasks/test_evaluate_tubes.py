"""tools/evaluate.py with tubes: linked, read, trimmed, and against lists of tubes."""

import json

import pytest

from detect.evaluation.files.formats import write_table
from tests.running import run_tool
from tests.tasks.evaluated_set import SQUARE, evaluated, table_of


def test_linked_tubes_of_perfect_boxes(tmp_path, own):
    write_table(tmp_path / "found.npz", table_of(own), ["a", "b"])
    # A best path goes through all 20 frames of video a, of which 16 are annotated: overlap 0.8, right at 7 of the 10
    # thresholds; of video b the last 4 are not looked at. gurkirt's detections, 41 x 51 and shifted by a pixel, share
    # 39 x 49 with 40 x 50: 0.877, 8 of 10; of video a 0.701, 5 of 10.
    expected = {(False, False): 1.0, (False, True): 0.85, (True, False): 0.8, (True, True): 0.65}
    for preset in ("act", "peng", "gurkirt", "voc"):
        for link in ("act", "peng", "gurkirt", "yowo"):
            options = ("--link", link, "--preset", preset, "--tubes-output", tmp_path / "t.json")
            code, lines, error = evaluated(tmp_path, *options)
            assert code == 0, error
            scores = [float(line.split(" = ")[1]) for line in lines[-4:]]
            assert scores[:2] == [1.0, 1.0]
            assert scores[3] == pytest.approx(expected[preset == "gurkirt", link in ("peng", "yowo")])
            assert f"32 detections linked to 2 tubes by the rule {link}" in lines
    evaluated(tmp_path, "--link", "act", "--tubes-output", tmp_path / "t.json")
    done = run_tool("evaluate", "--tubes", tmp_path / "t.json", "--ground-truth", tmp_path / "truth.json")
    assert done.stdout.splitlines()[-4:-1] == [f"video-mAP@{t} = 1.000000" for t in (0.2, 0.5, 0.75)]


def test_long_lines_of_json_are_no_tables(tmp_path):
    truth = [{"video": f"v{k}", "label": "run", "start": 1, "boxes": [SQUARE.tolist()] * 40} for k in range(90)]
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    assert "\n" not in (tmp_path / "truth.json").read_text() and (tmp_path / "truth.json").stat().st_size > 1 << 16
    (tmp_path / "tubes.json").write_text(json.dumps([{**tube, "score": 1.0} for tube in truth]))
    done = run_tool("evaluate", "--tubes", tmp_path / "tubes.json", "--ground-truth", tmp_path / "truth.json")
    assert done.stdout.splitlines()[-1] == "video-mAP@0.5:0.95 = 1.000000", done.stderr


def test_classes_that_only_one_file_has(tmp_path):
    truth = [{"video": "v", "label": "run", "start": 0, "boxes": [SQUARE.tolist()] * 3}]
    found = [{**truth[0], "score": 0.5}, {**truth[0], "score": 0.9, "label": "jump"}]
    for name, tubes in (("truth.json", truth), ("tubes.json", found), ("none.json", [])):
        (tmp_path / name).write_text(json.dumps(tubes))
    common = ("--tubes", tmp_path / "tubes.json", "--ground-truth")
    done = run_tool("evaluate", *common, tmp_path / "truth.json")
    assert done.stdout.splitlines()[-1] == "video-mAP@0.5:0.95 = 1.000000"
    assert "note: 1 tubes of classes without ground truth: jump" in done.stdout
    done = run_tool("evaluate", *common, tmp_path / "none.json")
    assert done.returncode == 2 and "no tubes in it; without ground truth there is no mAP" in done.stderr
    (tmp_path / "numbers.json").write_text(json.dumps([{**truth[0], "label": 0}]))
    done = run_tool("evaluate", *common, tmp_path / "numbers.json")
    assert done.returncode == 2 and "give the names in the order of the numbers with --classes FILE" in done.stderr


def test_trimming_cuts_a_tube_to_its_action(tmp_path, own):
    extra = [(0, frame, 0, 0.01, SQUARE + frame) for frame in range(16, 20)]
    write_table(tmp_path / "found.npz", table_of(own, extra), ["a", "b"])
    options = ("--link", "act", "--preset", "act")
    kept = [float(line.split(" = ")[1]) for line in evaluated(tmp_path, *options)[1][-4:]]
    cut = [float(line.split(" = ")[1]) for line in evaluated(tmp_path, *options, "--trim", "0.5")[1][-4:]]
    assert kept[3] < 1.0 and cut == [1.0] * 4  # 16 of 20 frames overlap; trimmed, all


def test_tubes_and_truth_as_lists(tmp_path):
    truth = [{"video": "v", "label": "run", "start": 1, "boxes": [SQUARE.tolist()] * 8}]
    found = [{**truth[0], "score": 0.7}, {**truth[0], "score": 0.9, "video": "w"}]
    for name, tubes in (("truth.json", truth), ("tubes.json", found), ("none.json", [])):
        (tmp_path / name).write_text(json.dumps(tubes))
    common = ("--ground-truth", tmp_path / "truth.json", "--preset", "act", "--json", tmp_path / "out.json")
    done = run_tool("evaluate", "--tubes", tmp_path / "tubes.json", *common)
    assert "note: 1 tubes in videos without ground truth (false positives)" in done.stdout
    assert done.stdout.splitlines()[-4:] == [
        # precision 1/2 at the only hit: the trapezoid from 0 to 1/2
        f"video-mAP@{threshold} = 0.250000" for threshold in ("0.2", "0.5", "0.75", "0.5:0.95")
    ]  # fmt: skip
    written = json.loads((tmp_path / "out.json").read_text())
    assert written["video"]["scores"]["video-mAP@0.5"] == 0.25
    assert written["provenance"]["tubes"]["tubes"] == 2 and len(written["provenance"]["tubes"]["sha256"]) == 64
    assert written["provenance"]["ground_truth"]["file"].endswith("truth.json")
    done = run_tool("evaluate", "--tubes", tmp_path / "none.json", *common)
    assert done.returncode == 0 and done.stdout.splitlines()[-1] == "video-mAP@0.5:0.95 = 0.000000"


def test_boxes_against_a_list_of_tubes(tmp_path):
    truth = [{"video": "v", "label": label, "start": 0, "boxes": [SQUARE.tolist()] * 3} for label in ("run", "jump")]
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    rows = "".join(f"v,{frame},1,0.9,10,10,50,60\n" for frame in range(3))
    (tmp_path / "found.npz").write_text(f"video,frame,label,score,x1,y1,x2,y2\n{rows}")  # read by content
    (tmp_path / "classes.txt").write_text("jump\nrun\n")
    code, lines, _ = evaluated(tmp_path, "--classes", tmp_path / "classes.txt")
    assert code == 0 and lines[-1] == "frame-mAP@0.5 = 0.500000" and lines[3].startswith("| run")


def test_a_table_has_no_tubes(tmp_path, own):
    table = table_of(own)
    write_table(tmp_path / "found.npz", table, ["a", "b"])
    (tmp_path / "truth.json").write_text("video,frame,label,x1,y1,x2,y2\na,0,0,0,0,9,9\n")
    code, _, error = evaluated(tmp_path, "--link", "act")
    assert code == 2 and "has boxes and no tubes; give a set (--dataset), own JSON, or a JSON list of tubes" in error


def test_numbers_against_names_are_said(tmp_path):
    truth = [{"video": "v", "label": name, "start": 0, "boxes": [SQUARE.tolist()] * 3} for name in ("run", "jump")]
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    (tmp_path / "tubes.json").write_text(json.dumps([{**truth[0], "score": 0.5, "label": 1}]))
    said = "note: labels are read as positions among the 2 names in"
    common = ("--tubes", tmp_path / "tubes.json", "--ground-truth", tmp_path / "truth.json")
    done = run_tool("evaluate", *common)
    assert said in done.stdout and "(0 jump, 1 run, ...)" in done.stdout
    (tmp_path / "names.txt").write_text("jump\nrun\n")
    assert said not in run_tool("evaluate", *common, "--classes", tmp_path / "names.txt").stdout
    (tmp_path / "found.npz").write_text("video,frame,label,score,x1,y1,x2,y2\nv,0,1,0.9,10,10,50,60\n")
    assert said in "\n".join(evaluated(tmp_path)[1])
