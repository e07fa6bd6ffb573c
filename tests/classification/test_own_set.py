"""Classification sets that are own JSON, `json:FILE`."""

import json

import numpy as np
import pytest
import torch
from tiny_videos import TINY, write_set
from video_tree import listed, touch

from detect.classification.catalog import load_video_set
from detect.classification.records import VideoItem
from detect.data.checks import AnnotationError
from detect.data.media import MissingDataError
from detect.data.own_json import write_own_json
from detect.data.records import ActionDataset, Tube, VideoRecord
from detect.utils.checkpoint_files import read_checkpoint
from tests.running import run_tool

CLASSES = ("wave", "walk", "jump")


def write_json(path, videos, classes=CLASSES):
    """videos: {name: (file name, labels of its tubes)}."""
    box = np.float32([[2, 3, 20, 20]])
    records = [
        VideoRecord(name, str(path.parent / file), 9, 40, 48, tuple(Tube(label, np.array([k]), box) for k, label in
                    enumerate(labels)), flow=str(path.parent / "flow" / name), fps=10.0)
        for name, (file, labels) in videos.items()
    ]  # fmt: skip
    write_own_json(ActionDataset(path.stem, tuple(classes), tuple(records), ""), path)
    return path


def test_videos_of_one_class(tmp_path):
    """Two tubes of one class are that class; several classes, none, and media that are not there are said."""
    touch(tmp_path, "v/a.avi", "frames/b/", "v/two.avi", "v/none.avi")
    videos = {"a": ("v/a.avi", [2, 2]), "b": ("frames/b", [0]), "two": ("v/two.avi", [1, 0]), "c": ("v/c.avi", [1])}
    path = write_json(tmp_path / "own.json", {**videos, "none": ("v/none.avi", []), "nil": ("v/a.avi", [])})
    own = load_video_set(f"json:{path}")
    assert own.items[0] == VideoItem("a", str(tmp_path / "v/a.avi"), 2) and own.name == f"json:{path}"
    assert listed(own) == {"a": ("a.avi", "jump"), "b": ("b", "wave")}
    assert own.classes == CLASSES and own.missing == ("c",) and len(own.annotation_hash) == 64
    assert own.modality == "rgb" and own.notes[-3:] == (
        "1 videos left out, of several classes: two (wave, walk)",
        "2 videos left out, without tubes: none; nil",
        "1 videos listed but not found where the file says: c",
    )


def test_flow(tmp_path):
    touch(tmp_path, "a.avi", "b.avi", "flow/a/", "flow/b")
    path = write_json(tmp_path / "own.json", {"a": ("a.avi", [0]), "b": ("b.avi", [1])})
    own = load_video_set(f"json:{path}", modality="flow")
    assert own.items == (VideoItem("a", str(tmp_path / "flow/a"), 0),) and own.missing == ("b",)
    assert own.modality == "flow" and "not found as flow" in own.notes[-1]


def test_parts_and_the_datasets_folder(tmp_path, monkeypatch):
    names = [f"v{k}" for k in range(6)]
    touch(tmp_path, *names)
    whole = write_json(tmp_path / "own.json", {name: (name, [0]) for name in names})
    monkeypatch.setenv("DETECT_DATASETS", str(tmp_path))
    fit, held = (load_video_set(f"json:own.json:{part}") for part in ("fit", "held"))
    assert [item.name for item in held.items] == ["v2"] and len(fit.items) == 5
    assert held.annotation_hash == fit.annotation_hash == load_video_set(f"json:{whole}").annotation_hash


def test_what_cannot_be(tmp_path):
    touch(tmp_path, "a.avi")
    path = write_json(tmp_path / "own.json", {"a": ("a.avi", [0, 1]), "b": ("a.avi", [])})
    with pytest.raises(AnnotationError, match=r"own.json: no video whose tubes are of one class: 1 videos left out, of "
                       r"several classes: a \(wave, walk\); 1 videos left out, without tubes: b"):  # fmt: skip
        load_video_set(f"json:{path}")
    with pytest.raises(MissingDataError, match="gone.json: the annotation not found"):
        load_video_set(f"json:{tmp_path}/gone.json")
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(AnnotationError, match="broken.json: not JSON"):
        load_video_set(f"json:{tmp_path}/broken.json")
    path = write_json(tmp_path / "twice.json", {"a": ("a.avi", [0]), "b": ("a.avi", [1])})
    with pytest.raises(AnnotationError, match="the videos a and b would both be .*a.avi"):
        load_video_set(f"json:{path}")


def test_a_classifier_learns_from_own_json(tmp_path, monkeypatch):
    """The number of classes is the file's, also of one that no video has; the same set as a list gives the same."""
    write_set(tmp_path, 3)
    names = ("red0", "green1", "blue2")
    write_json(tmp_path / "own.json", {n: (f"{n}.avi", [k]) for k, n in enumerate(names)}, ("r", "g", "b", "unseen"))
    (tmp_path / "own.txt").write_text("red0.avi r\ngreen1.avi g\nblue2.avi b\n")
    (tmp_path / "classes.txt").write_text("r\ng\nb\nunseen\n")
    monkeypatch.chdir(tmp_path)
    found = []
    for name, output in (("json:own.json", "a"), ("list:own.txt", "b")):
        words = [*TINY, "MODEL.META_ARCHITECTURE", "ActionClassifier", "SOLVER.MAX_ITER", 2]
        words += ["DATASETS.TRAIN", (name,), "DATASETS.TEST", (name,), "OUTPUT_DIR", output]
        done = run_tool("train_classifier", *words)
        assert done.returncode == 0 and "top-1 = " in done.stdout, done.stderr[-2000:]
        found.append(read_checkpoint(f"{output}/model_final.pth"))
    assert found[0]["tag"] == found[1]["tag"] and found[0]["tag"]["classes"] == ["r", "g", "b", "unseen"]
    assert found[0]["network"]["num_classes"] == 4 and found[0]["provenance"]["dataset"] == "json:own.json"
    assert all(torch.equal(value, found[1]["model"][key]) for key, value in found[0]["model"].items())
    results = json.loads((tmp_path / "a/evaluation/json_own.json/results.json").read_text())
    assert results["counts"]["videos"] == 3 and results["classes"] == ["r", "g", "b", "unseen"]
