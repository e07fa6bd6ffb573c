"""Splits, seeds and chosen checkpoints of the detector; the evidence of the streams; the benchmark of a video."""

import json
from dataclasses import replace

import numpy as np
import pytest

from detect.data.catalog import register_held_out, register_ucf24, set_datasets_root
from detect.data.own_json import write_own_json
from detect.data.records import ActionDataset, Tube, VideoRecord
from detect.evaluation.files.formats import find_table, read_table_files
from detect.evaluation.tables import Detections
from detect.tasks import runs
from detect.tasks.detection_evidence import LATE, gather_stream_evidence
from detect.tasks.splits import split_table, train_splits
from detect.utils.errors import UserError
from detect.video.writer import save_video
from tests.data.tiny_set import draw, entry, tube, write_frames, write_ucf
from tests.running import run_tool
from tests.tiny import OVERRIDES, save_detector

TINY = [
    *OVERRIDES, "MODEL.CONTEXT.NAME", "i2d", "MODEL.ROI_HEADS.NUM_CLASSES", 2, "SOLVER.MAX_ITER", 2,
    "SOLVER.IMS_PER_BATCH", 1, "SOLVER.WARMUP_ITERS", 0, "DATALOADER.NUM_WORKERS", 0, "TEST.PICTURES", 0,
]  # fmt: skip


