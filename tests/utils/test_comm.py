import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
import torch

from detect.engine.trainer import Trainer
from detect.utils.comm import (
    all_gather_object,
    barrier,
    free_port,
    get_rank,
    get_world_size,
    launch,
    reduce_mean,
    wrap_model,
)
from tests.engine.engine_toy import ToyModel, toy_batches, toy_trainer


def split_trainer(folder, model, **options) -> Trainer:
    """Each rank takes every second item of the batches that one process takes whole."""
    batches = toy_batches(size=4, start=get_rank(), step=get_world_size())
    return toy_trainer(folder, model=wrap_model(model), batches=batches, **options)


class Slow(ToyModel):
    def forward(self, batch):
        time.sleep(0.05)
        return super().forward(batch)


def train_and_report(folder: str) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = ToyModel(noise=False)
    split_trainer(os.path.join(folder, "run"), model, accumulate=2, max_iter=6).train()
    report = {
        "ranks": all_gather_object(get_rank()),
        "mean": reduce_mean({"a": float(get_rank()), "b": 2.0}),
        "rng": len(torch.load(os.path.join(folder, "run", "model_final.pth"), weights_only=True)["rng"]),
        "weights": all_gather_object([p.tolist() for p in model.parameters()]),
        "poisoned": message_of_a_poisoned_run(os.path.join(folder, "poisoned")),
    }
    with open(os.path.join(folder, f"report{get_rank()}.json"), "w") as file:
        json.dump(report, file)
    barrier()
    split_trainer(os.path.join(folder, "stopped"), Slow(noise=False), max_iter=2000).train()


def message_of_a_poisoned_run(folder: str) -> str:
    """Only the second process gets a target that makes its loss infinite."""
    trainer = split_trainer(folder, ToyModel(noise=False))
    if get_rank() == 1:
        trainer.data_iterable[2][0]["y"] = torch.tensor(float("inf"))
    try:
        trainer.train()
    except FloatingPointError as error:
        return str(error)
    return "no error"


def terminate_this_process_when(exists) -> None:
    while not exists.exists():
        time.sleep(0.02)
    time.sleep(0.3)
    os.kill(os.getpid(), signal.SIGTERM)


def test_two_processes(tmp_path, no_gpu):
    """One launch for all: equal to one process, collectives, a poisoned batch, SIGTERM to the starter."""
    threading.Thread(target=terminate_this_process_when, args=(tmp_path / "report1.json",), daemon=True).start()
    with pytest.raises(SystemExit) as left:
        launch(train_and_report, 2, args=(str(tmp_path),))
    assert left.value.code == 143
    first, second = [json.loads((tmp_path / f"report{rank}.json").read_text()) for rank in range(2)]

    assert first["ranks"] == [0, 1] and first["mean"] == second["mean"] == {"a": 0.5, "b": 2.0}
    ours, theirs = first["weights"]
    assert ours == theirs and first["rng"] == 2
    torch.manual_seed(0)
    alone = ToyModel(noise=False)
    split_trainer(tmp_path / "alone", alone, accumulate=2, max_iter=6).train()
    for together, parameter in zip(ours, alone.parameters(), strict=True):
        torch.testing.assert_close(torch.tensor(together), parameter.detach(), rtol=1e-5, atol=1e-6)
    assert toy_trainer(tmp_path / "run", model=ToyModel(noise=False), resume=True).options.start_iter == 6

    assert "iteration 2" in first["poisoned"] and "in another process" in first["poisoned"]
    assert "iteration 2" in second["poisoned"] and "v2 frame 1, v2 frame 3" in second["poisoned"]

    saved = torch.load(tmp_path / "stopped" / last_checkpoint(tmp_path / "stopped"), weights_only=True)
    assert saved["schedule"]["last_epoch"] == saved["iteration"] + 1 < 2000 and len(saved["rng"]) == 2


def last_checkpoint(folder) -> str:
    return (folder / "last_checkpoint").read_text()


def test_alone():
    assert (get_rank(), get_world_size()) == (0, 1)
    assert all_gather_object("x") == ["x"] and reduce_mean({"a": 3.0}) == {"a": 3.0}
    model = ToyModel()
    assert wrap_model(model) is model
    assert launch(lambda a, b: a + b, args=(1, 2)) == 3
    with pytest.raises(ValueError, match="--dist-url must name machine 0"):
        launch(print, 1, num_machines=2)


def ranks_and_mean() -> tuple:
    return all_gather_object(get_rank()), reduce_mean({"a": float(get_rank())})["a"]


def test_under_torchrun():
    """torchrun starts the processes and gives each these variables; --num-gpus then does not count."""
    path = os.pathsep.join([os.path.dirname(__file__), *sys.path])
    code = "import test_comm as t; print(t.launch(t.ranks_and_mean, 1))"
    shared = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(free_port()),
        "WORLD_SIZE": "2",
        "PYTHONPATH": path,
    }
    runs = []
    for rank in "01":
        env = {**os.environ, **shared, "RANK": rank, "LOCAL_RANK": rank, "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-W", "ignore", "-c", code]
        runs.append(subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True))
    assert [run.communicate(timeout=60)[0] for run in runs] == ["([0, 1], 0.5)\n"] * 2
