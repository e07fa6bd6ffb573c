"""Files of every form with a value that makes no sense in each place: read, or refused, never a crash."""

import json

import numpy as np
import pytest
from dialect_set import dataset, tube, video
from tool_files import box, cvat, labelme, rect, shape, track, write_via

from detect.data.annotation_files import FORMATS, read_annotations, write_annotations
from detect.utils.errors import UserError
from tests.spoiled import of_json, of_mat, of_pickle, of_text


def written(folder, format, name):
    write_annotations(dataset(video(tubes=[tube()])), folder / name, format)
    return folder / name


def named(path, text):
    path.write_text(text)
    return path


def final_annots(folder):
    def struct(fields):
        tubes = np.empty((1, 1), [(name, object) for name in ("ef", "sf", "class", "boxes")])
        tubes[0, 0] = tuple(fields[name] for name in tubes.dtype.names)
        annot = np.empty((1, 1), [(name, object) for name in ("num_imgs", "name", "tubes")])
        annot[0, 0] = (fields["num_imgs"], fields["name"], tubes)
        return annot

    fields = {"ef": 2.0, "sf": 1.0, "class": 1.0, "boxes": np.ones((2, 4)), "num_imgs": 5.0, "name": "wave/a"}
    return of_mat(folder / "x.mat", fields, struct)


def gkioxari(folder):
    cells = np.array([["wave"]], object)
    fields = {"action": cells, "video_id": cells, "frame": np.ones((1, 1)), "bound": np.full((1, 4), 5.0)}
    return of_mat(folder / "x.mat", fields, dict)


def via(folder):
    path = write_via(folder / "v.csv", [("00001.jpg", rect(2), {"action": "wave"})])
    return of_text(path)


def yowo(folder):
    written(folder, "yowo", "y")
    return of_text(folder / "y" / "labels" / "wave" / "a" / "00002.txt", folder / "y")


def jhmdb(folder):
    (folder / "puppet_mask").mkdir()
    (folder / "splits").mkdir()
    path = named(folder / "splits" / "wave_test_split1.txt", "a.avi 1\n")
    return of_text(path, folder)


PUNCH = {
    "label": "punch", "actor": "seq1", "main_actor": "right", "frames": 2, "size": [80, 60], "ok": [1, 1],
    "boxes": [[10, 5, 52, 50]] * 2, "persons": [[[10, 5, 20, 50], [40, 6, 52, 50]]] * 2, "contact": [0, 1],
}  # fmt: skip
SPOILED = {
    "own": lambda folder: of_json(written(folder, "own", "x.json")),
    "pyannot": lambda folder: of_pickle(written(folder, "pyannot", "x.pkl")),
    "final_annots": final_annots,
    "act": lambda folder: of_pickle(written(folder, "act", "x-GT.pkl")),
    "jhmdb": jhmdb,
    "gkioxari": gkioxari,
    "yowo": yowo,
    "ava": lambda folder: of_text(written(folder, "ava", "x.csv")),
    "coco": lambda folder: of_json(written(folder, "coco", "x.json")),
    "cvat": lambda folder: of_text(named(folder / "x.xml", cvat(track(box(1), box(2))))),
    "via": via,
    "boxes_json": lambda folder: of_json(named(folder / "boxes.json", json.dumps({"a.avi": PUNCH}))),
    "labelme": lambda folder: of_json(named(folder / "00001.json", labelme(shape(2, group=1)))),
}


def test_every_form_is_tested():
    assert set(SPOILED) == set(FORMATS)


@pytest.mark.parametrize("format", SPOILED)
def test_a_spoiled_annotation_is_read_or_refused(tmp_path, format):
    read, refused = 0, 0
    for path in SPOILED[format](tmp_path):
        try:
            read_annotations(path, format)
            read += 1
        except UserError as error:
            assert str(tmp_path) in str(error)  # the message names the file
            refused += 1
    assert refused > 5


def test_numbers_that_no_float_holds_are_named_with_their_place(tmp_path):
    path = written(tmp_path, "coco", "x.json")
    content = json.loads(path.read_text())
    content["annotations"][0]["bbox"][2] = 10**400
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"x.json: annotations\[0\]: bbox is \[11.0, 21.0, 1000.*; expected 4 numbers"):
        read_annotations(path)
