"""The report of a run's evaluation, from the files that the evaluation left."""

import json
from pathlib import Path

from detect.classification.evaluation import folder_name
from detect.data.records import ActionDataset
from detect.evaluation.case import make_case
from detect.evaluation.files.formats import find_table
from detect.evaluation.frame_ap import FrameAPOptions
from detect.evaluation.linking.rules import link_detections
from detect.evaluation.truth import truth_of
from detect.evaluation.video_ap import evaluate_video_ap, video_preset
from detect.report import numbered_as, write_report
from detect.utils.files import read_text

LINKING = "act"


def report_of_run(output: Path, dataset: ActionDataset, options: FrameAPOptions, preset: str = "voc") -> Path:
    """Write `output`/report/<set>/index.html of `output`/evaluation/<set>, with the curves of the run in `output`.

    options: of the frame-mAP; preset: whose rules hold for the tubes, which are linked by `LINKING`.
    """
    name = folder_name(dataset.name)
    folder = output / "evaluation" / name
    detections, proposals = (find_table(folder, table) for table in ("detections", "proposals"))
    truth = truth_of(dataset, {"dataset": dataset.name})
    case = make_case(truth, [str(detections)], proposals=str(proposals) if proposals.exists() else None)
    tubes = case.unlabelled_cut(link_detections(case.all_detections[0], LINKING, num_frames=case.num_frames()))
    video = evaluate_video_ap(case.tubes, tubes, len(case.classes), video_preset(preset))
    det = numbered_as(dataset, case.found[0], case.videos)
    proposed = None if case.proposals is None else numbered_as(dataset, case.proposals, case.videos)
    found = json.loads(read_text(folder / "results.json"))
    return write_report(
        output / "report" / name,
        dataset,
        det,
        options,
        proposals=found["results"].get("proposals") if proposed is None else proposed,
        video_results={**video.scores(), "video-AP@0.5": video.ap[0.5]},
        run_folder=output,
        provenance=found["provenance"] | {"linking": LINKING, "preset of the tubes": preset},
    )
