"""FrameAPEvaluator: what it scores, what it refuses, what it writes, and several processes."""

import json
import logging
import math

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from detect.d2 import Boxes, DatasetEvaluator, Instances
from detect.data.records import ActionDataset, Tube, VideoRecord
from detect.evaluation import Detections, FrameAPEvaluator, evaluate_frame_ap, preset, read_tables
from detect.evaluation.files.formats import find_table, read_table_files

SIZE = (60, 80)
BOX = np.array([10, 10, 50, 50], np.float32)


def make_dataset():
    """b: 4 frames, class 1 in frames 1 and 2. a: 2 frames, class 0 in both. Names out of order on purpose."""
    b = VideoRecord("b", "b.avi", 4, *SIZE, (Tube(1, np.array([1, 2]), np.stack([BOX, BOX])),))
    a = VideoRecord("a", "a.avi", 2, *SIZE, (Tube(0, np.array([0, 1]), np.stack([BOX + 5, BOX + 5])),))
    return ActionDataset("tiny", ("run", "jump"), (b, a), "f" * 64, ("note",))


def frame(video, index, **more):
    return {"video": video, "frame_index": index, "height": SIZE[0], "width": SIZE[1], **more}


def found(*rows, size=SIZE, proposals=None):
    """rows: (label, score, box)."""
    boxes = torch.tensor(np.array([row[2] for row in rows], np.float32).reshape(-1, 4))
    instances = Instances(
        size,
        pred_boxes=Boxes(boxes),
        scores=torch.tensor([float(row[1]) for row in rows]),
        pred_classes=torch.tensor([row[0] for row in rows], dtype=torch.int64),
    )
    output = {"instances": instances}
    if proposals is not None:
        boxes = torch.tensor(np.array(proposals, np.float32).reshape(-1, 4))
        output["proposals"] = Instances(SIZE, proposal_boxes=Boxes(boxes), objectness_logits=torch.arange(len(boxes)))
    return output


# Class 0: a hit in frame 0 of a, nothing in frame 1: VOC AP 1/2. Class 1: a stray .9 in frame 0 of b (not
# annotated), then two hits: precision 1/2, 2/3, envelope 2/3 at both: AP 2/3; without the stray 1.
PREDICTIONS = [
    (frame("b", 0), found((1, 0.9, BOX))),
    (frame("b", 1), found((1, 0.8, BOX))),
    (frame("b", 2), found((1, 0.7, BOX))),
    (frame("b", 3), found()),
    (frame("a", 0), found((0, 0.6, BOX + 5))),
    (frame("a", 1), found()),
]


def evaluate(predictions=PREDICTIONS, **options):
    evaluator = FrameAPEvaluator(make_dataset(), **options)
    assert isinstance(evaluator, DatasetEvaluator)
    for item, output in predictions:
        evaluator.process([item], [output])
    return evaluator.evaluate()


def test_both_frame_rules():
    results = evaluate()
    assert list(results) == ["frame_ap", "frame_ap_annotated", "coverage"]
    assert results["frame_ap"] == pytest.approx({"mAP": 7 / 12, "AP-run": 1 / 2, "AP-jump": 2 / 3})
    assert results["frame_ap_annotated"] == pytest.approx({"mAP": 3 / 4, "AP-run": 1 / 2, "AP-jump": 1})
    assert results["coverage"] == {"frames_expected": 6, "frames_predicted": 6, "frames_missing": 0}


def test_the_preset_decides_which_rule_is_first():
    results = evaluate(options=preset("yowo"))
    assert results["frame_ap"]["mAP"] == pytest.approx(3 / 4)
    assert results["frame_ap_all"]["mAP"] == pytest.approx(7 / 12)


def test_fully_annotated_dataset_has_one_rule():
    dataset = make_dataset()
    dataset = ActionDataset("one", dataset.classes, dataset.videos[1:], "f" * 64)
    evaluator = FrameAPEvaluator(dataset)
    evaluator.process([frame("a", 0), frame("a", 1)], [found((0, 0.6, BOX + 5)), found()])
    results = evaluator.evaluate()
    assert "frame_ap_annotated" not in results and results["frame_ap"]["mAP"] == 0.5
    assert math.isnan(results["frame_ap"]["AP-jump"])


def test_no_predictions_at_all():
    results = evaluate(predictions=[])
    assert results["frame_ap"]["mAP"] == 0
    assert results["coverage"]["frames_missing"] == 6


def test_reset_forgets():
    evaluator = FrameAPEvaluator(make_dataset())
    for _ in range(2):
        evaluator.reset()
        for item, output in PREDICTIONS:
            evaluator.process([item], [output])
    assert evaluator.evaluate()["frame_ap"]["mAP"] == pytest.approx(7 / 12)


def test_missing_frames_are_named_and_missed(caplog):
    with caplog.at_level(logging.WARNING):
        results = evaluate(predictions=PREDICTIONS[:2] + PREDICTIONS[3:])
    assert results["coverage"] == {"frames_expected": 6, "frames_predicted": 5, "frames_missing": 1}
    assert "1 of 6 frames of tiny got no prediction, such as b#2" in caplog.text
    assert results["frame_ap"]["AP-jump"] == pytest.approx(1 / 4)  # a stray, a hit, one truth missed: 1/2 * 1/2
    annotated = evaluate(predictions=PREDICTIONS[1:3] + PREDICTIONS[4:], options=preset("yowo"))
    assert annotated["coverage"]["frames_missing"] == 0  # frames without annotation are not expected then


