"""Sets of one's own, `json:FILE`, from the name in the config to an evaluated checkpoint."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from detect import ActionDetector
from detect.d2 import DatasetCatalog, MetadataCatalog
from detect.data import catalog
from detect.data.media import MissingDataError
from detect.data.own_json import write_own_json
from detect.data.records import ActionDataset, Tube, VideoRecord
from detect.utils.checkpoint_files import read_checkpoint
from detect.video.writer import save_video
from tests.data.tiny_set import draw
from tests.running import run_tool
from tests.tiny import OVERRIDES

at = OVERRIDES.index("MODEL.ROI_HEADS.NUM_CLASSES")
TINY = [
    *OVERRIDES[:at], *OVERRIDES[at + 2 :], "MODEL.CONTEXT.NAME", "i2d", "INPUT.SIZE", (36, 48), "INPUT.NUM_FRAMES", 4,
    "SOLVER.MAX_ITER", 2, "SOLVER.WARMUP_ITERS", 0, "DATALOADER.NUM_WORKERS", 0, "TEST.PICTURES", 1,
]  # fmt: skip
CLASSES = ("wave", "walk away", "3. jump/hop")


def write_set(path: Path, classes=CLASSES, lengths=(6, 5, 4)) -> Path:
    """Videos with one tube each, the classes in turn, and a file in own JSON; in each frame 0 has no box."""
    videos = []
    for index, length in enumerate(lengths):
        file = path.parent / "videos" / f"{path.stem}{index}.avi"
        save_video(file, draw(length, index))
        boxes = np.tile(np.float32([2 + index, 3, 20, 20]), (length - 1, 1))
        tube = Tube(index % len(classes), np.arange(1, length), boxes)
        videos.append(VideoRecord(f"{path.stem}{index}", str(file), length, 24, 32, (tube,)))
    write_own_json(ActionDataset(path.stem, tuple(classes), tuple(videos), ""), path)
    return path


def sets(train, test):
    return ["DATASETS.TRAIN", (f"json:{train}",), "DATASETS.TEST", (f"json:{test}",)]


def last_line(done):
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout.strip().splitlines()[-1]


@pytest.mark.parametrize("classes", [CLASSES, CLASSES[:1]], ids=["three classes", "one class"])
def test_training_and_evaluation_without_a_number_of_classes(tmp_path, monkeypatch, classes):
    write_set(tmp_path / "train.json", classes)
    write_set(tmp_path / "test.json", classes, (4, 3, 3))
    monkeypatch.chdir(tmp_path)
    done = run_tool("train_net", *TINY, *sets("train.json", "test.json"), "OUTPUT_DIR", "out")
    assert last_line(done).startswith("frame-mAP@0.5 = ")
    saved = yaml.safe_load(Path("out/config.yaml").read_text())
    assert saved["MODEL"]["ROI_HEADS"]["NUM_CLASSES"] == len(classes)
    checkpoint = read_checkpoint("out/model_final.pth")
    assert checkpoint["tag"]["classes"] == list(classes)
    assert yaml.safe_load(checkpoint["config"])["MODEL"]["ROI_HEADS"]["NUM_CLASSES"] == len(classes)
    assert checkpoint["provenance"]["dataset"] == "json:train.json"
    results = json.loads(Path("out/evaluation/json_test.json/results.json").read_text())
    assert results["provenance"]["frames"] == 10  # all frames are tested, those without a box too
    assert list(Path("out/pictures/json_test.json").iterdir())
    fast = ActionDetector.load("out/model_final.pth", speed="fast")  # so the demo knows the evaluation for its own
    assert results["provenance"]["weights_hash"] == fast.weights_hash

    # the weights alone, a set that was not there before, and the config file in place of the checkpoint's
    write_set(tmp_path / "heldout.json", classes, (3, 3, 3))
    heldout = ["DATASETS.TEST", ("json:heldout.json",)]
    done = run_tool("train_net", "--eval-only", "--weights", "out/model_final.pth", *heldout)
    assert last_line(done).startswith("frame-mAP@0.5 = ") and "json:heldout.json" in done.stdout
    Path("own.yaml").write_text(yaml.safe_dump({"MODEL": {"ROI_HEADS": {"SCORE_THRESH_TEST": 0.0}}}))
    given = ["--config-file", "own.yaml", "--eval-only", "--weights", "out/model_final.pth", *TINY, *heldout]
    assert last_line(run_tool("train_net", *given, "OUTPUT_DIR", "again")) == last_line(done)
    write_set(tmp_path / "fewer.json", classes[::-1][:2], (3, 3))  # some of them, in another order
    done = run_tool("train_net", "--resume", *TINY, *sets("train.json", "fewer.json"), "OUTPUT_DIR", "out",
                    "SOLVER.MAX_ITER", 3)  # fmt: skip
    assert last_line(done).startswith("frame-mAP@0.5 = ") and "Training from iteration 2 to 3" in done.stdout


def test_the_parts_of_one_file(tmp_path, monkeypatch):
    write_set(tmp_path / "all.json", CLASSES[:1], (3,) * 6)
    monkeypatch.chdir(tmp_path)
    done = run_tool("train_net", *TINY, *sets("all.json:fit", "all.json:held"), "SOLVER.MAX_ITER", 1)
    assert last_line(done).startswith("frame-mAP@0.5 = ")
    fit, held = (catalog.load_action_dataset(f"json:all.json:{part}") for part in ("fit", "held"))
    assert [v.name for v in held.videos] == ["all2"] and len(fit.videos) == 5


@pytest.mark.parametrize("opts, message", [
    (["MODEL.ROI_HEADS.NUM_CLASSES", 7], "json:train.json has 3 classes, MODEL.ROI_HEADS.NUM_CLASSES is 7; leave that"),
    (sets("one.json", "train.json"), "json:train.json: the model has no class 'walk away', '3. jump/hop'; it has wave"),
    (sets("empty.json", "train.json"), "json:empty.json: no tubes: nothing to train on"),
    (["DATASETS.TEST", ("train.json",)], "there is no set 'train.json'; did you mean json:train.json?"),
    (sets("absent.json", "train.json"), "json:absent.json: the annotation not found; looked for"),
    (sets("broken.json", "train.json"), "broken.json: not JSON, "),
])  # fmt: skip
def test_what_does_not_fit_is_one_message(tmp_path, monkeypatch, opts, message):
    write_set(tmp_path / "train.json")
    write_set(tmp_path / "one.json", CLASSES[:1])
    (tmp_path / "broken.json").write_text("{")
    content = json.loads((tmp_path / "train.json").read_text())
    (tmp_path / "empty.json").write_text(json.dumps({**content, "annotations": []}))
    monkeypatch.chdir(tmp_path)
    done = run_tool("train_net", *TINY, *sets("train.json", "train.json"), *opts, "OUTPUT_DIR", "out")
    assert done.returncode == 2 and done.stderr.startswith("error: ") and message in done.stderr


def test_names_in_the_catalog(tmp_path, monkeypatch):
    write_set(tmp_path / "sets" / "train.json")
    monkeypatch.setenv("DETECT_DATASETS", str(tmp_path / "sets"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MissingDataError, match="json:absent.json: the annotation not found"):
        catalog.load_action_dataset("json:absent.json")
    dataset = catalog.load_action_dataset("json:train.json")  # in the datasets' folder
    assert dataset.name == "json:train.json" and catalog.load_action_dataset("json:train.json") is dataset
    assert len(DatasetCatalog.get("json:train.json")) == 15  # all frames; training takes those with boxes
    assert MetadataCatalog.get("json:train.json").thing_classes == list(CLASSES)
    write_set(tmp_path / "train.json", ("hop",))  # the working folder comes first
    assert catalog.load_action_dataset("json:train.json").classes == ("hop",)
    assert MetadataCatalog.get("json:train.json").thing_classes == ["hop"]
