"""The report of a run, from what its evaluation left in OUTPUT_DIR."""

import json

from detect.classification.evaluation import folder_name
from detect.evaluation import FrameAPOptions
from detect.evaluation.files.formats import write_beside
from detect.tasks.report import report_of_run
from tests.report.small_set import KINDS, detections, small_set


def test_report_of_a_run(tmp_path):
    """The table numbers its videos by its own list of names, which is sorted the other way here."""
    dataset, folder = small_set(), tmp_path / "evaluation" / folder_name("toy & set")
    folder.mkdir(parents=True)
    det = detections([(1 - video, *rest) for video, *rest in KINDS])
    write_beside(folder, "detections", det, ["b", "a/<b>"], dataset.classes)
    results = {"results": {"proposals": {"recall@0.5@10": 0.5}}, "provenance": {"seed": 11, "dataset": "toy & set"}}
    (folder / "results.json").write_text(json.dumps(results))
    lines = [json.dumps({"iteration": i, "total_loss": 1.5}) for i in (19, 39)]
    (tmp_path / "metrics.json").write_text("\n".join(lines))
    path = report_of_run(tmp_path, dataset, FrameAPOptions())
    text = path.read_text()
    assert path == tmp_path / "report" / folder_name("toy & set") / "index.html"
    assert "7 of 23" in text  # found: as many as with the set's own numbering
    assert "video-mAP@0.5" in text and ">video-AP@0.5</th>" in text
    assert "recall of 10 proposals" in text and "<dt>seed</dt><dd>11</dd>" in text and "total loss" in text
