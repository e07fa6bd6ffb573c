"""The report of a run's evaluation, from the files that the evaluation left."""

import json
from pathlib import Path

from detect.classification.evaluation import folder_name
from detect.data.records import ActionDataset
from detect.evaluation.formats import find_table, read_detections
from detect.evaluation.frame_ap import FrameAPOptions
from detect.report import numbered_as, write_report
from detect.utils.files import read_text


def report_of_run(output: Path, dataset: ActionDataset, options: FrameAPOptions) -> Path:
    """Write `output`/report/<set>/index.html of `output`/evaluation/<set>, with the curves of the run in `output`."""
    name = folder_name(dataset.name)
    folder = output / "evaluation" / name
    (det,), names = read_detections([find_table(folder, "detections")])
    found = json.loads(read_text(folder / "results.json"))
    return write_report(
        output / "report" / name,
        dataset,
        numbered_as(dataset, det, names),
        options,
        proposals=found["results"].get("proposals"),
        run_folder=output,
        provenance=found["provenance"],
    )