@pytest.mark.parametrize(
    ("item", "output", "message"),
    [
        (frame("c", 0), found(), "unknown video 'c'; tiny has 2 videos, such as a, b"),
        (frame("a", 2), found(), "frame 2 of a, which has frames 0 to 1"),
        (frame("a", -1), found(), "frame -1 of a"),
        (frame("a", 0), found((2, 0.5, BOX)), "a#0: predicted class 2 to 2; expected 0 to 1"),
        (frame("a", 0), found((0, math.nan, BOX)), "a#0: a predicted box or score is not finite"),
        (frame("a", 0), found((0, 0.5, BOX * math.inf)), "a#0: a predicted box or score is not finite"),
        (
            frame("a", 0),
            found(size=(320, 400)),
            r"a#0: boxes are in an image of \(320, 400\).*original frame",
        ),
    ],
)
def test_wrong_predictions_are_refused(item, output, message):
    with pytest.raises(ValueError, match=message):
        FrameAPEvaluator(make_dataset()).process([item], [output])


def test_a_frame_twice_is_refused():
    with pytest.raises(ValueError, match="b#1 was predicted 2 times.*sampler"):
        evaluate(predictions=PREDICTIONS + PREDICTIONS[1:2])


def test_files_reproduce_the_number(tmp_path):
    results = evaluate(output_dir=tmp_path / "out", provenance={"seed": 7, "weights_hash": "abc"})
    assert sorted(path.stem for path in (tmp_path / "out").iterdir()) == ["detections", "ground_truth", "results"]
    gt, det, videos = read_tables(*(find_table(tmp_path / "out", name) for name in ("ground_truth", "detections")))
    assert (videos, len(gt), len(det)) == (["a", "b"], 4, 4)
    assert evaluate_frame_ap(gt, det, 2).mean == results["frame_ap"]["mAP"]

    written = json.loads((tmp_path / "out" / "results.json").read_text())
    assert written["results"]["frame_ap"]["mAP"] == results["frame_ap"]["mAP"]
    assert [row["protocol"]["frames"] for row in written["protocols"]] == ["all", "annotated"]
    expected = {
        "dataset": "tiny", "annotation_hash": "f" * 64, "videos": 2, "frames": 6, "ground_truth_boxes": 4,
        "detections": 4, "seed": 7, "weights_hash": "abc", "frames_without_prediction": [], "notes": ["note"],
    }  # fmt: skip
    assert {key: written["provenance"][key] for key in expected} == expected
    assert "git_commit" in written["provenance"]


def test_table_is_logged(caplog):
    with caplog.at_level(logging.INFO):
        evaluate()
    assert "protocol voc: iou_threshold 0.5" in caplog.text
    assert "frame-mAP@0.5 = 0.583333 (all frames)" in caplog.text
    assert "frame-mAP@0.5 = 0.750000 (annotated frames)" in caplog.text


def test_coco_and_proposals_are_optional_extras():
    # Proposals in frames 1 and 2 of b: the exact box, and one of IoU 40 * 30 / (40 * 40) = .75 (six of ten
    # thresholds); the two boxes of a had no proposals and count as missed: AR (10 + 6)/40, recall@0.5 2/4.
    predictions = list(PREDICTIONS)
    predictions[1] = (frame("b", 1), found((1, 0.8, BOX), proposals=[BOX]))
    predictions[2] = (frame("b", 2), found((1, 0.7, BOX), proposals=[BOX - [0, 0, 0, 10]]))
    results = evaluate(predictions=predictions, coco=True)
    assert results["proposals"]["AR@10"] == pytest.approx(16 / 40)
    assert results["proposals"]["recall@0.5@300"] == 0.5
    assert set(results["coco"]) == {"AP50", "AP50:95", "AR"}


def _worker(rank, port, folder):
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    results = evaluate(predictions=PREDICTIONS[rank::2], output_dir=folder if rank == 0 else None)
    (folder / f"rank{rank}.json").write_text(json.dumps(results))
    dist.destroy_process_group()


def test_two_processes_equal_one(tmp_path):
    import socket

    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
    mp.start_processes(_worker, (port, tmp_path), nprocs=2, start_method="fork")
    assert json.loads((tmp_path / "rank0.json").read_text()) == json.loads(json.dumps(evaluate()))
    assert json.loads((tmp_path / "rank1.json").read_text()) == {}
    evaluate(output_dir=tmp_path / "alone")
    tables = [find_table(folder, "detections").read_bytes() for folder in (tmp_path, tmp_path / "alone")]
    assert tables[0] == tables[1]


def test_proposals_are_saved_where_asked_for(tmp_path):
    first = (frame("a", 1), found(proposals=[BOX, BOX + 5]))
    rest = [(item, found(proposals=[])) for item, _ in PREDICTIONS if item != first[0]]
    evaluate([first, *rest], output_dir=tmp_path / "not")
    assert not find_table(tmp_path / "not", "proposals").exists()
    evaluate([first, *rest], output_dir=tmp_path, save_proposals=True)
    ((table,), names, classes) = read_table_files([(find_table(tmp_path, "proposals"), Detections)])
    assert (names, classes, table.video.tolist(), table.frame.tolist()) == (["a", "b"], ["actor"], [0, 0], [1, 1])
    assert (table.label.tolist(), table.score.tolist(), table.boxes[1].tolist()) == ([0, 0], [0, 1], (BOX + 5).tolist())
