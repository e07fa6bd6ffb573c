"""Videos that a file names by their last part only."""

import json

import numpy as np
import pytest

from detect.data.own_json import write_own_json
from detect.data.records import ActionDataset, Tube, VideoRecord
from detect.evaluation.video_names import coverage_note, matched_names, suggestion
from tests.running import run_tool

KNOWN = ["Rise/v_01", "Rise/v_02", "Fall/v_02", "a/b/c"]


def test_only_what_is_meant_for_sure_is_matched():
    names = ["Rise/v_01", "v_01", "v_02", "c", "b/c", "01", ""]
    meant, (note,) = matched_names(names, KNOWN)
    assert meant == ["Rise/v_01", "Rise/v_01", "v_02", "a/b/c", "a/b/c", "01", ""]
    assert note == "3 video names matched by their last part: 'v_01' as 'Rise/v_01', 'c' as 'a/b/c', 'b/c' as 'a/b/c'"
    assert matched_names(["x", *KNOWN], KNOWN) == (["x", *KNOWN], [])


def test_coverage_and_suggestion():
    assert coverage_note(["a"], KNOWN) == [
        "detections in 1 of 4 videos; every truth of the others counts as missed"
    ]
    assert not coverage_note([], KNOWN) and not coverage_note(["a", "b"], KNOWN) and not coverage_note(["a"], ["a"])
    assert suggestion("v_03", KNOWN).startswith("did you mean '") and suggestion("v_03", KNOWN).endswith("/v_02'?")
    assert suggestion("zzz", KNOWN) == "such as 'Rise/v_01'"


@pytest.fixture
def own(tmp_path):
    box = np.tile(np.float32([10, 10, 50, 60]), (8, 1))
    videos = [
        VideoRecord(f"Rise/v_{k}", str(tmp_path / f"{k}.mp4"), 8, 120, 160, (Tube(0, np.arange(8), box),), fps=10.0)
        for k in (1, 2)
    ]
    write_own_json(ActionDataset("own", ("run",), tuple(videos), "0" * 64), tmp_path / "truth.json")
    return tmp_path


def evaluated(own, name, *arguments):
    return run_tool("evaluate", *([own / name] if name else []), "--dataset", f"json:{own}/truth.json", *arguments)


def test_what_the_demo_writes_of_one_video_is_evaluated(own):
    rows = "".join(f"v_1,{frame},0,0.9,10,10,50,60\n" for frame in range(8))
    (own / "demo.csv").write_text(f"video,frame,label,score,x1,y1,x2,y2\n{rows}")
    done = evaluated(own, "demo.csv")
    assert done.stdout.splitlines()[-1] == "frame-mAP@0.5 = 0.500000", done.stderr  # of the other video all is missed
    assert "note: 1 video names matched by their last part: 'v_1' as 'Rise/v_1'" in done.stdout
    assert "note: detections in 1 of 2 videos" in done.stdout
    tubes = [{"video": "v_1", "label": "run", "score": 0.9, "start": 0, "boxes": [[10, 10, 50, 60]] * 8}]
    (own / "demo.json").write_text(json.dumps({"video": "v_1.mp4", "tubes": tubes}))
    done = evaluated(own, "", "--tubes", own / "demo.json")
    assert "video-mAP@0.5 = 0.500000" in done.stdout and "'v_1' as 'Rise/v_1'" in done.stdout, done.stderr


def test_a_name_that_is_none_is_refused_with_the_nearest_one(own):
    (own / "demo.csv").write_text("video,frame,label,score,x1,y1,x2,y2\nRise/v1,0,0,0.9,10,10,50,60\n")
    assert "video 'Rise/v1' is none of the 2" in evaluated(own, "demo.csv").stderr
    assert "did you mean 'Rise/v_1'?" in evaluated(own, "demo.csv").stderr
