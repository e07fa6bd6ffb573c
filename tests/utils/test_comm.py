import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import pytest
import torch
from torch.multiprocessing import ProcessExitedException
from torch.utils.data import DataLoader, Dataset

from detect.data.train_stream import worker_options
from detect.engine.trainer import Trainer
from detect.utils import comm
from detect.utils.comm import (
    STOP_SIGNALS,
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
        "skipped": message_of_a_poisoned_run(os.path.join(folder, "skipped"), accumulate=2, skip_not_finite=2),
    }
    with open(os.path.join(folder, f"report{get_rank()}.json"), "w") as file:
        json.dump(report, file)
    barrier()
    split_trainer(os.path.join(folder, "stopped"), Slow(noise=False), max_iter=2000).train()


def message_of_a_poisoned_run(folder: str, **options) -> str:
    """Only the second process gets a target that makes its loss infinite."""
    trainer = split_trainer(folder, ToyModel(noise=False), **options)
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
    os.kill(os.getpid(), signal.SIGUSR1)


def test_two_processes(tmp_path, no_gpu):
    """One launch for all: equal to one process, collectives, a poisoned batch, SIGUSR1 to the starter."""
    threading.Thread(target=terminate_this_process_when, args=(tmp_path / "report1.json",), daemon=True).start()
    with pytest.raises(SystemExit) as left:
        launch(train_and_report, 2, args=(str(tmp_path),))
    assert left.value.code == 128 + signal.SIGUSR1
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

    # batch 2 of 7 is bad, two batches a step: the first of step 1, the second of step 4, the first of step 8
    assert "iteration 8" in first["skipped"] and "after 2 that were skipped" in second["skipped"]
    written = json.loads((tmp_path / "skipped" / "not_finite.json").read_text())["steps"]
    assert [step["iteration"] for step in written] == [1, 4, 8]
    named = {(facts["rank"], facts["image_id"]) for facts in written[1]["samples"]}
    assert named == {(0, "v2#0"), (0, "v2#2"), (1, "v2#1"), (1, "v2#3")}

    saved = torch.load(tmp_path / "stopped" / last_checkpoint(tmp_path / "stopped"), weights_only=True)
    assert saved["schedule"]["last_epoch"] == saved["iteration"] + 1 < 2000 and len(saved["rng"]) == 2


class Ranks:
    """What `_join` sees of two processes; each `join` is interrupted by the next of `signals`."""

    def __init__(self, *signals):
        self.signals = list(signals)
        self.processes = [SimpleNamespace(pid=pid, is_alive=lambda: True) for pid in (7, 8)]

    def join(self):
        if self.signals:
            signal.raise_signal(self.signals.pop(0))
        return not self.signals


def test_signals_are_passed_on(monkeypatch):
    sent = []
    monkeypatch.setattr(comm.os, "kill", lambda pid, number: sent.append((pid, number)))
    for number in STOP_SIGNALS:
        previous = signal.signal(number, signal.SIG_DFL)  # whatever started the tests may ignore it
        try:
            comm._join(Ranks(number, number) if number != signal.SIGINT else Ranks(number))
        finally:
            signal.signal(number, previous)
    assert [pair for pair in sent if pair[0] == 7] == [(7, n) for n in STOP_SIGNALS for _ in range(1 + (n != 2))]
    del sent[:]
    monkeypatch.setattr(comm, "_SAME_CTRL_C", 0)
    with pytest.raises(KeyboardInterrupt):
        comm._join(Ranks(signal.SIGINT, signal.SIGINT, signal.SIGINT))
    assert sent == [(7, signal.SIGINT), (8, signal.SIGINT), (7, signal.SIGKILL), (8, signal.SIGKILL)]


def test_a_killed_process_is_said(capsys):
    killed = ProcessExitedException("", error_index=1, error_pid=8, exit_code=-9)
    ranks = Ranks()
    ranks.join = lambda: (_ for _ in ()).throw(killed)
    with pytest.raises(SystemExit) as left:
        comm._join(ranks)
    assert left.value.code == 137
    assert capsys.readouterr().err == "error: process 1 of 2 here was killed (out of memory?)\n"


class Stuck(Dataset):
    """The second sample takes its loader process for good."""

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return time.sleep(600 * index)


def stay() -> None:
    """A rank that no Ctrl-C ends; the second goes without prctl, as on other systems than Linux."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if get_rank() == 1:
        ctypes.CDLL(None).prctl(1, 0)
        sys.platform = "other"
        comm.end_with_parent()
    batches = iter(
        DataLoader(Stuck(), batch_size=None, num_workers=1, worker_init_fn=worker_options(1)["worker_init_fn"])
    )
    next(batches)
    barrier()
    os.write(1, b"ready\n")  # in one piece: both ranks have the same pipe
    time.sleep(600)


@pytest.mark.skipif(sys.platform != "linux", reason="prctl")
def test_ranks_end_with_a_killed_starter(no_gpu):
    code = "import tests.utils.test_comm as t; t.launch(t.stay, 2)"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    run = subprocess.Popen([sys.executable, "-W", "ignore", "-c", code], env=env, stdout=subprocess.PIPE, text=True)
    assert [run.stdout.readline() for _ in range(2)] == ["ready\n"] * 2
    run.kill()
    run.communicate(timeout=60)  # the pipe ends when the last process that writes to it has


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