@pytest.fixture(scope="module")
def toy_splits(tmp_path_factory):
    """Registers toy_split<k>_{train,test,fit,held}: four recordings of two classes to train on, two videos to test."""
    for split in (1, 2, 3):
        root = tmp_path_factory.mktemp(f"split{split}")
        names = [f"{c}/v_{c}_g{g:02d}_c01" for c in ("Left", "Right") for g in range(1, 5)]
        annotations = {}
        for seed, name in enumerate(names):
            annotations[name] = entry(6, tube(seed // 4, 0, [[2 + seed, 3, 12, 14]] * 6))
            write_frames(root / "rgb-images" / name, draw(6, seed + split))
        write_ucf(root, annotations, "train")
        (root / "splitfiles" / "testlist01.txt").write_text(f"{names[0]}\n{names[4]}\n")
        for subset in ("train", "test"):
            register_ucf24(f"toy_split{split}_{subset}", root, subset)
            register_ucf24(f"toy_{subset}", root, subset)  # a set without splits
        register_held_out(f"toy_split{split}", ("Left", "Right"))
    return ["DATASETS.TRAIN", ("toy_split1_train",), "DATASETS.TEST", ("toy_split1_test",)]


@pytest.fixture
def started(monkeypatch):
    """(folder, what is trained or tested) of each run."""
    found, run = [], runs.run

    def noted(task, config_file, opts, weights, resume, eval_only=False):
        settings = dict(zip(opts[::2], opts[1::2], strict=True))
        found.append((settings["OUTPUT_DIR"], settings["DATASETS.TEST" if eval_only else "DATASETS.TRAIN"]))
        return run(task, config_file, opts, weights, resume, eval_only)

    for module in (runs, __import__("detect.tasks.splits", fromlist=["run"])):
        monkeypatch.setattr(module, "run", noted)
    yield found
    set_datasets_root(None)


def test_three_splits_of_the_detector(toy_splits, tmp_path, started):
    opts = [*TINY, *toy_splits, "OUTPUT_DIR", str(tmp_path)]
    found = train_splits("", opts)
    assert started == [(str(tmp_path / f"split{k}"), (f"toy_split{k}_train",)) for k in (1, 2, 3)]
    values = [found["splits"][str(k)]["frame_map"] for k in (1, 2, 3)]
    assert found["frame_map"]["mean"] == pytest.approx(sum(values) / 3) and len(found["frame_map"]["values"]) == 3
    one = found["splits"]["2"]
    assert one["dataset"] == "toy_split2_test" and one["protocol"]["iou_threshold"] == 0.5
    assert one["coverage"] == {"frames_expected": 12, "frames_predicted": 12, "frames_missing": 0}
    assert json.loads((tmp_path / "results.json").read_text())["splits"] == found["splits"]
    table = split_table(found)
    assert table.splitlines()[0].split("|")[2].strip() == "frame-mAP" and table.count("\n") == 5
    assert train_splits("", opts)["frame_map"] == found["frame_map"] and len(started) == 3


def test_seeds_of_splits_and_of_a_set_without_any(toy_splits, tmp_path, started):
    found = train_splits("", [*TINY, *toy_splits, "SOLVER.MAX_ITER", 1, "OUTPUT_DIR", str(tmp_path / "a")], repeat=2)
    assert sorted(found["runs"]) == [f"split{k}_seed{s}" for k in (1, 2, 3) for s in (0, 1)]
    first = found["splits"]["1"]["frame_map"]
    assert first["values"] == [found["runs"][f"split1_seed{s}"]["frame_map"] for s in (0, 1)]
    assert found["frame_map"]["values"][0] == pytest.approx(first["mean"])
    assert "±" in split_table(found).splitlines()[2]
    sets = ["DATASETS.TRAIN", ("toy_train",), "DATASETS.TEST", ("toy_test",)]
    alone = train_splits("", [*TINY, *sets, "SOLVER.MAX_ITER", 1, "OUTPUT_DIR", str(tmp_path / "b")], repeat=2)
    assert sorted(alone["runs"]) == ["seed0", "seed1"] and list(alone["splits"]) == ["all"]
    with pytest.raises(UserError, match="'toy_train' has no splits"):
        train_splits("", [*TINY, *sets, "OUTPUT_DIR", str(tmp_path / "c")])


def test_a_checkpoint_is_chosen_on_videos_held_back_and_tested_once(toy_splits, tmp_path, started):
    opts = [*TINY, *toy_splits, "SOLVER.CHECKPOINT_PERIOD", 1, "OUTPUT_DIR", str(tmp_path)]
    found = train_splits("", opts, choose=True)
    of_the_first = [sets for folder, sets in started if folder.startswith(str(tmp_path / "split1"))]
    # trained without them, each of the two checkpoints judged on them, the better one tested
    assert of_the_first == [("toy_split1_fit",), ("toy_split1_held",), ("toy_split1_held",), ("toy_split1_test",)]
    chosen = json.loads((tmp_path / "split1" / "chosen" / "chosen.json").read_text())
    assert chosen["on"] == ["toy_split1_held"]
    assert sorted(chosen["scores"]) == ["model_0000000.pth", "model_final.pth"]
    assert chosen["scores"][chosen["checkpoint"]] == max(chosen["scores"].values())
    assert found["splits"]["1"]["checkpoint"] == chosen["checkpoint"]
    assert found["splits"]["1"]["dataset"] == "toy_split1_test"
    count = len(started)
    assert train_splits("", opts, choose=True)["frame_map"] == found["frame_map"] and len(started) == count


def test_folds_of_ones_own_set(tmp_path, started):
    videos = []
    for index in range(6):  # of three groups
        file = tmp_path / "videos" / f"v{index}.avi"
        save_video(file, draw(4, index))
        boxes = np.tile(np.float32([2, 3, 20, 20]), (4, 1))
        tube = Tube(index % 2, np.arange(4), boxes)
        videos.append(VideoRecord(f"v{index}", str(file), 4, 24, 32, (tube,), group=f"g{index // 2}"))
    write_own_json(ActionDataset("own", ("wave", "walk"), tuple(videos), ""), tmp_path / "own.json")
    name = f"json:{tmp_path / 'own.json'}"
    opts = [*TINY, "SOLVER.MAX_ITER", 1, "DATASETS.TRAIN", (name,), "TEST.SAVE_PROPOSALS", True]
    found = train_splits("", [*opts, "OUTPUT_DIR", str(tmp_path / "out")], folds=3)
    assert list(found["splits"]) == ["fold1", "fold2", "fold3"] and split_table(found).count("\n") == 5
    assert [sets for _, sets in started] == [(f"{name}:fit{k}of3",) for k in (1, 2, 3)]
    for kind in ("detections", "proposals"):  # each video from the fold that did not train on it
        (table,), names, classes = read_table_files([(find_table(tmp_path / "out", kind), Detections)])
        assert names == [f"v{index}" for index in range(6)] and set(table.video) == set(range(6))
    folder = tmp_path / "out" / "fold2" / "evaluation"
    (one,), names, _ = read_table_files([(find_table(next(folder.iterdir()), "proposals"), Detections)])
    assert names == ["v2", "v3"] and len(one) == int(np.isin(table.video, (2, 3)).sum())
    half = f"json:{tmp_path / 'half.json'}"
    labelled = tuple(replace(video, labelled=np.arange(2)) for video in videos)
    write_own_json(ActionDataset("half", ("wave", "walk"), labelled, ""), tmp_path / "half.json")
    other = train_splits("", [*opts, "OUTPUT_DIR", str(tmp_path / "half")], folds=3, test_set=half)
    assert other["runs"]["fold2"]["dataset"] == f"{half}:held2of3"
    write_own_json(ActionDataset("few", ("wave", "walk"), tuple(videos[:4]), ""), tmp_path / "few.json")
    with pytest.raises(UserError, match="few.json: has other groups of videos than .*, such as g2"):
        train_splits("", opts, folds=2, test_set=f"json:{tmp_path / 'few.json'}")
    with pytest.raises(UserError, match="it has 3 groups of videos, which make 2 to 3"):
        train_splits("", [*opts, "OUTPUT_DIR", str(tmp_path / "more")], folds=4)
    with pytest.raises(UserError, match="folds are of one set of your own, json:FILE"):
        train_splits("", [*opts, "DATASETS.TRAIN", ("synthetic_train",)], folds=2)


def test_the_evidence_of_the_streams_at_toy_size(tmp_path):
    root = tmp_path / "set"
    names = [f"{c}/v_{c}_g{g:02d}_c01" for c in ("Left", "Right") for g in (1, 2)]
    annotations = {}
    for seed, name in enumerate(names):
        annotations[name] = entry(5, tube(seed // 2, 0, [[2, 3, 12, 14]] * 5))
        write_frames(root / "rgb-images" / name, draw(5, seed))
    write_ucf(root, annotations, "train")
    (root / "splitfiles" / "testlist01.txt").write_text("\n".join(names[1:]) + "\n")
    for subset in ("train", "test"):
        register_ucf24(f"evidence_{subset}", root, subset)
    sets = ["DATASETS.TRAIN", ("evidence_train",), "DATASETS.TEST", ("evidence_test",)]
    opts = [*TINY, *sets, "SOLVER.MAX_ITER", 1, "OUTPUT_DIR", str(tmp_path / "out")]
    found = gather_stream_evidence("", opts, ("i2d",), (0,))
    assert list(found["i2d"]) == ["RGB", "flow", "RGB + flow", LATE]
    assert (root / "flow" / names[0] / "flow_x_00004.jpg").exists()
    assert all(0 <= row["mean"] <= 1 for row in found["i2d"].values())
    assert gather_stream_evidence("", opts, ("i2d",), (0,)) == found  # finished runs are read
    assert (tmp_path / "out" / "table.md").read_text().splitlines()[2].startswith("| i2d ")
    set_datasets_root(None)


def test_the_benchmark_of_a_video(tmp_path):
    weights = save_detector(tmp_path / "detector.pth")
    done = run_tool(
        "benchmark", "video", "--weights", weights, "--frames", 20, "--rounds", 1,
        "--setting", "TEST.KEYFRAME_STRIDE 2", "--json", tmp_path / "out.json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "out.json").read_text())["rows"]
    assert list(found) == ["exact", "balanced", "fast", "TEST.KEYFRAME_STRIDE 2"] and found["exact"]["times_exact"] == 1
    for name, row in found.items():
        assert f"| {name}" in done.stdout and row["fps"] > 0 and set(row["ms_a_frame"]) >= {"context trunk", "rest"}
        assert sum(row["ms_a_frame"].values()) == pytest.approx(1000 / row["fps"], rel=0.2)
    wrong = run_tool("benchmark", "video", "--evaluate", "--config-file", "configs/quickstart.yaml")
    assert wrong.returncode == 2 and "--evaluate needs trained weights" in wrong.stderr
