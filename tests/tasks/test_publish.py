"""Checkpoints to pass on: smaller, and as good."""

import os

import pytest
import torch

from detect.utils.checkpoint_files import CheckpointError, read_checkpoint
from tests.running import run_tool
from tests.tiny import save_detector


def test_weights_and_config_stay_and_the_rest_goes(tmp_path):
    path, output = save_detector(tmp_path / "model.pth"), tmp_path / "published.pth"
    whole = {**read_checkpoint(path), "optimizer": {"state": {0: torch.zeros(100_000)}}, "schedule": {}, "rng": [1]}
    torch.save(whole, path)
    done = run_tool("publish_model", path, output)
    assert done.returncode == 0, done.stderr
    kept = read_checkpoint(output)
    assert set(whole) - set(kept) == {"optimizer", "schedule", "rng"} and kept["config"] == whole["config"]
    assert all(torch.equal(kept["model"][name], value) for name, value in whole["model"].items())
    assert os.path.getsize(output) < os.path.getsize(path) and "sha256" in done.stdout
    evaluated = run_tool("model_info", output)
    assert evaluated.returncode == 0 and "ActionRCNN" in evaluated.stdout


def test_other_files_are_refused(tmp_path):
    torch.save({"model": {"a": torch.zeros(1)}}, tmp_path / "other.pth")
    done = run_tool("publish_model", tmp_path / "other.pth", tmp_path / "out.pth")
    assert done.returncode == 2 and "other.pth: has no config" in done.stderr and not (tmp_path / "out.pth").exists()
    from detect.tasks.publish import publish

    with pytest.raises(CheckpointError, match="no such checkpoint file"):
        publish(str(tmp_path / "nope.pth"), str(tmp_path / "out.pth"))
