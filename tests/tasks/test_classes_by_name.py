"""A detector on sets of one's own whose classes are in another order than the model's, fewer, or others."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from detect.d2 import Boxes, Instances
from detect.data.catalog import load_action_dataset, register_action_dataset
from detect.data.own_json import write_own_json
from detect.data.records import ActionDataset, Tube, VideoRecord
from detect.evaluation.files.formats import find_table, read_detections
from detect.tasks.detection import DETECTION
from detect.tasks.model_labels import ModelLabels
from detect.utils.checkpoint_files import read_checkpoint
from detect.utils.errors import UserError
from detect.video.writer import save_video
from tests.data.tiny_set import draw
from tests.running import run_tool
from tests.tiny import save_detector, tiny_cfg

CLASSES = ("a", "b", "c")  # of the model
LENGTHS = (5, 4, 3)


def write_truth(path, classes, tubes):
    """tubes: for each video [(name of the class, boxes of its frames from 0)]; those of other classes are not there."""
    videos = []
    for index, (length, found) in enumerate(zip(LENGTHS, tubes, strict=True)):
        kept = (Tube(classes.index(name), np.arange(len(b)), b) for name, b in found if name in classes)
        videos.append(VideoRecord(f"v{index}", str(path.parent / f"v{index}.avi"), length, 24, 32, tuple(kept)))
    write_own_json(ActionDataset(path.stem, tuple(classes), tuple(videos), ""), path)


def evaluate(*opts, name="truth.json"):
    words = ["DATASETS.TEST", (f"json:{name}",), "OUTPUT_DIR", "out", *opts]
    done = run_tool("train_net", "--eval-only", "--weights", "model.pth", *words)
    assert done.returncode == 0, done.stderr[-2000:]
    results = json.loads(Path(f"out/evaluation/json_{name}/results.json").read_text())
    return results["results"]["frame_ap"], results, done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A detector with random weights, and a set that has every second of its detections as truth."""
    folder = tmp_path_factory.mktemp("by_name")
    save_detector(
        folder / "model.pth", "MODEL.CONTEXT.NAME", "i2d", "INPUT.SIZE", (36, 48), "INPUT.NUM_FRAMES", 4,
        "DATALOADER.NUM_WORKERS", 0, "TEST.PICTURES", 1,
    )  # fmt: skip
    for index, length in enumerate(LENGTHS):
        save_video(folder / f"v{index}.avi", draw(length, index))
    write_truth(folder / "empty.json", CLASSES, [[]] * len(LENGTHS))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        evaluate(name="empty.json")
        (det,), _ = read_detections([find_table(Path("out/evaluation/json_empty.json"), "detections")])
    tubes = []
    for video, length in enumerate(LENGTHS):
        found = []
        for label, name in enumerate(CLASSES):
            each = [det.boxes[(det.video == video) & (det.frame == k) & (det.label == label)] for k in range(length)]
            found.append((name, np.stack([boxes[(label + 1) % len(boxes)] for boxes in each]).astype(np.float32)))
        tubes.append(found)
    write_truth(folder / "truth.json", CLASSES, tubes)
    write_truth(folder / "permuted.json", ("c", "a", "b"), tubes)
    write_truth(folder / "subset.json", ("c", "a"), tubes)
    write_truth(folder / "unknown.json", ("c", "hop", "a", "3. jump/hop"), tubes)
    return folder


@pytest.fixture
def here(folder, monkeypatch):
    monkeypatch.chdir(folder)
    return folder


def test_another_order_gives_the_same(here):
    """Every number, of every class and of all; so do the frames between keyframes."""
    expected, permuted = evaluate()[0], evaluate(name="permuted.json")[0]
    assert list(permuted) == ["mAP", "AP-c", "AP-a", "AP-b"] and 0 < min(expected.values()) < 1
    assert {k: permuted[k] for k in expected if k != "mAP"} == {k: v for k, v in expected.items() if k != "mAP"}
    assert permuted["mAP"] == pytest.approx(expected["mAP"], abs=1e-15)
    stride = ("TEST.KEYFRAME_STRIDE", 2)
    between, permuted = evaluate(*stride)[0], evaluate(*stride, name="permuted.json")[0]
    assert between != expected and permuted == pytest.approx(between, abs=1e-15)


def test_fewer_classes_give_the_figures_of_those(here):
    expected, whole, _ = evaluate()
    found, results, log = evaluate("TEST.REPORT", True, name="subset.json")
    assert found == {"mAP": pytest.approx((expected["AP-c"] + expected["AP-a"]) / 2)} | {
        k: expected[k] for k in ("AP-c", "AP-a")
    }
    dropped = whole["provenance"]["detections"] - results["provenance"]["detections"]
    assert dropped > 0 and results["provenance"]["classes_left_out"] == ["b"]
    said = (
        f"json:subset.json has 2 of the model's 3 classes; {dropped} detections of the others are left out: b {dropped}"
    )
    assert log.count(said) == 1
    assert list(Path("out/pictures/json_subset.json").iterdir())
    page = Path("out/report/json_subset.json/index.html").read_text()
    assert f'<td class="name">c</td><td class="meter" data-value="{found["AP-c"]:.6g}">' in page
    assert '<td class="name">b</td>' not in page and "classes_left_out" in page.replace(" ", "_")
    table = find_table(Path("out/evaluation/json_subset.json"), "detections")
    done = run_tool("evaluate", table, "--dataset", "json:subset.json")
    assert done.returncode == 0 and f"frame-mAP@0.5 = {found['mAP']:.6f}" in done.stdout


