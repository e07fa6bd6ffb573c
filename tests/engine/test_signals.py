"""Signals that stop a training: it finishes the step, saves and leaves."""

import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from detect.utils import comm
from tests.engine.engine_toy import ToyModel, toy_trainer


class Signalled(ToyModel):
    """Gets signals in its third step."""

    def __init__(self, *signals):
        super().__init__()
        self.signals, self.steps = signals, 0

    def forward(self, batch):
        self.steps += 1
        for number in self.signals if self.steps == 3 else ():
            signal.raise_signal(number)
        return super().forward(batch)


@pytest.fixture
def default_signals():
    """Whatever started the tests may ignore some."""
    before = {number: signal.getsignal(number) for number in (*comm.STOP_SIGNALS, signal.SIGCHLD)}
    for number in before:
        signal.signal(number, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", comm.STOP_SIGNALS, ids=lambda number: number.name)
def test_stop_signals_finish_the_step_save_and_leave(tmp_path, caplog, default_signals, number):
    with caplog.at_level("INFO"), pytest.raises(SystemExit) as left:
        toy_trainer(tmp_path, model=Signalled(number, number)).train()  # twice at once is the same Ctrl-C
    assert left.value.code == 128 + number and f"Stopped by {number.name} after iteration 2" in caplog.text
    assert (tmp_path / "last_checkpoint").read_text() == "model_0000002.pth"
    assert toy_trainer(tmp_path, resume=True).options.start_iter == 3
    assert signal.getsignal(number) == signal.SIG_DFL


def test_second_interrupt_stops_at_once(tmp_path, monkeypatch, default_signals):
    monkeypatch.setattr(comm, "_SAME_CTRL_C", 0)
    with pytest.raises(KeyboardInterrupt):
        toy_trainer(tmp_path, model=Signalled(signal.SIGINT, signal.SIGINT)).train()
    assert not list(tmp_path.glob("*.pth"))


def test_ignored_signals_stay_ignored(tmp_path, default_signals):
    """nohup ignores SIGHUP, and a shell script SIGINT in what it starts in the background."""
    for number in (signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    toy_trainer(tmp_path, model=Signalled(signal.SIGHUP, signal.SIGINT)).train()
    assert (tmp_path / "model_final.pth").exists()


STOPPED_RUN = """
import sys, time
import torch
from torch.utils.data import DataLoader
from tests.engine.engine_toy import ToyModel, toy_batches, toy_trainer

torch.set_num_threads(1)

class Slow(ToyModel):
    def forward(self, batch):
        print("step", flush=True)
        time.sleep(0.05)
        return super().forward(batch)

batches = DataLoader(toy_batches(2000), batch_size=None, num_workers=1)
def evaluate():
    print("evaluating", flush=True)
    time.sleep(60)
options = dict(eval_period=3, evaluate=evaluate) if sys.argv[2] == "evaluation" else {}
options.update(max_iter=2000, checkpoint_period=1000)
toy_trainer(sys.argv[1], model=Slow(), batches=batches, **options).train()
"""


@pytest.mark.parametrize("how, number", [("training", signal.SIGTERM), ("evaluation", signal.SIGUSR1)])
def test_a_signal_to_the_group_saves_and_exits(tmp_path, how, number):
    """The whole process group gets the signal, loader processes included, as from a cluster's scheduler."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([os.path.dirname(__file__), *sys.path])}
    command = [sys.executable, "-W", "ignore", "-c", STOPPED_RUN, str(tmp_path), how]
    run = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True, start_new_session=True)
    for _ in range(3):
        assert run.stdout.readline() == "step\n"
    if how == "evaluation":
        assert run.stdout.readline() == "evaluating\n"
    time.sleep(0.02)  # into the step
    os.killpg(run.pid, number)
    output, _ = run.communicate(timeout=30)
    assert run.returncode == 128 + number
    last = (tmp_path / "last_checkpoint").read_text()
    saved = torch.load(tmp_path / last, weights_only=True)
    steps = 3 + output.count("step\n")
    assert saved["iteration"] == steps - 1 and last == f"model_{steps - 1:07d}.pth"
    assert saved["schedule"]["last_epoch"] == steps  # the step was finished, its schedule too
