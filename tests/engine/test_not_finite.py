"""Losses and gradients that are not finite: the step is not taken, the samples are named, a few steps are skipped."""

import json
import sys

import pytest
import torch

from detect.engine.writers import JsonWriter
from tests.engine.engine_toy import ToyModel, toy_trainer


class Broken(ToyModel):
    """Gives a loss that is not a number for one sample, or an infinite gradient."""

    def __init__(self, kind):
        super().__init__(noise=False)
        self.kind = kind

    def forward(self, batch):
        losses = super().forward(batch)
        if any(item["video"] == "v3" for item in batch):
            if self.kind == "loss":
                losses["loss_bad"] = self.out.bias.sum() * float("nan")
            else:
                losses["loss_bad"] = (self.out.bias.sum() * 0.0).sqrt()  # 0 with an infinite derivative
        return losses


@pytest.mark.parametrize("kind, value", [("loss", "loss_bad = nan"), ("gradient", "gradient norm = ")])
def test_not_finite_stops_before_the_step_and_names_the_batch(tmp_path, kind, value):
    model = Broken(kind)
    trainer = toy_trainer(tmp_path, model=model)
    with pytest.raises(FloatingPointError) as error:
        trainer.train()
    text = str(error.value)
    assert "iteration 3" in text and value in text
    assert "v3 frame 0, v3 frame 1, v3 frame 2, v3 frame 3" in text and "v2" not in text
    assert all(torch.isfinite(p).all() for p in model.parameters())


@pytest.mark.parametrize("kind", ["loss", "gradient"])
def test_stop_names_the_last_good_checkpoint_and_writes_the_batch_down(tmp_path, kind):
    """Saved after every step: the last one saved is that before the bad one, and it is whole and finite."""
    trainer = toy_trainer(tmp_path, model=Broken(kind), checkpoint_period=1, seed=5, clip_norm=None)
    with pytest.raises(FloatingPointError, match=rf"The last good checkpoint is {tmp_path}/model_0000002.pth;"):
        trainer.train()
    assert (tmp_path / "last_checkpoint").read_text() == "model_0000002.pth"
    assert sorted(path.name for path in tmp_path.glob("*.pth")) == [f"model_000000{i}.pth" for i in range(3)]
    state = torch.load(tmp_path / "model_0000002.pth", weights_only=True)
    assert state["iteration"] == 2 and all(torch.isfinite(value).all() for value in state["model"].values())
    written = json.loads((tmp_path / "not_finite.json").read_text())
    (step,) = written["steps"]
    assert written["seed"] == 5 and (step["iteration"], step["skipped"]) == (3, False)
    assert step["samples"] == [{"rank": 0, "video": "v3", "frame_index": k, "image_id": f"v3#{k}"} for k in range(4)]


def test_a_resumed_run_comes_to_the_same_batch_again(tmp_path, monkeypatch):
    """Saved after iterations 1 and 3 the bad one, 3, is reached again from 1, with the same samples and numbers."""
    monkeypatch.setattr(sys, "argv", ["tools/train_net.py", "--config-file", "c.yaml"])
    found = []
    for resume in (False, True):
        with pytest.raises(FloatingPointError):
            toy_trainer(tmp_path, model=Broken("loss"), checkpoint_period=2, seed=5, resume=resume).train()
        found.append(json.loads((tmp_path / "not_finite.json").read_text()))
    assert found[0]["replay"] == "tools/train_net.py --resume --config-file c.yaml"
    assert found[0]["steps"] == found[1]["steps"] and found[0]["steps"][0]["iteration"] == 3


def test_before_the_first_checkpoint_there_is_none_to_name(tmp_path):
    with pytest.raises(FloatingPointError, match="last good checkpoint is none yet"):
        toy_trainer(tmp_path, model=Broken("loss")).train()


class Infinite(ToyModel):
    """Gets infinite input for one video, which spoils what batch norm remembers."""

    def forward(self, batch):
        if batch[0]["video"] == "v3":
            batch = [{**item, "x": item["x"] * float("inf")} for item in batch]
        return super().forward(batch)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_some_steps_are_skipped(tmp_path, caplog, accumulate):
    """v3 of 7 comes at iterations 3 and 10 or, two batches a step, as batches 3, 10, 17, first or second of 1, 5, 8."""
    bad = [3, 10] if accumulate == 1 else [1, 5, 8]
    writers = [JsonWriter(tmp_path / "metrics.json")]
    options = {"accumulate": accumulate, "writers": writers, "write_period": 1}
    trainer = toy_trainer(tmp_path, model=Infinite(), skip_not_finite=3, **options)
    steps = []
    trainer.optimizer.register_step_post_hook(lambda *_: steps.append(trainer.iteration))
    trainer.train()
    assert steps == [i for i in range(12) if i not in bad]
    final = torch.load(tmp_path / "model_final.pth", weights_only=True)
    assert final["iteration"] == 11 and final["schedule"]["last_epoch"] == 12
    assert all(torch.isfinite(value).all() for value in final["model"].values())
    assert final["model"]["net.1.num_batches_tracked"] == accumulate * len(steps)  # the skipped left no trace
    assert "v3 frame 3. This step is skipped (2 of at most 3)" in caplog.text and "v2 frame" not in caplog.text
    written = json.loads((tmp_path / "not_finite.json").read_text())["steps"]
    assert [step["iteration"] for step in written] == bad and all(step["skipped"] for step in written)
    lines = [json.loads(line) for line in (tmp_path / "metrics.json").read_text().splitlines()]
    assert lines[bad[0]]["not_finite_steps"] == 1 and "total_loss" not in lines[bad[0]] and len(lines) == 12


def test_one_more_than_may_be_skipped_stops(tmp_path):
    with pytest.raises(FloatingPointError, match=r"iteration 10: .* after 1 that were skipped\. .*model_0000009.pth"):
        toy_trainer(tmp_path, model=Infinite(), skip_not_finite=1).train()
    assert (tmp_path / "last_checkpoint").read_text() == "model_0000009.pth"
