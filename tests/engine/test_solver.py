import math

import pytest
import torch
from torch import nn

from detect.config import get_cfg
from detect.engine.solver import (
    build_lr_scheduler,
    build_optimizer,
    clip_before_step,
    clip_gradients,
    clip_norm,
    lr_multiplier,
    parameter_groups,
    scale_learning_rate,
)


def cfg_with(**solver):
    cfg = get_cfg()
    for key, value in solver.items():
        cfg.merge_from_list([f"SOLVER.{key}", value])
    return cfg


def test_warmup_then_steps_by_hand():
    cfg = cfg_with(MAX_ITER=100, STEPS=(40, 80), GAMMA=0.1, WARMUP_ITERS=10, WARMUP_FACTOR=0.2, WARMUP_METHOD="linear")
    at = lr_multiplier(cfg)
    # linear: 0.2 (1 - i/10) + i/10, so 0.2, 0.28, ..., 0.6 in the middle, 0.92 last; then 1, 0.1, 0.01
    expected = {0: 0.2, 1: 0.28, 5: 0.6, 9: 0.92, 10: 1.0, 39: 1.0, 40: 0.1, 79: 0.1, 80: 0.01, 99: 0.01}
    assert {i: at(i) for i in expected} == pytest.approx(expected)


def test_constant_warmup_by_hand():
    at = lr_multiplier(cfg_with(MAX_ITER=9, WARMUP_ITERS=3, WARMUP_FACTOR=0.25, WARMUP_METHOD="constant"))
    assert [at(i) for i in range(5)] == [0.25, 0.25, 0.25, 1.0, 1.0]


def test_cosine_by_hand():
    cfg = cfg_with(LR_SCHEDULER_NAME="WarmupCosineLR", MAX_ITER=8, WARMUP_ITERS=0, BASE_LR=0.1, BASE_LR_END=0.02)
    at = lr_multiplier(cfg)
    # e = 0.2; at a quarter, half and end of 8: 0.2 + 0.8 (1 + cos)/2 with cos = sqrt(1/2), 0, -1
    assert [at(0), at(2), at(4), at(8)] == pytest.approx([1.0, 0.2 + 0.4 * (1 + math.sqrt(0.5)), 0.6, 0.2])


def test_warmup_ends_where_the_schedule_is():
    """A step inside the warm-up lowers the target of the ramp, as in Detectron2."""
    at = lr_multiplier(cfg_with(MAX_ITER=20, STEPS=(2,), GAMMA=0.5, WARMUP_ITERS=4, WARMUP_FACTOR=0.0))
    assert [at(i) for i in range(6)] == pytest.approx([0, 0.125, 0.25, 0.375, 0.5, 0.5])


def test_scheduler_sets_the_rates_of_the_groups():
    cfg = cfg_with(BASE_LR=0.5, BIAS_LR_FACTOR=2.0, MAX_ITER=10, WARMUP_ITERS=2, WARMUP_FACTOR=0.5, STEPS=(3,))
    optimizer = build_optimizer(cfg, nn.Linear(2, 2))
    schedule = build_lr_scheduler(cfg, optimizer)
    rates = []
    for _ in range(5):
        rates.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        schedule.step()
    # multipliers 0.5, 0.75, 1, 0.1, 0.1 times 0.5 for weights and 1.0 for biases
    expected = [[0.25, 0.5], [0.375, 0.75], [0.5, 1.0], [0.05, 0.1], [0.05, 0.1]]
    assert rates == [pytest.approx(row) for row in expected]


class Shared(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.frozen = nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2), nn.Linear(2, 2)
        self.again = self.conv  # a parameter with two names is optimised once
        self.frozen.requires_grad_(False)


def test_decay_of_weights_norms_and_biases():
    model = Shared()
    cfg = cfg_with(WEIGHT_DECAY=0.1, WEIGHT_DECAY_NORM=0.01, WEIGHT_DECAY_BIAS=0.001, BASE_LR=1.0, BIAS_LR_FACTOR=3.0)
    found = {id(p): (g["lr"], g["weight_decay"]) for g in parameter_groups(cfg, model) for p in g["params"]}
    expected = {
        id(model.conv.weight): (1.0, 0.1),
        id(model.conv.bias): (3.0, 0.001),
        id(model.norm.weight): (1.0, 0.01),
        id(model.norm.bias): (3.0, 0.001),
    }
    assert found == expected


def test_bias_decay_follows_the_layer_by_default():
    model = Shared()
    cfg = cfg_with(WEIGHT_DECAY=0.1, WEIGHT_DECAY_NORM=0.0)
    groups = {g["weight_decay"]: len(g["params"]) for g in parameter_groups(cfg, model)}
    assert groups == {0.1: 2, 0.0: 2}


