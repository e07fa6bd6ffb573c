import errno
import json
import os
import random

import numpy as np
import pytest
import torch
from torch import nn

from detect.engine.trainer import endless, flatten
from detect.engine.writers import JsonWriter
from detect.utils.errors import UserError
from detect.utils.files import UnusableFileError
from tests.engine.engine_toy import ToyModel, toy_batches, toy_cfg, toy_trainer


def final_weights(folder):
    return torch.load(folder / "model_final.pth", weights_only=True)


def assert_same_tree(a, b, path=""):
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b), path
    elif isinstance(a, dict):
        assert a.keys() == b.keys(), path
        for key in a:
            assert_same_tree(a[key], b[key], f"{path}/{key}")
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b), path
        for k, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_same_tree(x, y, f"{path}/{k}")
    else:
        assert a == b, path


class Stream(torch.utils.data.Dataset):
    """Batches by position from `start`, for a DataLoader, which itself draws a seed."""

    def __init__(self, start):
        self.start = start

    def __len__(self):
        return 100

    def __getitem__(self, position):
        return toy_batches()[(self.start + position) % 7]

    @staticmethod
    def loader(start):
        return torch.utils.data.DataLoader(Stream(start), batch_size=None)


def noisy_evaluation():
    torch.rand(3), np.random.rand(), random.random()
    return {"a": 1.0}


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_resumed_run_is_bit_equal_to_an_uninterrupted_one(tmp_path, optimizer):
    cfg, options = toy_cfg(optimizer), {"evaluate": noisy_evaluation, "eval_period": 5}
    toy_trainer(tmp_path / "whole", cfg, batches=Stream.loader(0), **options).train()
    toy_trainer(tmp_path / "parts", cfg, batches=Stream.loader(0), max_iter=7, **options).train()
    os.remove(tmp_path / "parts" / "model_final.pth")
    (tmp_path / "parts" / "last_checkpoint").write_text("model_0000004.pth")  # as if killed at iteration 6
    resumed = toy_trainer(tmp_path / "parts", cfg, seed=99, resume=True, batches=Stream.loader(5), **options)
    assert resumed.options.start_iter == 5
    resumed.train()
    # model, optimiser, schedule, random generators, iteration: the whole file
    assert_same_tree(final_weights(tmp_path / "whole"), final_weights(tmp_path / "parts"))


def test_one_sgd_step_by_hand(tmp_path):
    """loss (w - 3)^2 at w = 1: gradient -4, clipped to norm 1; rate 0.05 x warm-up 0.001 at iteration 0."""

    class Quadratic(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.tensor(1.0))

        def forward(self, batch):
            return {"loss": (self.w - 3).square()}

    cfg = toy_cfg()
    cfg.SOLVER.WEIGHT_DECAY, cfg.SOLVER.WARMUP_FACTOR = 0.0, 0.5
    model = Quadratic()
    toy_trainer(tmp_path, cfg, model=model, max_iter=1).train()
    assert model.w.item() == pytest.approx(1 + 0.05 * 0.5 * 1.0)
    model = Quadratic()
    toy_trainer(tmp_path, cfg, model=model, max_iter=1, clip_norm=None).train()
    assert model.w.item() == pytest.approx(1 + 0.05 * 0.5 * 4.0)


def test_accumulation_equals_the_large_batch(tmp_path):
    large = toy_batches(size=8)
    small = [half for batch in large for half in (batch[:4], batch[4:])]
    one, two = ToyModel(noise=False), ToyModel(noise=False)
    two.load_state_dict(one.state_dict())
    toy_trainer(tmp_path / "one", model=one, batches=large).train()
    toy_trainer(tmp_path / "two", model=two, batches=small, accumulate=2).train()
    for name, value in one.state_dict().items():
        torch.testing.assert_close(two.state_dict()[name], value, rtol=1e-5, atol=1e-6)


