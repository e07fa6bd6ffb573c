"""What each form of detection file knows besides the rows that all have, and real files."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from detection_set import CLASSES, DATASET, NAMES, made, record, write_act, write_pickle

from detect.data.annotation_files import read_annotations
from detect.data.dialects.glimpse import Glimpse
from detect.data.jhmdb import CLASSES as JHMDB
from detect.data.records import ActionDataset, VideoRecord
from detect.evaluation import GroundTruth, evaluate_frame_ap, preset, read_tables
from detect.evaluation.files.detection_files import read_detection_file
from detect.evaluation.files.table_annotations import is_table

# --- what each form knows besides --------------------------------------------------------------------------


def test_yowo_names_without_a_dataset_and_its_shift_of_jhmdb(tmp_path):
    (tmp_path / "brush_hair_April_09_u_0_00002.txt").write_text("2 0.5 11 21 102 202\n")
    found, names, _ = read_detection_file(tmp_path)
    assert names == ["brush_hair/April_09_u_0"]
    assert (found.frame.tolist(), found.label.tolist(), found.boxes.tolist()) == ([1], [1], [[10, 20, 100, 200]])
    plain, _, _ = read_detection_file(tmp_path, pixels="plain")
    assert plain.boxes.tolist() == [[11, 21, 102, 202]]
    video = record("brush_hair/April_09_u_0")
    same, _, _ = read_detection_file(tmp_path, ActionDataset("jhmdb", JHMDB, (video,), "0"))
    assert same.boxes.tolist() == found.boxes.tolist()


def test_act_videos_by_number(tmp_path):
    path = write_act(tmp_path, made())
    with pytest.raises(ValueError, match="videos are numbers in it; give `videos`"):
        read_detection_file(path)
    (tmp_path / "list.txt").write_text("wave/b_c_3\nkick_ball/a_1\n")
    listed, names, _ = read_detection_file(path, videos=tmp_path / "list.txt")
    by_dataset, _, notes = read_detection_file(path, DATASET)
    assert names == NAMES and listed.video.tolist() == by_dataset.video.tolist()
    assert "numbered in the order of the dataset" in notes[0]
    (tmp_path / "list.txt").write_text("wave/b_c_3\n")
    with pytest.raises(ValueError, match="row .*: video 1; the list has 1, 0 to 0"):
        read_detection_file(path, videos=tmp_path / "list.txt")
    truth = {
        "labels": list(CLASSES), "gttubes": {}, "nframes": {}, "resolution": {},
        "test_videos": [["x"], ["kick_ball/a_1", "wave/b_c_3"]],
    }  # fmt: skip
    split, _, _ = read_detection_file(path, videos=write_pickle(tmp_path / "JHMDB-GT.pkl", truth, 2), split=2)
    assert (split.video != listed.video).all()


def test_act_array_of_another_form(tmp_path):
    with pytest.raises(ValueError, match=r"holds an array of \(2, 7\); expected an array \(n, 8\) of video, frame"):
        read_detection_file(write_pickle(tmp_path / "a.pkl", np.zeros((2, 7))), DATASET)
    with pytest.raises(ValueError, match=r"row 1: video, frame, label \[0.0, 1.5, 0.0\] are not whole"):
        rows = np.array([[0, 1, 0, 0.5, 1, 1, 2, 2], [0, 1.5, 0, 0.5, 1, 1, 2, 2]])
        read_detection_file(write_pickle(tmp_path / "b.pkl", rows), DATASET)


def naive_frame_detections(files, form):
    """ACT's and MOC's load_frame_detections with their nms2d, in loops: {(frame, label): sorted (score, box)}."""
    frames = {}
    for first, content in files.items():
        rows = (
            [(label - 1, r[-1], r[:-1]) for label, t in content.items() for r in t]
            if form == "MOC" else [(r[0], r[1], r[2:]) for r in content[0]]
        )  # fmt: skip
        for label, score, boxes in rows:
            for k, box in enumerate(np.reshape(boxes, (-1, 4))):
                frames.setdefault((first - 1 + k, int(label)), []).append((float(score), [float(v) for v in box]))
    for boxes in frames.values():
        left, found = sorted(boxes, key=lambda item: -item[0]), []
        while left:
            best, left = left[0], left[1:]
            overlaps = [iou(best[1], box) for _, box in left]
            if form == "MOC":
                found += [(s * (1 - o), box) for (s, box), o in zip(left, overlaps, strict=True) if o > 0.6]
            found.append(best)
            left = [item for item, o in zip(left, overlaps, strict=True) if o <= (0.6 if form == "MOC" else 0.3)]
        boxes[:] = sorted(found)
    return frames


def iou(a, b):
    width, height = (min(a[i + 2], b[i + 2]) - max(a[i], b[i]) + 1 for i in (0, 1))
    common = max(width, 0) * max(height, 0)
    areas = [(c[2] - c[0] + 1) * (c[3] - c[1] + 1) for c in (a, b)]
    return common / (sum(areas) - common)


@pytest.mark.parametrize("form", ["ACT", "MOC"])
def test_tubelets_become_detections_as_their_programs_make_them(tmp_path, form):
    rng = np.random.RandomState(4)

    def tubelets(count):
        corner = rng.randint(0, 40, (count, 4, 2))
        boxes = np.concatenate([corner, corner + rng.randint(30, 80, (count, 4, 2))], axis=2)
        return boxes.reshape(count, 16).astype(np.float32), rng.rand(count, 1).astype(np.float32)

    files = {}
    for first in range(1, 8):
        if form == "MOC":
            content = {label: np.hstack(tubelets(rng.randint(4))) for label in (1, 2, 3)}
        else:
            boxes, scores = tubelets(6)
            content = (np.hstack([rng.randint(0, 3, (6, 1)), scores, boxes]).astype(np.float32), np.zeros((2, 20)))
        files[first] = content
        write_pickle(tmp_path / "wave/b_c_3" / f"{first:05d}.pkl", content, 2)
    found, names, _ = read_detection_file(tmp_path, DATASET)
    assert {names[video] for video in found.video} == {"wave/b_c_3"}
    wanted = naive_frame_detections(files, form)
    ours = {}
    for frame, label, score, box in zip(found.frame, found.label, found.score, found.boxes.tolist(), strict=True):
        ours.setdefault((int(frame), int(label)), []).append((float(score), box))
    assert ours.keys() == wanted.keys()
    for key, boxes in ours.items():
        np.testing.assert_allclose([(s, *b) for s, b in sorted(boxes)], [(s, *b) for s, b in wanted[key]], rtol=1e-6)


def test_tubelets_of_two_programs(tmp_path):
    write_pickle(tmp_path / "wave/b_c_3/00001.pkl", {1: np.zeros((0, 5), np.float32)})
    write_pickle(tmp_path / "wave/b_c_3/00002.pkl", (np.zeros((0, 6), np.float32), None))
    with pytest.raises(ValueError, match="tubelets of ACT .*00002.pkl. and of MOC .*00001.pkl"):
        read_detection_file(tmp_path, DATASET)
    write_pickle(tmp_path / "wave/b_c_3/00002.pkl", {1: np.zeros((2, 7), np.float32)})
    with pytest.raises(ValueError, match="00002.pkl: neither ACT's .* 6 columns of boxes, expected"):
        read_detection_file(tmp_path, DATASET)


def test_ava_labels_go_by_the_names_of_the_label_map(tmp_path):
    rows = "kick_ball/a_1,900,0.1,0.2,0.5,0.6,{},0.5\n"
    path = tmp_path / "result.csv"
    path.write_text(rows.format(7) + rows.format(9) + rows.format(8))
    (tmp_path / "map.pbtxt").write_text('item {\n  name: "wave"\n  id: 7\n}\nitem {\n  name: "golf"\n  id: 8\n}\n')
    found, _, notes = read_detection_file(path, DATASET, classes=tmp_path / "map.pbtxt")
    assert found.label.tolist() == [2, 0]
    np.testing.assert_allclose(found.boxes[0], [32, 48, 160, 144])
    assert notes == ("1 rows of actions that the label map leaves out not used: line 2",)
    with pytest.raises(ValueError, match="line 1: label 6, from 0; there are 3 classes"):
        read_detection_file(path, DATASET)
    path.write_text(rows.replace(",900,", ",900.02,").format(1))
    with pytest.raises(ValueError, match="line 1: timestamp 900.02 is on no frame; frame = .timestamp - 900. . 30"):
        read_detection_file(path, DATASET)
    path.write_text(rows.format(1) + rows.replace(",0.1,", ",a,").format(1))
    with pytest.raises(ValueError, match="line 2: expected video,timestamp"):
        read_detection_file(path, DATASET)


def test_coco_ids_are_those_of_the_ground_truth(tmp_path):
    truth = {
        "images": [{"id": 70, "file_name": "wave/b_c_3/00004.jpg"}, {"id": 71, "file_name": "wave/b_c_3/00001.jpg"}],
        "annotations": [],
        "categories": [{"id": 5, "name": "wave"}, {"id": 3, "name": "golf"}, {"id": 4, "name": "swim"}],
    }
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    path = tmp_path / "results.json"
    result = {"image_id": 70, "category_id": 5, "bbox": [1, 2, 10, 20], "score": 0.5}
    path.write_text(json.dumps([result]))
    found, names, _ = read_detection_file(path, DATASET, images=tmp_path / "truth.json")
    assert (names[found.video[0]], found.frame[0], found.label[0]) == ("wave/b_c_3", 3, 2)
    assert found.boxes.tolist() == [[1, 2, 11, 22]]
    for change, message in (
        ({"image_id": 72}, "result 0: image_id 72 is not an image"),
        ({"category_id": 4}, "result 0: category_id 4; expected one of"),
        ({"bbox": [1, 2, 3]}, r"result 0: bbox \[1, 2, 3\]"),
        ({"score": "high"}, "score 'high'; expected 4 numbers and 1"),
    ):
        path.write_text(json.dumps([result | change]))
        with pytest.raises(ValueError, match=message):
            read_detection_file(path, DATASET, images=tmp_path / "truth.json")
    path.write_text(json.dumps([result]))
    (tmp_path / "bad.json").write_text(json.dumps(truth | {"categories": []}))
    with pytest.raises(ValueError, match="bad.json: categories is empty"):
        read_detection_file(path, DATASET, images=tmp_path / "bad.json")
    with pytest.raises(ValueError, match="image_id 70 names no frame; expected .* or give `images`"):
        read_detection_file(path, DATASET)
    path.write_text(json.dumps([result | {"image_id": "wave/b_c_3/img_00004.jpg", "category_id": 3}]))
    found, names, _ = read_detection_file(path)
    assert (names, found.frame.tolist(), found.label.tolist()) == (["wave/b_c_3"], [3], [2])


def test_names_of_videos_are_made_safe_as_those_of_the_ground_truth(tmp_path):
    path = write_act(tmp_path, [])
    write_pickle(path, np.array([[0, 1, 0, 0.5, 1, 1, 9, 9]]))
    (tmp_path / "list.txt").write_text("/data/../kick_ball/a_1\n")
    found, names, _ = read_detection_file(path, videos=tmp_path / "list.txt")
    assert names == ["data/kick_ball/a_1"] and len(found) == 1
    (tmp_path / "list.txt").write_text("a\nb\na\n")
    with pytest.raises(ValueError, match="list.txt: the video 'a' occurs twice"):
        read_detection_file(path, videos=tmp_path / "list.txt")


def test_half_a_million_reversed_boxes_are_noted_at_once(tmp_path):
    rows = np.tile([0, 1, 0, 0.5, 9, 9, 1, 1], (500_000, 1))
    (note,) = [n for n in read_detection_file(write_pickle(tmp_path / "x.pkl", rows), DATASET)[2] if "overlap" in n]
    assert note.startswith("500000 boxes with x2 < x1 or y2 < y1, which overlap nothing: row 0 ") and len(note) < 200


def test_an_archive_of_text_is_not_taken_for_a_table(tmp_path):
    with zipfile.ZipFile(tmp_path / "labels.zip", "w") as archive:
        archive.writestr("labels/wave/a/00001.txt", "1 1 1 5 5\n")
    np.savez(tmp_path / "table.npz", video=[0])
    assert not is_table(Glimpse(tmp_path / "labels.zip")) and is_table(Glimpse(tmp_path / "table.npz"))


# --- real files --------------------------------------------------------------------------------------------


def test_published_ava_sample(real_data):
    folder = real_data / "ava" / "eval_detection"
    classes = folder / "action_list.txt"
    dataset = read_annotations(folder / "gt.csv", "ava", classes=classes, sizes="640x480")
    found, names, _ = read_detection_file(folder / "pred.csv", dataset, classes=classes)
    truth = dataset.ground_truth_table()
    number = np.array([names.index(video.name) for video in dataset.videos])
    gt = GroundTruth(**{**truth, "video": number[truth["video"]]})
    assert evaluate_frame_ap(gt, found, 3, preset("tfod")).mean == pytest.approx(0.09385522, abs=1e-8)


def test_multisports_sample_through_every_form_of_its_tools(real_data, tmp_path):
    """The published 83.6506: MMAction2's own array of detections, and the predictions that it is made of."""
    folder = real_data / "evaluator"
    sample = "multisports_sample"
    gt, det, names = read_tables(folder / f"{sample}_groundtruth.csv", folder / f"{sample}_detections.csv")
    video = VideoRecord(names[0], names[0], 2000, 720, 1280, ())
    dataset = ActionDataset("multisports", tuple(map(str, range(66))), (video,), "0")
    array = np.column_stack([np.zeros(len(det)), det.frame, det.label, det.score, det.boxes])
    entries = []
    for frame, label, score, box in zip(det.frame.tolist(), det.label, det.score, det.boxes, strict=True):
        scores = np.zeros((1, 66))
        scores[0, label] = score
        instances = {"bboxes": box[None] / [1280, 720, 1280, 720], "scores": scores}
        entries.append({"video_id": f"{names[0]}.mp4", "timestamp": frame, "pred_instances": instances})
    for content in (array, entries):
        found, _, _ = read_detection_file(write_pickle(tmp_path / "a.pkl", content), dataset)
        from_zero = GroundTruth(gt.video, gt.frame - 1, gt.label, gt.boxes)
        mean = evaluate_frame_ap(from_zero, found, 66, preset("tfod")).mean
        assert 100 * mean == pytest.approx(83.6506, abs=1e-4)


def test_file_names_of_real_yowo_ground_truth_are_those_of_jhmdb(real_data):
    archive = Path(real_data / "jhmdb" / "yowo_groundtruths_jhmdb.tar.gz")
    with pytest.raises(ValueError, match="expected `class score x1 y1 x2 y2`"):
        read_detection_file(archive, format="yowo")
