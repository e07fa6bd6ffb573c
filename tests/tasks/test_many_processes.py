"""A detector and a classifier in one, two and three gloo processes: the losses of one process, step by step, and each
video evaluated once, whatever the numbers.

Three things differ by nature and are left out: the random choice of anchors and regions, which each process draws for
itself (here all are taken), dropout likewise, and plain batch normalisation, whose statistics are each process's own.
SyncBN has those of all, see tests/classification/test_two_processes.py; here it is frozen.
"""

import functools
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from detect.classification.scores import load_scores
from detect.data import synthetic
from detect.engine import fit
from detect.evaluation.files.formats import find_table, read_detections
from detect.tasks.detection import DETECTION
from detect.tasks.runner import run
from detect.utils.comm import free_port
from tests.classification.tiny_videos import train, write_set
from tests.test_tools import TOY

WORLDS = (1, 2, 3)
VIDEOS = {"five": 5, "one": 1}  # fewer than processes, too
LISTS = {"seven": 7, "two": 2}
TRAINING = ["SOLVER.IMS_PER_BATCH", 6, "SOLVER.MAX_ITER", 3]
ALL_TAKEN = [
    "MODEL.RPN.BATCH_SIZE_PER_IMAGE", 4096, "MODEL.RPN.POSITIVE_FRACTION", 1.0,
    "MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE", 512, "MODEL.ROI_HEADS.POSITIVE_FRACTION", 1.0,
]  # fmt: skip
FROZEN = ["MODEL.RESNETS.NORM", "FrozenBN", "MODEL.CONTEXT.NORM", "FrozenBN"]


def train_and_evaluate(root: Path, output: Path) -> None:
    fit.TrainerOptions = functools.partial(fit.TrainerOptions, write_period=1)
    fit.default_writers = functools.partial(fit.default_writers, window_size=1)
    for name in VIDEOS:
        words = ["DATASETS.ROOT", str(root / name), "OUTPUT_DIR", str(output / name)]
        run(DETECTION, "", [*TOY, *ALL_TAKEN, *FROZEN, *TRAINING, "TEST.KEYFRAME_STRIDE", 4, *words])
    for name in LISTS:
        options = ("MODEL.CLASSIFIER.DROPOUT", 0.0, "MODEL.CONTEXT.NORM", "FrozenBN", *TRAINING)
        train(root / name / "list.txt", output / name, *options, save_scores=True)


def process(rank: int, world: int, port: int, root: Path, output: Path) -> None:
    torch.set_num_threads(1)
    cv2.setNumThreads(0)  # a fork has none of the threads
    if world > 1:
        dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=world)
    train_and_evaluate(root, output)
    if world > 1:
        dist.destroy_process_group()


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """{number of processes: folder of what they wrote}"""
    root = tmp_path_factory.mktemp("processes")
    for name, count in VIDEOS.items():
        synthetic.write_dataset(root / name / "synthetic" / f"v{synthetic.VERSION}", num_train=3, num_test=count)
    for name, count in LISTS.items():
        write_set(root / name, count)
    method = "spawn" if torch.cuda.is_available() else "fork"
    for world in WORLDS:
        mp.start_processes(process, (world, free_port(), root, root / str(world)), nprocs=world, start_method=method)
    return {world: root / str(world) for world in WORLDS}


def losses(folder: Path) -> dict[str, list[float]]:
    rows = list(map(json.loads, (folder / "metrics.json").read_text().splitlines()))
    return {name: [row[name] for row in rows] for name in rows[0] if "loss" in name}


@pytest.mark.parametrize("world", WORLDS[1:])
@pytest.mark.parametrize("name", ["five", "seven"])
def test_the_losses_are_those_of_one_process(runs, world, name):
    one, many = losses(runs[1] / name), losses(runs[world] / name)
    assert one.keys() == many.keys() and len(one) >= 2 and all(len(values) == 3 for values in one.values())
    for key, values in one.items():
        assert many[key] == pytest.approx(values, rel=1e-5, abs=1e-7), key


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("name", VIDEOS)
def test_each_keyframe_is_evaluated_once(runs, world, name):
    """The evaluator refuses a frame that comes twice, and counts those that do not come."""
    folder = runs[world] / name / "evaluation" / "synthetic_test"
    results = json.loads((folder / "results.json").read_text())
    count = 32 * VIDEOS[name]
    assert results["results"]["coverage"] == {
        "frames_expected": count, "frames_predicted": count, "frames_missing": 0
    }  # fmt: skip
    (table,), names = read_detections([find_table(folder, "detections")])
    (first,), _ = read_detections([find_table(runs[1] / name / "evaluation" / "synthetic_test", "detections")])
    assert len(names) == VIDEOS[name] and len(table) > 0
    if name == "five":
        assert abs(len(table) - len(first)) <= 0.02 * len(first)  # rounding puts a score on either side of a threshold


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("name", LISTS)
def test_each_video_is_scored_once(runs, world, name):
    one, many = (load_scores(next((runs[w] / name).glob("evaluation/*/scores.npz"))) for w in (1, world))
    assert many.names == one.names and len(set(one.names)) == LISTS[name]
    np.testing.assert_allclose(many.scores, one.scores, atol=1e-4)
