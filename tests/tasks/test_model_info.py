"""What model_info says of checkpoints, ours and foreign."""

import json

import numpy as np
import pytest
import torch
import torchvision

import backbones
from detect.tasks.model_info import model_info
from detect.utils.checkpoint_files import read_checkpoint
from detect.utils.files import hash_files
from tests.running import run_tool
from tests.tiny import save_detector


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    return save_detector(tmp_path_factory.mktemp("info") / "model_final.pth")


def test_a_complete_detector(detector, tmp_path):
    done = run_tool("model_info", detector, "--json", tmp_path / "facts.json")
    assert done.returncode == 0, done.stderr
    facts = json.loads((tmp_path / "facts.json").read_text())
    assert facts["kind"] == "ActionRCNN of this project" and facts["classes"] == ["a", "b", "c"]
    assert facts["sha256"] == hash_files(detector) and facts["bytes"] == detector.stat().st_size
    state = read_checkpoint(detector)["model"]
    assert (facts["arrays"], facts["numbers"]) == (len(state), sum(value.numel() for value in state.values()))
    assert facts["config"]["MODEL.CONTEXT.WIDTH"] == 0.125 and "SOLVER.BASE_LR" not in facts["config"]
    assert facts["preprocessing"]["context"]["mean"] == [127.5] * 3
    assert "classes: 3: a, b, c" in done.stdout and f"sha256: {facts['sha256']}" in done.stdout


def test_a_classifier_and_older_files(detector, tmp_path):
    net = backbones.build("s3dg", width=0.25, num_classes=5, stem_kernel=3)
    torch.save({**backbones.network_state(net), "iteration": 9, "optimizer": {}}, tmp_path / "net.pth")
    facts = model_info(str(tmp_path / "net.pth"))
    assert facts["kind"] == "a network of this project" and facts["iterations done"] == 10
    assert facts["network"] == {
        "name": "s3dg", "num_classes": 5, "in_channels": 3, "width": 0.25, "dropout": 0.2, "fields": {"stem_kernel": 3}
    }  # fmt: skip
    assert facts["also holds"] == ["optimizer"] and facts["preprocessing"]["channel_order"] == "RGB"
    torch.save(net.state_dict(), tmp_path / "plain.pth")
    assert model_info(str(tmp_path / "plain.pth"))["kind"].startswith("a state dict of this project's networks")
    data = read_checkpoint(detector)
    torch.save({"model": data["model"], "tag": data["tag"]}, tmp_path / "old.pth")
    assert model_info(str(tmp_path / "old.pth"))["kind"] == "ActionRCNN of this project, without its config (0.1)"
    torch.save(data["model"], tmp_path / "bare.pth")
    assert model_info(str(tmp_path / "bare.pth"))["kind"] == "a state dict of this project's detector, without more"


def test_foreign_files(tmp_path):
    torch.save(torchvision.models.video.s3d(num_classes=7).state_dict(), tmp_path / "s3d.pth")
    assert model_info(str(tmp_path / "s3d.pth"))["kind"] == "weights of torchvision: torchvision_s3d, 7 classes"
    torch.save(torchvision.models.resnet18().state_dict(), tmp_path / "r18.pth")
    assert model_info(str(tmp_path / "r18.pth"))["kind"] == "a ResNet as torchvision names it"
    np.savez(tmp_path / "x.npz", stranger=np.ones(3))
    facts = model_info(str(tmp_path / "x.npz"))
    assert facts["kind"].startswith("unknown: no ResNet") and facts["numbers"] == 3
    done = run_tool("model_info", tmp_path / "absent.pth")
    assert done.returncode == 2 and "absent.pth: no such checkpoint" in done.stderr
