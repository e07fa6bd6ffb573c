"""Detections and tubes with a value that makes no sense in each place: read, or refused, never a crash."""

import json
import pickle

import numpy as np
import pytest

from detect.data.records import ActionDataset, VideoRecord
from detect.evaluation.files.detection_files import DETECTION_FORMATS, read_detection_file
from detect.evaluation.files.tube_files import read_tubes
from detect.evaluation.tables import TableError
from detect.utils.errors import UserError
from tests.spoiled import of_json, of_pickle, of_text

DATASET = ActionDataset("made", ("wave", "jump"), (VideoRecord("wave/a", "wave/a", 9, 240, 320, ()),), "0")
RESULT = {"image_id": "wave/a#3", "category_id": 1, "bbox": [1, 2, 10, 20], "score": 0.5}
TUBE = {"video": "b", "label": "run", "score": 0.5, "start": 3, "boxes": [[0, 0, 10, 10], None, [1, 1, 11, 11]]}


def pickled(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content, 2))
    return of_pickle(path)


def text(path, content):
    path.write_text(content)
    return of_text(path)


def yowo(folder):
    path = folder / "wave_a_00002.txt"
    path.write_text("1 0.5 10 20 30 40\n")
    return of_text(path, folder)


def tubelets(folder):
    content = {1: np.ones((1, 5), np.float32)}
    for _ in pickled(folder / "wave" / "a" / "00001.pkl", content):
        yield folder


def multisports(folder):
    instances = {"bboxes": np.ones((1, 4)), "scores": np.ones((1, 2))}
    return pickled(folder / "m.pkl", [{"video_id": "wave/a.mp4", "timestamp": 1, "pred_instances": instances}])


SPOILED = {
    "yowo": yowo,
    "multisports": multisports,
    "act": lambda folder: pickled(folder / "frame_detections.pkl", np.ones((1, 8)).tolist()),
    "act_tubelets": tubelets,
    "ava": lambda folder: text(folder / "r.csv", "wave/a,900,0.1,0.2,0.5,0.6,1,0.5\n"),
    "coco": lambda folder: json_of(folder, RESULT),
}


def json_of(folder, entry):
    (folder / "r.json").write_text(json.dumps([entry]))
    return of_json(folder / "r.json")


def test_every_form_is_tested():
    assert set(SPOILED) == set(DETECTION_FORMATS)


@pytest.mark.parametrize("dataset", [DATASET, None], ids=["dataset", "alone"])
@pytest.mark.parametrize("format", SPOILED)
def test_spoiled_detections_are_read_or_refused(tmp_path, format, dataset):
    refused = 0
    for path in SPOILED[format](tmp_path):
        try:
            read_detection_file(path, dataset, format)
        except UserError as error:
            assert str(tmp_path) in str(error)  # the message names the file
            refused += 1
    assert refused > 5


@pytest.mark.parametrize("scored", [True, False])
def test_spoiled_tubes_are_read_or_refused(tmp_path, scored):
    refused = 0
    for path in json_of(tmp_path, TUBE):
        try:
            read_tubes(path, scored=scored)
        except TableError as error:
            assert str(tmp_path) in str(error)
            refused += 1
    assert refused > 50


def test_numbers_that_no_float_holds_are_named_with_their_place(tmp_path):
    for key in ("score", "category_id", "bbox"):
        path = tmp_path / "r.json"
        path.write_text(json.dumps([RESULT | {key: 10**400}]))
        with pytest.raises(UserError, match=f"r.json: result 0: .*{key} 1000"):
            read_detection_file(path, DATASET)
