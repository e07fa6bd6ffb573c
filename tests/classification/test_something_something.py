import json

import pytest
from video_tree import listed, touch, write

from detect.classification.catalog import load_video_set
from detect.data.checks import AnnotationError
from detect.data.media import MissingDataError

# not in alphabetical order, with commas: from the official labels
LABELS = ("Throwing something", "Putting something, something and something on the table", "Holding something")
TEMPLATES = ("Throwing [something]", "Putting [something], [something] and [something] on the table")


def write_v1(root, *rows):
    write(root / "ssv1" / "something-something-v1-labels.csv", *LABELS)
    return write(root / "ssv1" / "something-something-v1-validation.csv", *rows)


def write_v2(root, entries, labels=None):
    labels = labels or {label: str(2 - index) for index, label in enumerate(LABELS)}
    write(root / "ssv2" / "something-something-v2-labels.json", json.dumps(labels))
    return write(root / "ssv2" / "something-something-v2-train.json", json.dumps(entries))


@pytest.fixture
def v1(tmp_path):
    write_v1(tmp_path, f"100218;{LABELS[1]}", f"7;{LABELS[2]}", f"9;{LABELS[0]}")
    touch(tmp_path / "ssv1" / "20bn-something-something-v1", "100218/00001.jpg", "7/00001.jpg", "100/00001.jpg")
    return tmp_path


@pytest.mark.parametrize("name, order", [("ssv1_val", LABELS), ("ssv1_sorted_val", tuple(sorted(LABELS)))])
def test_v1_in_both_orders_of_the_classes(v1, name, order):
    val = load_video_set(name, v1)
    assert val.classes == order and val.name == name
    assert listed(val) == {"100218": ("100218", LABELS[1]), "7": ("7", LABELS[2])}
    assert [video.label for video in val.items] == [order.index(LABELS[1]), order.index(LABELS[2])]
    assert val.missing == ("9",)
    assert val.items[0].path == str(v1 / "ssv1" / "20bn-something-something-v1" / "100218")


def test_v1_flow(v1):
    touch(v1 / "ssv1" / "flow", "9/000001.jpg")
    assert listed(load_video_set("ssv1_val", v1, "flow")) == {"9": ("9", LABELS[0])}


@pytest.mark.parametrize(
    "row, message",
    [
        ("7,Holding something", "line 1: 1 columns, expected 'id;label', found '7,Holding something'"),
        ("7;Holding something;3", "line 1: 3 columns, expected 'id;label'"),
        ("7;", "line 1: 2 columns, expected 'id;label', found '7;'"),
        (
            "7;Holding somthing",
            "line 1: 'Holding somthing' is not one of the 3 classes; did you mean 'Holding something'",
        ),
        ("7;xyz", "line 1: 'xyz' is not one of the 3 classes; they are Throwing something, "),
    ],
)
def test_v1_bad_rows(tmp_path, row, message):
    write_v1(tmp_path, row)
    with pytest.raises(AnnotationError, match="something-something-v1-validation.csv " + message):
        load_video_set("ssv1_val", tmp_path)


def test_v1_listed_twice(tmp_path):
    write_v1(tmp_path, f"7;{LABELS[0]}", f"7;{LABELS[1]}")
    with pytest.raises(AnnotationError, match="line 2: 7 is listed already, at .*validation.csv line 1"):
        load_video_set("ssv1_val", tmp_path)


def test_v2_templates_and_numbered_labels(tmp_path):
    entries = [{"id": str(i), "label": "throwing a ball", "template": t} for i, t in enumerate(TEMPLATES)]
    write_v2(tmp_path, entries)
    touch(tmp_path / "ssv2" / "20bn-something-something-v2", "0.webm", "1/000001.jpg")
    train = load_video_set("ssv2_train", tmp_path)
    assert train.classes == LABELS[::-1]  # by number, 2 - index
    assert listed(train) == {"0": ("0.webm", LABELS[0]), "1": ("1", LABELS[1])} and train.notes == ()


@pytest.mark.parametrize(
    "entries, labels, message",
    [
        ([{"id": "1"}], None, "train.json entry 1: expected .*, found {'id': '1'}"),
        ([7], None, "train.json entry 1: expected .*, found 7"),
        ({}, None, "train.json: expected a list of videos, found dict"),
        ([], None, "train.json: expected a list of videos, found list without any"),
        ([{"id": "1", "template": "Eating [something]"}], None, "entry 1: 'Eating something' is not one of the 3"),
        ([{"id": "1", "template": TEMPLATES[0]}] * 2, None, "entry 2: 1 is listed already, at .*train.json entry 1"),
        ([], {"a": "0", "b": "2"}, "labels.json: 2 classes must have the indices 0 to 1, each once"),
        ([], {"a": "0", "b": "0"}, "labels.json: 2 classes must have the indices 0 to 1, each once"),
        ([], ["a", "b"], 'labels.json: expected {"class": "index", ...}'),
    ],
)
def test_v2_bad_annotation(tmp_path, entries, labels, message):
    write_v2(tmp_path, entries, labels)
    with pytest.raises(AnnotationError, match=message):
        load_video_set("ssv2_train", tmp_path)


def test_v2_not_json(tmp_path):
    write_v2(tmp_path, []).write_text('[\n{"id": }]')
    with pytest.raises(AnnotationError, match="train.json line 2: not JSON"):
        load_video_set("ssv2_train", tmp_path)


def test_missing_annotation(tmp_path):
    with pytest.raises(MissingDataError) as error:
        load_video_set("ssv2_train", tmp_path)
    for place in ("", "annotations/", "labels/"):
        assert f"{tmp_path}/ssv2/{place}something-something-v2-labels.json" in str(error.value)