def test_sgd_step_by_hand():
    """v = g + wd p, then v = m v + g + wd p; p -= lr v. From p = 1 with g = 1, m = 0.5, wd = lr = 0.1."""
    layer = nn.Linear(1, 1, bias=False)
    nn.init.ones_(layer.weight)
    optimizer = build_optimizer(cfg_with(BASE_LR=0.1, MOMENTUM=0.5, WEIGHT_DECAY=0.1), layer)
    values = []
    for _ in range(2):
        layer.weight.grad = torch.ones(1, 1)
        optimizer.step()
        values.append(layer.weight.item())
    # v1 = 1.1 -> 0.89; v2 = 0.55 + 1 + 0.089 = 1.639 -> 0.7261
    assert values == pytest.approx([0.89, 0.7261])


def test_optimizer_names():
    assert isinstance(build_optimizer(cfg_with(OPTIMIZER="adamw"), nn.Linear(1, 1)), torch.optim.AdamW)
    for key, value in (("OPTIMIZER", "adagrad"), ("WARMUP_METHOD", "burn"), ("LR_SCHEDULER_NAME", "StepLR")):
        with pytest.raises(ValueError, match=rf"SOLVER.{key} is '{value}'; it must be"):
            cfg = cfg_with(**{key: value})
            build_lr_scheduler(cfg, build_optimizer(cfg, nn.Linear(1, 1)))


def test_frozen_model_is_an_error():
    with pytest.raises(ValueError, match="no trainable parameters"):
        build_optimizer(get_cfg(), nn.Linear(1, 1).requires_grad_(False))


def test_clipping_scales_the_whole_gradient():
    layer = nn.Linear(1, 1)
    layer.weight.grad, layer.bias.grad = torch.tensor([[3.0]]), torch.tensor([4.0])
    assert clip_gradients(layer.parameters(), 1.0).item() == pytest.approx(5.0)  # sqrt(9 + 16)
    assert [layer.weight.grad.item(), layer.bias.grad.item()] == pytest.approx([0.6, 0.8], abs=1e-5)
    clip_gradients(layer.parameters(), 10.0)  # below the limit: unchanged
    assert layer.bias.grad.item() == pytest.approx(0.8, abs=1e-5)


def test_clip_before_step_acts_inside_step():
    layer = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(layer.weight)
    optimizer = torch.optim.SGD(layer.parameters(), lr=1.0)
    clip_before_step(optimizer, 0.5)
    layer.weight.grad = torch.full((1, 1), 100.0)
    optimizer.step()
    assert layer.weight.item() == pytest.approx(-0.5, abs=1e-5)


def test_clip_norm_from_config():
    assert clip_norm(get_cfg()) == 10.0
    cfg = get_cfg()
    cfg.SOLVER.CLIP_GRADIENTS.CLIP_TYPE = "value"
    with pytest.raises(ValueError, match="must be 'full_model'"):
        clip_norm(cfg)
    cfg.SOLVER.CLIP_GRADIENTS.ENABLED = False
    assert clip_norm(cfg) is None


def test_the_learning_rate_scales_with_the_clips_of_a_step(caplog):
    """12 clips, twice accumulated, where 0.1 is for 96: a quarter of the rate, four times the steps."""
    cfg = cfg_with(
        BASE_LR=0.1, BASE_LR_END=0.01, REFERENCE_BATCH=96, IMS_PER_BATCH=12, ACCUMULATE=2, MAX_ITER=100, STEPS=(60, 80)
    )
    with caplog.at_level("INFO", "detect.engine.solver"):
        scaled = scale_learning_rate(cfg)
    assert (scaled.SOLVER.BASE_LR, scaled.SOLVER.BASE_LR_END) == pytest.approx((0.025, 0.0025))
    assert (scaled.SOLVER.MAX_ITER, scaled.SOLVER.STEPS, cfg.SOLVER.BASE_LR) == (100, (60, 80), 0.1)
    assert "SOLVER.MAX_ITER 400 SOLVER.STEPS (240, 320)" in caplog.text
    for same in (cfg_with(REFERENCE_BATCH=0, IMS_PER_BATCH=7), cfg_with(REFERENCE_BATCH=7, IMS_PER_BATCH=7)):
        assert scale_learning_rate(same) is same
    with pytest.raises(ValueError, match="REFERENCE_BATCH is -1"):
        scale_learning_rate(cfg_with(REFERENCE_BATCH=-1))