def test_an_unknown_class_is_refused_by_name(here):
    done = run_tool("train_net", "--eval-only", "--weights", "model.pth", "DATASETS.TEST", ("json:unknown.json",))
    assert done.returncode == 2
    assert "json:unknown.json: the model has no class 'hop', '3. jump/hop'; it has a, b, c." in done.stderr


def test_a_registered_set_is_strict(here):
    dataset = load_action_dataset("json:permuted.json")
    for name, classes, message in (
        ("strict_order", ("c", "a", "b"), "has other classes than the model, or in another order: class 0 is 'c' "),
        ("strict_fewer", ("c", "a"), "strict_fewer has 2 classes, MODEL.ROI_HEADS.NUM_CLASSES is 3"),
    ):
        register_action_dataset(name, partial(replace, dataset, name=name, classes=classes), "all")
        done = run_tool("train_net", "--eval-only", "--weights", "model.pth", "DATASETS.TEST", (name,))
        assert done.returncode == 2 and message in done.stderr


def test_the_config_says_another_number(here):
    words = ["DATASETS.TEST", ("json:subset.json",), "MODEL.ROI_HEADS.NUM_CLASSES", 2]
    done = run_tool("train_net", "--eval-only", "--weights", "model.pth", *words)
    assert done.returncode == 2
    assert "the model has 3 classes, MODEL.ROI_HEADS.NUM_CLASSES is 2; leave that key out" in done.stderr


def test_a_config_without_a_number_and_a_checkpoint_without_classes(here, tmp_path):
    """The number follows the checkpoint; one that does not say, such as Detectron2's, must have the set's classes."""
    config = yaml.safe_load(read_checkpoint("model.pth")["config"])
    del config["MODEL"]["ROI_HEADS"]["NUM_CLASSES"]
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(config))
    given, output = ["--config-file", tmp_path / "own.yaml", "--eval-only"], ["OUTPUT_DIR", tmp_path / "out"]
    words = ["--weights", "model.pth", *output, "DATASETS.TEST"]
    done = run_tool("train_net", *given, *words, ("json:subset.json",))
    assert done.returncode == 0 and "MODEL.ROI_HEADS.NUM_CLASSES: 3" in done.stdout
    torch.save({"model": read_checkpoint("model.pth")["model"]}, tmp_path / "bare.pth")
    bare = [*given, "--weights", tmp_path / "bare.pth", *output, "DATASETS.TEST"]
    assert run_tool("train_net", *bare, ("json:truth.json",)).returncode == 0
    done = run_tool("train_net", *bare, ("json:subset.json",))
    assert done.returncode == 2 and "a checkpoint of another architecture" in done.stderr


@pytest.mark.parametrize("tag", [None, 3, {}, {"classes": "abc"}, {"classes": [1, 2]}, {"classes": []}])
def test_tags_that_do_not_say_the_classes(tag):
    assert DETECTION.saved_classes({"tag": tag}) is None


def test_labels_are_mapped_and_others_counted(caplog):
    labels = ModelLabels("own", ("a", "b", "c"), ("c", "a"))
    found = Instances(
        (8, 8), pred_boxes=Boxes(torch.arange(16.0).reshape(4, 4)), scores=torch.tensor([0.9, 0.8, 0.7, 0.6]),
        pred_classes=torch.tensor([1, 2, 0, 1]),
    )  # fmt: skip
    given = labels({"instances": found, "proposals": "as they are"})
    kept = given["instances"]
    assert kept.pred_classes.tolist() == [0, 1] and kept.scores.tolist() == pytest.approx([0.8, 0.7])
    assert kept.pred_boxes.tensor.tolist() == found.pred_boxes.tensor[1:3].tolist()
    assert given["proposals"] == "as they are" and found.pred_classes.tolist() == [1, 2, 0, 1]
    labels({"instances": found[:0]})
    with caplog.at_level("INFO", "detect"):
        labels.report()
        labels.reset()
        labels.report()
    assert "2 detections of the others are left out: b 2" in caplog.messages[0] and ": b 0" in caplog.messages[1]
    same = ModelLabels("own", ("a", "b"), ("a", "b"))
    assert same({"instances": found})["instances"] is found


def test_a_set_in_training_may_have_fewer_classes(here):
    cfg = tiny_cfg("DATASETS.TEST", ("json:subset.json",))
    assert DETECTION.load_set("json:subset.json", cfg, CLASSES).classes == ("c", "a")
    with pytest.raises(UserError, match="the model has no class 'b'; it has a, c"):
        DETECTION.load_set("json:truth.json", tiny_cfg("MODEL.ROI_HEADS.NUM_CLASSES", 2), ("a", "c"))