def test_files_and_metrics(tmp_path):
    results = iter([{"action": {"AP50": 10.0, "note": "x"}}, {"action": {"AP50": 20.0, "note": "y"}}])
    trainer = toy_trainer(
        tmp_path, writers=[JsonWriter(tmp_path / "metrics.json")], write_period=4, eval_period=6,
        evaluate=lambda: next(results), clip_norm=None,
    )  # fmt: skip
    assert trainer.train() == {"action": {"AP50": 20.0, "note": "y"}}
    # every 5th, before the evaluation after the 6th, and the last
    names = {"model_0000004.pth", "model_0000005.pth", "model_0000009.pth", "model_final.pth"}
    assert {p.name for p in tmp_path.glob("*.pth")} == names
    lines = [json.loads(line) for line in (tmp_path / "metrics.json").read_text().splitlines()]
    assert [line["iteration"] for line in lines] == [3, 5, 7, 11]
    assert {"total_loss", "loss_fit", "loss_small", "lr", "time", "data_time", "toy/error"} <= lines[0].keys()
    assert [line.get("action/AP50") for line in lines] == [None, 10.0, None, 20.0]
    # learning rate 0.05: warm-up 0.001 -> 1 over 4 steps (0.001 * 1/4 + 3/4 at 3), whole, tenth after step 8
    assert [line["lr"] for line in lines] == pytest.approx([0.05 * 0.75025, 0.05, 0.05, 0.005])


def test_resume_after_the_end_only_evaluates(tmp_path):
    toy_trainer(tmp_path).train()
    again = toy_trainer(tmp_path, resume=True, evaluate=lambda: {"a": 1.0})
    before = {k: v.clone() for k, v in again.model.state_dict().items()}
    assert again.options.start_iter == 12 and again.train() == {"a": 1.0}
    assert_same_tree(before, dict(again.model.state_dict()))


def test_full_disk_ends_the_run_and_keeps_the_last_checkpoint(tmp_path, monkeypatch):
    """Each save syncs two files, the checkpoint and the note that names it."""
    synced = []

    def fsync(file):
        synced.append(file)
        if len(synced) > 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(
        UnusableFileError, match=r"model_0000009.pth: cannot be written: No space left .*\(about [\d,]+ b"
    ):
        toy_trainer(tmp_path).train()
    assert sorted(os.listdir(tmp_path)) == ["last_checkpoint", "model_0000004.pth"]
    assert toy_trainer(tmp_path, resume=True).options.start_iter == 5


def test_a_loader_process_killed_during_a_step_is_one_line(tmp_path):
    """torch raises it wherever the main thread is."""

    class Interrupted(ToyModel):
        def forward(self, batch):
            raise RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. ")

    with pytest.raises(UserError, match=r"\(pid 7\) is killed by signal: Killed\. .*DATALOADER.NUM_WORKERS"):
        toy_trainer(tmp_path, model=Interrupted()).train()


def test_bfloat16_autocast_or_a_clear_refusal(tmp_path):
    model = ToyModel(noise=False)
    seen = []
    model.out.register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    toy_trainer(tmp_path, model=model, max_iter=1, amp_dtype=torch.bfloat16).train()
    assert seen == [torch.bfloat16] and model.out.weight.dtype == torch.float32
    with pytest.raises(ValueError, match="torch.float16; it must be"):
        toy_trainer(tmp_path, amp_dtype=torch.float16)


def test_empty_data_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="no batches"):
        toy_trainer(tmp_path, batches=[]).train()


def test_evaluation_puts_the_model_back_into_training(tmp_path):
    trainer = toy_trainer(tmp_path, max_iter=2, eval_period=1)
    modes = []
    trainer.evaluate = lambda: modes.append(trainer.model.training) or trainer.model.eval() and {}
    trainer.train()
    assert modes == [True, True] and trainer.model.training


def test_helpers():
    stream = endless([[1], [2]])
    assert [next(stream) for _ in range(5)] == [[1], [2], [1], [2], [1]]
    assert flatten({"a": {"b": 1, "c": {"d": 2.5}}, "e": "text", "f": True, "g": float("nan")}) == {
        "a/b": 1.0,
        "a/c/d": 2.5,
    }
