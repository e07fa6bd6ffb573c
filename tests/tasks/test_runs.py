"""Protocols of several runs: three splits, and the evidence on the synthetic set."""

import json

import pytest

from detect.classification import synthetic
from detect.data.catalog import set_datasets_root
from detect.tasks import runs
from detect.tasks.evidence import COLUMNS, evidence_table, gather_evidence
from detect.tasks.runs import mean_and_spread, percent
from detect.tasks.splits import of_split, split_table, train_splits

CONFIG = "configs/synthetic_cls.yaml"
TINY = [
    "MODEL.DEVICE", "cpu", "MODEL.CONTEXT.WIDTH", 0.125, "MODEL.CONTEXT.NAME", "i2d", "INPUT.RESIZE", (32, 32),
    "INPUT.SIZE", (32, 32), "INPUT.NUM_FRAMES", 5, "SOLVER.MAX_ITER", 1, "SOLVER.IMS_PER_BATCH", 2,
]  # fmt: skip


@pytest.fixture(scope="module")
def lists(tmp_path_factory):
    """Lists of three splits, split<k>_train.txt and split<k>_test.txt."""
    folder = tmp_path_factory.mktemp("lists") / "set"
    synthetic.write_videos(folder, num_train=6, num_test=6)
    for k in (1, 2, 3):
        for subset in ("train", "test"):
            (folder / f"split{k}_{subset}.txt").write_text((folder / f"{subset}.txt").read_text())
    return folder


@pytest.fixture
def trained(monkeypatch):
    """The folders in which a training was started."""
    folders, run = [], runs.run

    def noted(task, config_file, opts, *rest):
        folders.append(opts[-1])
        return run(task, config_file, opts, *rest)

    monkeypatch.setattr(runs, "run", noted)
    yield folders
    set_datasets_root(None)


def sets(lists, train, test):
    return ["DATASETS.TRAIN", (f"list:{lists}/{train}.txt",), "DATASETS.TEST", (f"list:{lists}/{test}.txt",)]


def test_three_splits_are_trained_once_each(lists, tmp_path, trained):
    opts = [*TINY, *sets(lists, "split1_train", "split1_test"), "OUTPUT_DIR", str(tmp_path)]
    found = train_splits(CONFIG, opts)
    assert trained == [str(tmp_path / f"split{k}") for k in (1, 2, 3)]
    for k in (1, 2, 3):
        assert found["splits"][str(k)]["dataset"].endswith(f"split{k}_test.txt")
        assert (tmp_path / f"split{k}" / "model_final.pth").exists()
    values = [found["splits"][str(k)]["top1"] for k in (1, 2, 3)]
    assert found["top1"]["values"] == values and found["top1"]["mean"] == pytest.approx(sum(values) / 3)
    assert json.loads((tmp_path / "results.json").read_text())["splits"] == found["splits"]
    assert split_table(found).count("\n") == 5  # header, rule, three splits, mean
    assert train_splits(CONFIG, opts)["top1"] == found["top1"] and len(trained) == 3
    with pytest.raises(ValueError, match="split1/run.json is of a run with another config"):
        train_splits(CONFIG, [*opts, "SOLVER.MAX_ITER", 2])


def test_a_run_that_was_stopped_is_started_again_alone(lists, tmp_path, trained):
    opts = [*TINY, *sets(lists, "split1_train", "split1_test"), "OUTPUT_DIR", str(tmp_path)]
    train_splits(CONFIG, opts)
    (tmp_path / "split2" / "run.json").unlink()  # written last
    train_splits(CONFIG, opts)
    assert trained[3:] == [str(tmp_path / "split2")]


def test_the_set_of_another_split():
    assert of_split("hmdb51_split1_test", 3) == "hmdb51_split3_test"
    with pytest.raises(ValueError, match="'kinetics400_train' has no splits"):
        of_split("kinetics400_train", 2)


def test_mean_and_spread_by_hand():
    """Of 0.1, 0.2, 0.6: mean 0.3, squared distances 0.04 + 0.01 + 0.09 = 0.14, halved and rooted 0.2646."""
    summary = mean_and_spread([0.1, 0.2, 0.6])
    assert percent(summary) == "30.0 ± 26.5" and summary["values"] == [0.1, 0.2, 0.6]
    assert percent(mean_and_spread([0.5])) == "50.0"


def test_evidence_at_toy_size(lists, tmp_path, trained):
    opts = [*TINY, *sets(lists, "train", "test"), "OUTPUT_DIR", str(tmp_path)]
    found = gather_evidence(CONFIG, opts, ("i2d", "fast_s3d"), (0, 1))
    assert trained == [str(tmp_path / name) for name in ("i2d_seed0", "fast_s3d_seed0", "i2d_seed1", "fast_s3d_seed1")]
    assert list(found["i2d"]) == list(COLUMNS) and len(found["i2d"]["top-1"]["values"]) == 2
    assert found["i2d"]["same answer in both orders"]["mean"] == 1.0  # five frames: blind, as with 13
    table = evidence_table(found)
    assert (tmp_path / "table.md").read_text() == table + "\n" and table.splitlines()[2].startswith("| i2d ")
    assert json.loads((tmp_path / "results.json").read_text())["networks"]["i2d"] == found["i2d"]
    assert gather_evidence(CONFIG, opts, ("i2d",), (0,))["i2d"]["top-1"]["values"] == [
        found["i2d"]["top-1"]["values"][0]
    ]
    assert len(trained) == 4


def test_a_test_without_truths_does_not_count():
    assert mean_and_spread([0.5, None, 0.7])["mean"] == pytest.approx(0.6)
    assert mean_and_spread([None, None]) == {"mean": None, "std": None, "values": [None, None]}
    assert percent(mean_and_spread([None])) == "-" and percent(mean_and_spread([0.25])) == "25.0"
    table = split_table({"splits": {"fold1": {"frame_map": None}, "fold2": {"frame_map": 0.5}},
                         "frame_map": mean_and_spread([None, 0.5])})  # fmt: skip
    assert [line.split("|")[2].strip() for line in table.splitlines()[2:]] == ["-", "50.0", "50.0"]
