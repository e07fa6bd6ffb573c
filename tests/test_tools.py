"""The command-line tools from start to end, on a toy set: training, resuming, evaluating, two processes, bad input."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from detect.d2 import HAS_DETECTRON2
from detect.data import synthetic
from tests.tiny import OVERRIDES

ROOT = Path(__file__).resolve().parents[1]
TOY = [
    *OVERRIDES, "MODEL.ROI_HEADS.NUM_CLASSES", 6, "INPUT.SIZE", (36, 48), "INPUT.NUM_FRAMES", 4, "INPUT.FLIP_PROB", 0.0,
    "DATASETS.TRAIN", ("synthetic_train",), "DATASETS.TEST", ("synthetic_test",), "DATALOADER.NUM_WORKERS", 0,
    "SOLVER.IMS_PER_BATCH", 2, "SOLVER.MAX_ITER", 4, "SOLVER.CHECKPOINT_PERIOD", 2, "SOLVER.WARMUP_ITERS", 2,
    "SOLVER.BASE_LR", 0.01, "TEST.IMS_PER_BATCH", 16, "MODEL.CONTEXT.NAME", "i2d",
]  # fmt: skip
LAST_LINE = re.compile(r"frame-mAP@0\.5 = \d\.\d{6}")


@pytest.fixture(scope="module")
def datasets(tmp_path_factory):
    root = tmp_path_factory.mktemp("datasets")
    synthetic.write_dataset(root / "synthetic" / f"v{synthetic.VERSION}", num_train=3, num_test=2)
    return root


def run(tool, datasets, *arguments, **environment):
    command = [sys.executable, f"tools/{tool}.py", *map(str, arguments)]
    env = {
        **os.environ,
        "DETECT_DATASETS": str(datasets),
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "PYTHONPATH": str(ROOT),
        **environment,
    }
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=env)


def last_line(result):
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-2000:]
    return result.stdout.strip().splitlines()[-1]


@pytest.fixture(scope="module")
def trained(datasets, tmp_path_factory):
    """A finished toy run: its folder and its last line."""
    folder = tmp_path_factory.mktemp("run")
    result = run("train_net", datasets, *TOY, "TEST.PICTURES", 1, "OUTPUT_DIR", folder)
    return folder, last_line(result)


def test_training_writes_what_detectron2_users_expect(trained):
    folder, line = trained
    assert LAST_LINE.fullmatch(line)
    names = {path.name for path in folder.iterdir()}
    assert {
        "model_final.pth",
        "model_0000001.pth",
        "last_checkpoint",
        "config.yaml",
        "log.txt",
        "metrics.json",
    } <= names
    assert any(name.startswith("events.out.tfevents") for name in names)
    assert (folder / "last_checkpoint").read_text() == "model_final.pth"
    rows = [json.loads(row) for row in (folder / "metrics.json").read_text().splitlines()]
    assert {"loss_cls", "loss_box_reg", "loss_rpn_cls", "loss_rpn_loc", "total_loss", "lr"} <= rows[-1].keys()
    results = json.loads((folder / "evaluation" / "synthetic_test" / "results.json").read_text())
    assert results["provenance"]["videos"] == 2 and results["provenance"]["frames"] == 64
    assert results["provenance"]["seed"] == 0 and len(results["provenance"]["weights_hash"]) == 64
    assert results["results"]["coverage"] == {"frames_expected": 64, "frames_predicted": 64, "frames_missing": 0}
    assert (folder / "pictures" / "synthetic_test" / "grid.png").stat().st_size > 1000
    assert (folder / "pictures" / "synthetic_test" / "video.mp4").stat().st_size > 1000


def test_eval_only_and_evaluate_give_the_same_number(trained, datasets, tmp_path):
    folder, line = trained
    again = run(
        "train_net",
        datasets,
        "--eval-only",
        "--config-file",
        folder / "config.yaml",
        "MODEL.WEIGHTS",
        folder / "model_final.pth",
        "OUTPUT_DIR",
        tmp_path,
    )
    assert last_line(again) == line
    tables = folder / "evaluation" / "synthetic_test"
    scored = run(
        "evaluate",
        datasets,
        "--ground-truth",
        tables / "ground_truth.csv.gz",
        "--detections",
        tables / "detections.csv.gz",
        "--preset",
        "voc",
        "--frames",
        "all",
    )
    assert abs(float(last_line(scored).split()[-1]) - float(line.split()[-1])) < 2e-6


def test_a_resumed_run_ends_as_an_uninterrupted_one(trained, datasets, tmp_path):
    import torch

    from detect.engine.checkpoint import read_checkpoint

    folder, line = trained
    first = run("train_net", datasets, *TOY, "OUTPUT_DIR", tmp_path)
    assert last_line(first) == line  # the same seed gives the same run
    (tmp_path / "model_final.pth").unlink()
    (tmp_path / "last_checkpoint").write_text("model_0000001.pth")
    resumed = run("train_net", datasets, "--resume", *TOY, "OUTPUT_DIR", tmp_path)
    assert "Training from iteration 2 to 4" in resumed.stdout and last_line(resumed) == line
    a, b = (read_checkpoint(path / "model_final.pth")["model"] for path in (folder, tmp_path))
    assert all(torch.equal(a[key], b[key]) for key in a)


def test_two_processes(trained, datasets, tmp_path):
    result = run("train_net", datasets, "--num-gpus", 2, *TOY, "OUTPUT_DIR", tmp_path)
    own_line = last_line(result)
    results = json.loads((tmp_path / "evaluation" / "synthetic_test" / "results.json").read_text())
    assert results["results"]["coverage"]["frames_predicted"] == 64
    final = ("MODEL.WEIGHTS", tmp_path / "model_final.pth", "OUTPUT_DIR", tmp_path / "check")
    assert last_line(run("train_net", datasets, "--eval-only", *TOY, *final)) == own_line
    folder, _ = trained
    evaluated = run(
        "train_net",
        datasets,
        "--eval-only",
        "--num-gpus",
        2,
        *TOY,
        "OUTPUT_DIR",
        tmp_path / "again",
        "MODEL.WEIGHTS",
        folder / "model_final.pth",
    )
    assert evaluated.returncode == 0, evaluated.stderr[-2000:]
    one, two = (
        json.loads((path / "evaluation" / "synthetic_test" / "results.json").read_text())["results"]["frame_ap"]
        for path in (folder, tmp_path / "again")
    )
    assert one == two


@pytest.mark.skipif(not HAS_DETECTRON2, reason="Detectron2 is not installed")
def test_default_trainer_trains_and_evaluates(datasets, tmp_path):
    result = run("d2_train_net", datasets, *TOY, "OUTPUT_DIR", tmp_path)
    assert LAST_LINE.fullmatch(last_line(result))
    assert (tmp_path / "model_final.pth").exists()
    ours = run(
        "train_net",
        datasets,
        "--eval-only",
        *TOY,
        "OUTPUT_DIR",
        tmp_path,
        "MODEL.WEIGHTS",
        tmp_path / "model_final.pth",
    )
    assert last_line(ours) == last_line(result)


@pytest.mark.skipif(not HAS_DETECTRON2, reason="Detectron2 is not installed")
def test_detectron2s_trunk_and_rpn_by_config(datasets, tmp_path):
    result = run(
        "train_net",
        datasets,
        *TOY,
        "MODEL.BACKBONE.NAME",
        "build_resnet_backbone",
        "MODEL.RESNETS.RES2_OUT_CHANNELS",
        64,
        "MODEL.PROPOSAL_GENERATOR.NAME",
        "RPN",
        "OUTPUT_DIR",
        tmp_path,
    )
    assert LAST_LINE.fullmatch(last_line(result))


@pytest.mark.parametrize("arguments, message", [
    (["SOLVER.BASELR", 1], "unknown key SOLVER.BASELR, closest legal keys: SOLVER.BASE_LR"),
    (["DATASETS.TRAIN", ("ucf24_train",)], "looked for"),
    (["DATASETS.TRAIN", ("synthetic_trian",)], "did you mean synthetic_train"),
        (["MODEL.META_ARCHITECTURE", "ActionRCN"], "registered: "),
        (["INPUT.FORMAT", "rgb"], "INPUT.FORMAT is 'rgb'"),
        (["MODEL.CONTEXT.OVERRIDES.width", 1.0], "MODEL.CONTEXT.OVERRIDES has width"),
    (["MODEL.ROI_HEADS.NUM_CLASSES", 7], "synthetic_train has 6 classes, MODEL.ROI_HEADS.NUM_CLASSES is 7"),
    (["MODEL.WEIGHTS", "absent.pth"], "absent.pth: no such checkpoint"),
    (["--eval-only"], "--eval-only needs a checkpoint"),
    (["--config-file", "absent.yaml"], "absent.yaml"),
    (["MODEL.CONTEXT.NAME", "s4d"], "unknown network 's4d'"),
    (["MODEL.CONTEXT.TAP", "mixed_6a"], "unknown endpoint 'mixed_6a'"),
])  # fmt: skip
def test_bad_input_gives_one_message(datasets, tmp_path, arguments, message):
    options = [a for a in arguments if str(a).startswith("--") or str(a).endswith(".yaml")]
    result = run(
        "train_net", datasets, *options, *TOY, *[a for a in arguments if a not in options], "OUTPUT_DIR", tmp_path
    )
    assert result.returncode == 2, result.stderr[-1500:]
    assert message in result.stderr and "Traceback" not in result.stderr


def test_a_checkpoint_of_another_architecture(trained, datasets, tmp_path):
    folder, _ = trained
    result = run(
        "train_net",
        datasets,
        "--eval-only",
        *TOY,
        "MODEL.CONTEXT.NAME",
        "i3d",
        "OUTPUT_DIR",
        tmp_path,
        "MODEL.WEIGHTS",
        folder / "model_final.pth",
    )
    assert result.returncode == 2 and "model_final.pth: a checkpoint of another architecture" in result.stderr
    assert "MODEL.*" in result.stderr


@pytest.mark.parametrize("tool", sorted(path.stem for path in (ROOT / "tools").glob("*.py")))
def test_help(tool, datasets):
    if tool.startswith("d2_") and not HAS_DETECTRON2:
        pytest.skip("Detectron2 is not installed")
    result = run(tool, datasets, "--help")
    assert result.returncode == 0 and "usage" in result.stdout
