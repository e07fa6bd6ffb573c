"""The switch between Detectron2 and the fallback, and what is exchanged with Detectron2's engine."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from detect import d2
from detect.config import get_cfg
from detect.engine.checkpoint import ActionCheckpointer
from detect.engine.solver import (
    build_lr_scheduler,
    build_optimizer,
    clip_before_step,
    clip_norm,
    lr_multiplier,
    parameter_groups,
)
from detect.engine.trainer import Trainer, TrainerOptions

ROOT = Path(__file__).resolve().parents[1]
needs_detectron2 = pytest.mark.skipif(not d2.HAS_DETECTRON2, reason="Detectron2 is not installed")


def test_only_the_seam_imports_detectron2():
    importers = set()
    for folder in ("detect", "backbones", "tools"):
        for path in (ROOT / folder).rglob("*.py"):
            if re.search(r"^\s*(import|from)\s+detectron2\b", path.read_text(), re.MULTILINE):
                importers.add(path.relative_to(ROOT).as_posix())
    assert "detect/d2.py" in importers and importers <= {"detect/d2.py", "detect/tasks/detectron2_engine.py"}


def import_seam(tmp_path, package: str | None, **environment) -> subprocess.CompletedProcess:
    """Import the seam with `detectron2/__init__.py` holding `package` first on the path."""
    if package is not None:
        (tmp_path / "detectron2").mkdir()
        (tmp_path / "detectron2" / "__init__.py").write_text(package)
    env = {k: v for k, v in os.environ.items() if k != "DETECT_FORCE_FALLBACK"}
    env.update(environment, PYTHONPATH=os.pathsep.join([str(tmp_path), str(ROOT), *sys.path]))
    code = "from detect.d2 import HAS_DETECTRON2, Boxes; print(HAS_DETECTRON2, Boxes.__module__)"
    command = [sys.executable, "-W", "ignore", "-c", code]
    return subprocess.run(command, env=env, capture_output=True, text=True)


@pytest.mark.parametrize("package", ["import a_module_that_is_missing", "raise RuntimeError('broken build')"])
def test_a_broken_detectron2_fails_loudly(tmp_path, package):
    run = import_seam(tmp_path, package)
    assert run.returncode != 0 and re.search("a_module_that_is_missing|broken build", run.stderr)


def test_the_environment_variable_forces_the_fallback(tmp_path):
    run = import_seam(tmp_path, "raise RuntimeError('must not be imported')", DETECT_FORCE_FALLBACK="1")
    assert run.stdout.split() == ["False", "detect._d2_fallback.boxes"], run.stderr


@needs_detectron2
def test_the_schedule_and_the_groups_are_detectron2s():
    from detectron2.solver import build_lr_scheduler as their_schedule
    from detectron2.solver.build import get_default_optimizer_params

    for overrides in (
        ["SOLVER.STEPS", (30, 60), "SOLVER.WARMUP_ITERS", 10],
        ["SOLVER.STEPS", (5,), "SOLVER.WARMUP_ITERS", 10, "SOLVER.WARMUP_METHOD", "constant"],
        ["SOLVER.LR_SCHEDULER_NAME", "WarmupCosineLR", "SOLVER.WARMUP_ITERS", 20, "SOLVER.BASE_LR_END", 1e-5],
    ):
        cfg = get_cfg()
        cfg.merge_from_list(["SOLVER.MAX_ITER", 100, *overrides])
        optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
        schedule, at = their_schedule(cfg, optimizer), lr_multiplier(cfg)
        for iteration in range(100):
            assert optimizer.param_groups[0]["lr"] == pytest.approx(at(iteration), rel=1e-6), iteration
            optimizer.step()
            schedule.step()

    model = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2), nn.Linear(2, 2))
    cfg = get_cfg()
    cfg.merge_from_list(["SOLVER.WEIGHT_DECAY", 0.1, "SOLVER.WEIGHT_DECAY_NORM", 0.2])
    cfg.merge_from_list(["SOLVER.WEIGHT_DECAY_BIAS", 0.3, "SOLVER.BIAS_LR_FACTOR", 2.0])
    theirs = get_default_optimizer_params(model, cfg.SOLVER.BASE_LR, 0.1, 0.2, 2.0, 0.3)
    rates = [{id(p): (g["lr"], g["weight_decay"]) for g in groups for p in g["params"]} for groups in
             (theirs, parameter_groups(cfg, model))]  # fmt: skip
    assert rates[0] == rates[1]


@needs_detectron2
def test_checkpoints_are_exchangeable(tmp_path):
    from detectron2.checkpoint import DetectionCheckpointer

    models = [nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2)) for _ in range(3)]
    ActionCheckpointer(models[0], str(tmp_path), tag={"classes": ["a"]}).save("ours", iteration=3)
    their_checkpointer = DetectionCheckpointer(models[1], str(tmp_path))
    assert their_checkpointer.load(str(tmp_path / "ours.pth"))["iteration"] == 3
    their_checkpointer.save("theirs", iteration=4)
    assert ActionCheckpointer(models[2], str(tmp_path)).resume_or_load("", resume=True)["iteration"] == 4
    for key, value in models[0].state_dict().items():
        assert torch.equal(value, models[2].state_dict()[key])


class SeamModel(nn.Module):
    """A meta-architecture small enough to train here."""

    def __init__(self, cfg):
        super().__init__()
        self.line = nn.Linear(2, 1)

    def forward(self, batch):
        x, y = torch.stack([item["x"] for item in batch]), torch.stack([item["y"] for item in batch])
        return {"loss_line": (self.line(x) - y).square().mean()}


@needs_detectron2
def test_default_trainer_runs_our_config_and_gives_the_same_weights(tmp_path):
    """Optimiser, schedule, clipping and files: twenty steps in Detectron2's trainer and in ours."""
    from detectron2.engine import DefaultTrainer

    cfg = get_cfg()
    cfg.merge_from_list(["MODEL.META_ARCHITECTURE", "SeamModel", "MODEL.DEVICE", "cpu", "SOLVER.MAX_ITER", 20])
    cfg.merge_from_list(["SOLVER.WARMUP_ITERS", 5, "SOLVER.BASE_LR", 0.1, "SOLVER.CLIP_GRADIENTS.CLIP_VALUE", 0.5])
    cfg.merge_from_list(["SOLVER.STEPS", (12,), "OUTPUT_DIR", str(tmp_path), "DATASETS.TEST", ()])
    numbers = torch.Generator().manual_seed(0)
    batches = [
        [{"x": torch.rand(2, generator=numbers), "y": torch.rand(1, generator=numbers)} for _ in range(3)]
        for _ in range(20)
    ]

    class TheirTrainer(DefaultTrainer):
        @classmethod
        def build_train_loader(cls, cfg):
            return batches

        @classmethod
        def build_optimizer(cls, cfg, model):
            optimizer = build_optimizer(cfg, model)
            clip_before_step(optimizer, clip_norm(cfg))
            return optimizer

    registry = d2.META_ARCH_REGISTRY
    if "SeamModel" not in registry:
        registry.register(SeamModel)
    torch.manual_seed(0)
    theirs = TheirTrainer(cfg)
    theirs.train()

    torch.manual_seed(0)
    model = SeamModel(cfg)
    optimizer = build_optimizer(cfg, model)
    checkpointer = ActionCheckpointer(model, str(tmp_path / "ours"))
    schedule = build_lr_scheduler(cfg, optimizer)
    options = TrainerOptions(max_iter=20, clip_norm=clip_norm(cfg))
    Trainer(model, optimizer, schedule, batches, checkpointer, options).train()
    torch.testing.assert_close(model.line.weight, theirs.model.line.weight, rtol=1e-6, atol=0)

    reader = ActionCheckpointer(SeamModel(cfg), str(tmp_path))  # their folder
    assert reader.resume_or_load("", resume=True)["iteration"] == 19
    assert torch.equal(reader.model.line.weight, theirs.model.line.weight)
