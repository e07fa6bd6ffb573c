"""Detections of every form, as its public writer lays it out: the same table from each, and bad input named."""

import inspect
import json
import pickle
import re
from pathlib import Path

import numpy as np
import pytest

from detect.data.annotation_files import read_annotations
from detect.data.jhmdb import CLASSES as JHMDB
from detect.data.records import ActionDataset, Tube, VideoRecord
from detect.evaluation import Detections, GroundTruth, evaluate_frame_ap, preset, read_tables
from detect.evaluation.files.detection_files import DETECTION_FORMATS, read_detection_file, recognise_detections

CLASSES = ("golf", "kick_ball", "wave")
WIDTH, HEIGHT = 320, 240


def record(name, frames=40):
    tube = Tube(1, np.arange(5, 20), np.tile(np.array([[20, 30, 120, 200]], np.float32), (15, 1)))
    return VideoRecord(name, name, frames, HEIGHT, WIDTH, (tube,))


DATASET = ActionDataset("made", CLASSES, (record("wave/b_c_3"), record("kick_ball/a_1")), "0")
NAMES = sorted(video.name for video in DATASET.videos)


def made(seed=0, count=200):
    """Rows as a detector gives them: names of videos, frames and labels from 0, whole pixels, distinct scores."""
    rng = np.random.RandomState(seed)
    corner = rng.randint(0, 60, (count, 2))
    boxes = np.hstack([corner, corner + rng.randint(60, 170, (count, 2))]).clip(0, [WIDTH, HEIGHT] * 2)
    scores = (rng.permutation(count) + 1) / 256  # exact in three forms of number
    return list(
        zip(rng.choice(NAMES, count), rng.randint(0, 30, count), rng.choice([1, 1, 0, 2], count), scores,
            boxes.tolist(), strict=True)
    )  # fmt: skip


def table(rows):
    rows = sorted(rows, key=lambda row: (row[0], row[1], -row[3]))
    video, frame, label, score, boxes = zip(*rows, strict=True)
    return Detections([NAMES.index(name) for name in video], frame, label, score, np.array(boxes, float))


def write_pickle(path, value, protocol=4):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(value, protocol))
    return path


def write_yowo(folder, rows):
    """core/optimization.py: `str(int(class) + 1) + ' ' + str(prob) + ' ' + str(x1) ...`, a file for each frame."""
    folder = folder / "detections_5"
    folder.mkdir()
    for name in NAMES:
        for frame in range(30):
            lines = [r for r in rows if (r[0], r[1]) == (name, frame)]
            text = "".join(f"{label + 1} {score} {' '.join(map(str, box))}\n" for *_, label, score, box in lines)
            (folder / f"{name.replace('/', '_')}_{frame + 1:05d}.txt").write_text(text)
    return folder


def write_act(folder, rows):
    """ACT's load_frame_detections: video index, frame from 1, label, score, x1 y1 x2 y2."""
    order = [video.name for video in DATASET.videos]
    content = [(order.index(name), frame + 1, label, score, *box) for name, frame, label, score, box in rows]
    return write_pickle(folder / "frame_detections.pkl", np.array(content, np.float32).reshape(-1, 8))


def write_ava(folder, rows):
    path = folder / "result.csv"
    path.write_text(
        "".join(
            f"{name},{900 + frame / 30:.4f},{x1 / WIDTH!r},{y1 / HEIGHT!r},{x2 / WIDTH!r},{y2 / HEIGHT!r},"
            f"{label + 1},{score}\n"
            for name, frame, label, score, (x1, y1, x2, y2) in rows
        )
    )
    return path


def write_coco(folder, rows):
    path = folder / "coco_instances_results.json"
    content = [
        {"image_id": f"{name}#{frame}", "category_id": int(label) + 1, "bbox": [x1, y1, x2 - x1, y2 - y1], "score": s}
        for name, frame, label, s, (x1, y1, x2, y2) in rows
    ]
    path.write_text(json.dumps(content, default=int))
    return path


def write_multisports(folder, rows):
    """As MultiSportsMetric.process gets them: boxes as shares, scores of all classes, of which the best counts."""
    entries = []
    for name, frame, label, score, box in rows:
        scores = np.full((1, 3), score / 2)
        scores[0, label] = score
        shares = np.array([box]) / [WIDTH, HEIGHT, WIDTH, HEIGHT]
        instances = {"bboxes": shares, "scores": scores}
        entries.append({"video_id": f"{name}.mp4", "timestamp": int(frame) + 1, "pred_instances": instances})
    return write_pickle(folder / "predictions.pkl", entries)


def write_tubelets(folder, rows):
    """MOC's normal_inference: {label from 1: (n, 4K + 1)} of K = 1; every frame has a file."""
    for name in NAMES:
        for frame in range(30):
            content = {
                c + 1: np.array(
                    [(*box, s) for n, f, label, s, box in rows if (n, f, label) == (name, frame, c)], np.float32
                ).reshape(-1, 5)
                for c in range(3)
            }
            write_pickle(folder / "inference" / name / f"{frame + 1:05d}.pkl", content)
    return folder / "inference"


WRITERS = {
    "yowo": write_yowo, "act": write_act, "ava": write_ava, "coco": write_coco, "multisports": write_multisports,
    "act_tubelets": write_tubelets,
}  # fmt: skip
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
        ({"image_id": 72}, "result 0: image_id 72 is no image"),
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
