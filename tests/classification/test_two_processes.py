"""Two processes on the same clips learn what one learns, with frozen and with synchronised batch normalisation."""

import json
import os

import cv2
import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from tiny_videos import train, write_set

import backbones
from detect.classification.scores import load_scores
from detect.modeling.sync_batch_norm import sync_batch_norm
from detect.utils.checkpoint_files import read_checkpoint
from detect.utils.comm import free_port, get_rank, get_world_size, wrap_model

OPTIONS = ("MODEL.CLASSIFIER.DROPOUT", 0.0, "SOLVER.ACCUMULATE", 2)  # each process would draw its own dropout
STEPS = {"FrozenBN": 3, "SyncBN": 1}  # rounding grows fast through batch statistics; float64 below holds longer


def train_and_test(video_list, folder) -> None:
    torch.set_num_threads(1)
    for norm, steps in STEPS.items():
        options = (*OPTIONS, "MODEL.CONTEXT.NORM", norm, "SOLVER.MAX_ITER", steps)
        train(video_list, folder / norm, *options, save_scores=True)
    torch.save(double_precision_step(), folder / f"step{get_rank()}.pth")


def process(rank, port, video_list, folder) -> None:
    cv2.setNumThreads(0)  # a fork has none of the threads
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    train_and_test(video_list, folder)
    dist.destroy_process_group()


def double_precision_step() -> dict[str, torch.Tensor]:
    """Gradients and running statistics after a step of S3D-G on this process's share of four clips, in float64."""
    torch.manual_seed(0)
    net = backbones.build("s3dg", num_classes=3, width=0.125, conv_std=0.0, dropout=0.0).double()
    sync_batch_norm(net)
    clips, weights = torch.randn(4, 3, 8, 32, 32).double(), torch.randn(4, 3).double()
    own = slice(get_rank(), None, get_world_size())
    model = wrap_model(net)  # held until the gradients have been averaged
    (model(clips[own]) * weights[own]).mean().backward()
    gradients = {name: value.grad for name, value in net.named_parameters()}
    return {**gradients, **{name: value.clone() for name, value in net.named_buffers()}}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The folders of the runs of one process and of two."""
    root = tmp_path_factory.mktemp("processes")
    videos = write_set(root / "videos", 5)  # an odd number: the processes test unequal shares
    train_and_test(videos, root / "one")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([os.path.dirname(__file__), os.environ.get("PYTHONPATH", "")]))
        # a fork has all modules already, but cannot do what follows CUDA
        method = "spawn" if torch.cuda.is_available() else "fork"
        mp.start_processes(process, (free_port(), videos, root / "two"), nprocs=2, start_method=method)
    return root / "one", root / "two"


def test_synchronised_batch_norm_has_the_gradients_of_one_process(runs):
    one, *others = (torch.load(path) for folder in runs for path in sorted(folder.glob("step*.pth")))
    assert len(others) == 2
    for name, value in one.items():
        for other in others:
            assert torch.allclose(value, other[name], rtol=1e-7, atol=1e-9), name


@pytest.mark.parametrize("norm", STEPS)
def test_training_and_testing_equal_one_process(runs, norm):
    one, two = (folder / norm for folder in runs)
    assert metric(one, "loss_cls") == pytest.approx(metric(two, "loss_cls"), rel=1e-4)
    found = [load_scores(next(folder.glob("evaluation/*/scores.npz"))) for folder in (one, two)]
    assert found[0].names == found[1].names and len(found[0].names) == 5
    if norm == "FrozenBN":
        states = [read_checkpoint(folder / "model_final.pth")["model"] for folder in (one, two)]
        for name, value in states[0].items():
            assert torch.allclose(value.float(), states[1][name].float(), rtol=1e-3, atol=1e-5), name
        assert np.allclose(found[0].scores, found[1].scores, atol=1e-4)


def metric(folder, name: str) -> float:
    lines = map(json.loads, (folder / "metrics.json").read_text().splitlines())
    return [line[name] for line in lines if name in line][-1]
