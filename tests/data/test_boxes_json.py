"""Clips of one action each with boxes by segmentation: `boxes.json`."""

import json

import numpy as np
import pytest

from detect.data.annotation_files import read_annotations, recognise
from detect.data.catalog import load_action_dataset
from detect.data.checks import AnnotationError
from detect.utils.errors import UserError

LEFT, RIGHT, PAIR = [10, 5, 20, 50], [40, 6, 52, 50], [10, 5, 52, 50]
PUNCH = {
    "label": "punch", "actor": "seq1", "main_actor": "right", "frames": 4, "size": [80, 60],
    "boxes": [PAIR, PAIR, PAIR, None], "persons": [[LEFT, RIGHT], [LEFT, RIGHT], [None, None], None],
    "ok": [1, 1, 1, 0], "contact": [0, 1, 1, 1],
}  # fmt: skip
BEND = {"label": "bend", "actor": "ann", "frames": 2, "size": [64, 64], "boxes": [[1, 2, 30, 64]] * 2, "ok": [0, 1]}


@pytest.fixture
def folder(tmp_path):
    for name, content in (("pairs", {"set1/a.avi": PUNCH}), ("single", {"b.mp4": BEND})):
        (tmp_path / name).mkdir()
        (tmp_path / name / "boxes.json").write_text(json.dumps(content))
    return tmp_path


def boxes(video):
    return [(tube.frames.tolist(), tube.boxes[0].tolist()) for tube in video.tubes]


def test_persons_and_the_pair_where_they_cannot_be_told_apart(folder):
    assert recognise(folder) == recognise(folder / "pairs" / "boxes.json") == "boxes_json"
    dataset = read_annotations(folder)
    pair, single = dataset.videos
    assert dataset.classes == ("bend", "punch")
    assert (pair.name, pair.group, single.group) == ("pairs/set1/a", "seq1", "ann")
    assert pair.path == str(folder / "pairs" / "set1" / "a.avi") and (pair.height, pair.width) == (60, 80)
    assert boxes(pair) == [([0, 1], LEFT), ([0, 1], RIGHT), ([2], PAIR)] and {t.label for t in pair.tubes} == {1}
    assert pair.labelled_frames().tolist() == [0, 1, 2] and single.labelled_frames().tolist() == [1]
    assert boxes(single) == [([1], BEND["boxes"][0])]


def test_options(folder):
    def pair(**options):
        return read_annotations(folder / "pairs", **options).videos[0]

    assert boxes(pair(actors="main")) == [([0, 1], RIGHT), ([2], PAIR)]
    alone = {**PUNCH, "persons": [[LEFT, None], [LEFT, RIGHT], [None, None], None]}
    (folder / "pairs" / "boxes.json").write_text(json.dumps({"set1/a.avi": alone}))
    assert boxes(pair()) == [([0, 1], LEFT), ([1], RIGHT), ([2], PAIR)]
    assert pair(actors="main").labelled_frames().tolist() == [1, 2]  # of 0, the one who acts has no box
    assert boxes(pair(actors="pair")) == [([0, 1, 2], PAIR)]
    in_contact = pair(frames="contact")
    assert boxes(in_contact) == [([1], LEFT), ([1], RIGHT), ([2], PAIR)]
    assert in_contact.labelled_frames().tolist() == [1, 2]
    with pytest.raises(UserError, match="actors is 'all'; legal values are persons, main, pair"):
        pair(actors="all")
    with pytest.raises(UserError, match="frames is 'some'; legal values are ok, contact"):
        pair(frames="some")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": 3}, "its label is 3; expected a text"),
        ({"frames": -1}, "its frames is -1"),
        ({"size": [80]}, r"its size is \[80\]"),
        ({"ok": [1]}, r"its ok is \[1\]; expected a list of 4"),
        ({"persons": "none"}, "its persons is 'none'"),
        ({"main_actor": "up"}, "its main_actor is 'up'; legal are left, right, both"),
        ({"boxes": [PAIR, PAIR, [1, 2], None]}, r"a.avi frame 2: its box is \[1, 2\]"),
        ({"persons": [[LEFT]] * 4}, "frame 0: its persons are .*; expected left and right"),
    ],
)
def test_bad_values_are_named(tmp_path, change, message):
    (tmp_path / "boxes.json").write_text(json.dumps({"a.avi": {**PUNCH, **change}}))
    with pytest.raises(AnnotationError, match=message):
        read_annotations(tmp_path, "boxes_json")


def test_no_clips(tmp_path):
    (tmp_path / "boxes.json").write_text("{}")
    dataset = read_annotations(tmp_path, "boxes_json")
    assert dataset.videos == () and dataset.classes == ()
    (tmp_path / "boxes.json").write_text("[]")
    with pytest.raises(AnnotationError, match="holds a list"):
        read_annotations(tmp_path, "boxes_json")


def test_real_people(real_data):
    dataset = read_annotations(real_data / "real_people")
    assert len(dataset.videos) == 114 and len(dataset.classes) == 11
    assert len({video.group for video in dataset.videos}) == 14 + 7  # sequences and people
    frames = sum(len(video.labelled_frames()) for video in dataset.videos if "ut_interaction" in video.name)
    persons = [t for v in dataset.videos if "ut_interaction" in v.name for t in v.tubes]
    alone, as_pair = 85 + 719 + 859, 739  # frames of one person, and of two who cannot be told apart
    assert frames == 8762 and sum(len(t.frames) for t in persons) == 2 * frames - alone - as_pair
    assert all(np.diff(tube.frames).min(initial=1) > 0 for tube in persons)


def test_as_a_set_of_ones_own_with_folds(folder):
    name = f"json:{folder}"
    assert [len(load_action_dataset(name + part).videos) for part in ("", ":fit1of2", ":held1of2")] == [2, 1, 1]
    first, second = (load_action_dataset(f"{name}:held{fold}of2") for fold in (1, 2))
    assert [v.group for v in (*first.videos, *second.videos)] == ["ann", "seq1"] and first.name == f"{name}:held1of2"
    in_contact = load_action_dataset(f"{name}?frames=contact&actors=main:held2of2")
    assert in_contact.videos[0].labelled_frames().tolist() == [1, 2] and len(in_contact.videos[0].tubes) == 2
    with pytest.raises(UserError, match="boxes_json has no option 'frame'; it has videos, media_root"):
        load_action_dataset(f"{name}?frame=contact")
    with pytest.raises(UserError, match="held3of2: fold 3 of 2; it has 2 groups of videos"):
        load_action_dataset(f"{name}:held3of2")
    (folder / "broken.json").write_text('{"categories": [], "vidoes": []}')
    with pytest.raises(AnnotationError, match="unknown key 'vidoes'; did you mean 'videos'"):
        load_action_dataset(f"json:{folder / 'broken.json'}")  # looks like no form: own JSON says what is wrong
