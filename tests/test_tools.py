"""The command-line tools from start to end, on a toy set: training, resuming, evaluating, two processes, bad input."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest
import torch

from detect.d2 import HAS_DETECTRON2
from detect.data import synthetic
from detect.evaluation.files.formats import find_table
from detect.evaluation.report import summary_line
from detect.tasks import runner
from detect.tasks.detection import DETECTION
from detect.utils.checkpoint_files import read_checkpoint
from detect.utils.comm import launch
from tests.running import ROOT, TOOLS, run_tool
from tests.tiny import OVERRIDES

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


@pytest.fixture(scope="module")
def run(datasets):
    """`run(tool, *arguments)` in this process, with the toy datasets."""
    return lambda tool, *arguments: run_tool(tool, *arguments, DETECT_DATASETS=str(datasets))


def run_alone(datasets, tool, *arguments):
    """In a process of its own."""
    env = {**os.environ, "DETECT_DATASETS": str(datasets), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, f"tools/{tool}.py", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env={**env, "PYTHONPATH": str(ROOT)})


def last_line(result):
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-2000:]
    return result.stdout.strip().splitlines()[-1]


@pytest.fixture(scope="module")
def trained(run, tmp_path_factory):
    """A finished toy run: its folder and its last line."""
    folder = tmp_path_factory.mktemp("run")
    return folder, last_line(run("train_net", *TOY, "TEST.PICTURES", 1, "OUTPUT_DIR", folder))


def results_of(folder):
    return json.loads((folder / "evaluation" / "synthetic_test" / "results.json").read_text())


def test_training_writes_what_detectron2_users_expect(trained):
    folder, line = trained
    assert LAST_LINE.fullmatch(line)
    names = {path.name for path in folder.iterdir()}
    files = {"model_final.pth", "model_0000001.pth", "last_checkpoint", "config.yaml", "log.txt", "metrics.json"}
    assert files <= names
    assert any(name.startswith("events.out.tfevents") for name in names)
    assert (folder / "last_checkpoint").read_text() == "model_final.pth"
    rows = [json.loads(row) for row in (folder / "metrics.json").read_text().splitlines()]
    assert {"loss_cls", "loss_box_reg", "loss_rpn_cls", "loss_rpn_loc", "total_loss", "lr"} <= rows[-1].keys()
    results = results_of(folder)
    assert results["provenance"]["videos"] == 2 and results["provenance"]["frames"] == 64
    assert results["provenance"]["seed"] == 0 and len(results["provenance"]["weights_hash"]) == 64
    assert results["results"]["coverage"] == {"frames_expected": 64, "frames_predicted": 64, "frames_missing": 0}
    assert (folder / "pictures" / "synthetic_test" / "grid.png").stat().st_size > 1000
    assert (folder / "pictures" / "synthetic_test" / "video.mp4").stat().st_size > 1000


def test_a_checkpoint_is_complete(trained):
    data = read_checkpoint(trained[0] / "model_final.pth")
    assert data["tag"]["classes"] == list(synthetic.CLASSES)
    assert data["config"] == (trained[0] / "config.yaml").read_text()
    assert data["preprocessing"]["context"] == {"mean": [127.5] * 3, "std": [127.5] * 3, "channel_order": "RGB"}
    assert data["preprocessing"]["keyframe"]["mean"] == pytest.approx([123.675, 116.28, 103.53])
    provenance = data["provenance"]
    assert provenance["dataset"] == "synthetic_train" and provenance["seed"] == 0
    assert provenance["annotation_hash"] and provenance["started_from"] == {} and provenance["torch"]


def test_the_checkpoint_alone_evaluates_to_the_same_number(trained, run, tmp_path):
    folder, line = trained
    again = run("train_net", "--eval-only", "--weights", folder / "model_final.pth", "OUTPUT_DIR", tmp_path)
    assert last_line(again) == line and results_of(tmp_path)["results"] == results_of(folder)["results"]
    by_key = ("--config-file", folder / "config.yaml", "MODEL.WEIGHTS", folder / "model_final.pth")
    assert last_line(run("train_net", "--eval-only", *by_key, "OUTPUT_DIR", tmp_path)) == line


def test_nothing_of_a_run_is_written_over_by_using_its_checkpoint(trained, run):
    folder, line = trained
    before = {name: (folder / name).read_bytes() for name in ("config.yaml", "model_final.pth", "metrics.json")}
    assert last_line(run("train_net", "--eval-only", "--weights", folder / "model_final.pth")) == line
    result = run("train_net", "--weights", folder / "model_final.pth")
    assert result.returncode == 2 and "training would write over its folder; give OUTPUT_DIR FOLDER" in result.stderr
    assert before == {name: (folder / name).read_bytes() for name in before}


def test_a_run_goes_on_from_a_checkpoint_alone(trained, run, tmp_path):
    folder, _ = trained
    options = ("OUTPUT_DIR", tmp_path, "SOLVER.MAX_ITER", 1, "DATASETS.TEST", ())
    assert run("train_net", "--weights", folder / "model_final.pth", *options).returncode == 0
    assert read_checkpoint(tmp_path / "model_final.pth")["provenance"]["started_from"] == {
        "MODEL.WEIGHTS": str(folder / "model_final.pth")
    }


@pytest.mark.parametrize("name, part", [
    ("context.conv2d_1a_7x7.", "context network"), ("backbone.trunk.conv1.", "keyframe network"),
    ("roi_heads.cls_score.", "region head"),
])  # fmt: skip
def test_a_network_that_gives_no_numbers_is_no_result(trained, run, tmp_path, name, part):
    """Its detections would vanish in the selection, and the frame-mAP be 0 of a good network's data."""
    data = read_checkpoint(trained[0] / "model_final.pth")
    key = next(key for key in data["model"] if key.startswith(name) and data["model"][key].is_floating_point())
    data["model"][key].fill_(float("nan"))
    torch.save(data, tmp_path / "nan.pth")
    result = run("train_net", "--eval-only", "--weights", tmp_path / "nan.pth")
    assert result.returncode == 2 and f"the {part} gives values that are not finite" in result.stderr
    assert "frame-mAP" not in result.stdout


def test_a_test_set_that_cannot_be_read(trained, datasets, tmp_path):
    """Before a training it is an error; an evaluation prints its figures and leaves with 1."""
    folder, _ = trained
    shutil.copytree(datasets, tmp_path / "data")
    for path in (tmp_path / "data").rglob("*_test_*.avi"):
        path.write_bytes(b"no video")
    variables = {"DETECT_DATASETS": str(tmp_path / "data")}
    result = run_tool("train_net", *TOY, "OUTPUT_DIR", tmp_path / "run", **variables)
    assert result.returncode == 2 and "synthetic_test: no keyframe of it can be read" in result.stderr
    assert "Training from iteration" not in result.stdout
    options = ("--weights", folder / "model_final.pth", "OUTPUT_DIR", tmp_path / "evaluation")
    result = run_tool("train_net", "--eval-only", *options, **variables)
    assert result.returncode == 1 and "synthetic_test: nothing was evaluated" in result.stderr
    assert "frame-mAP@0.5 = 0.000000" in result.stdout


def test_an_older_checkpoint_needs_its_config(trained, run, tmp_path):
    folder, line = trained
    data = read_checkpoint(folder / "model_final.pth")
    torch.save({"model": data["model"], "tag": data["tag"]}, tmp_path / "old.pth")
    result = run("train_net", "--eval-only", "--weights", tmp_path / "old.pth")
    assert result.returncode == 2 and "old.pth: holds no config" in result.stderr
    assert "--config-file" in result.stderr
    options = ("--config-file", folder / "config.yaml", "OUTPUT_DIR", tmp_path)
    assert last_line(run("train_net", "--eval-only", "--weights", tmp_path / "old.pth", *options)) == line


def test_evaluate_scores_the_written_tables(trained, run):
    folder, line = trained
    tables = folder / "evaluation" / "synthetic_test"
    files = (find_table(tables, "detections"), "--ground-truth", find_table(tables, "ground_truth"))
    scored = last_line(run("evaluate", *files, "--preset", "voc", "--frames", "all"))
    assert abs(float(scored.split()[-1]) - float(line.split()[-1])) < 2e-6


def test_a_resumed_run_ends_as_an_uninterrupted_one(trained, run, tmp_path):
    folder, line = trained
    first = run("train_net", *TOY, "OUTPUT_DIR", tmp_path)
    assert last_line(first) == line  # the same seed gives the same run
    (tmp_path / "model_final.pth").unlink()
    (tmp_path / "last_checkpoint").write_text("model_0000001.pth")
    resumed = run("train_net", "--resume", *TOY, "OUTPUT_DIR", tmp_path)
    assert "Training from iteration 2 to 4" in resumed.stdout and last_line(resumed) == line
    a, b = (read_checkpoint(path / "model_final.pth")["model"] for path in (folder, tmp_path))
    assert all(torch.equal(a[key], b[key]) for key in a)


def test_averaged_weights(trained, run, tmp_path):
    """After 4 steps with decay 0.5 the average is (w0 + w1 + 2 w2 + 4 w3 + 8 w4) / 16: not the learning weights."""
    last_line(run("train_net", *TOY, "SOLVER.EMA_DECAY", 0.5, "OUTPUT_DIR", tmp_path))
    found = read_checkpoint(tmp_path / "model_final.pth")
    plain = read_checkpoint(trained[0] / "model_final.pth")["model"]
    assert all(torch.equal(found["learning"][key], plain[key]) for key in plain)
    key = "roi_heads.box_predictor.cls_score.weight"
    key = key if key in plain else next(key for key in plain if key.endswith("weight"))
    assert not torch.equal(found["model"][key], plain[key])


def train_and_evaluate(words, options):
    """In each of two processes: what tools/train_net.py --num-gpus 2 does, twice."""
    torch.set_num_threads(1)
    runner.run(DETECTION, "", words)
    runner.run(DETECTION, "", options, eval_only=True)


def test_two_processes(trained, run, datasets, tmp_path, monkeypatch, no_gpu):
    monkeypatch.setenv("DETECT_DATASETS", str(datasets))
    folder, _ = trained
    words = [*TOY, "OUTPUT_DIR", str(tmp_path)]
    options = [*TOY, "MODEL.WEIGHTS", str(folder / "model_final.pth"), "OUTPUT_DIR", str(tmp_path / "again")]
    launch(train_and_evaluate, 2, args=(words, options))
    results = results_of(tmp_path)["results"]
    assert results["coverage"]["frames_predicted"] == 64
    final = ("--weights", tmp_path / "model_final.pth", "OUTPUT_DIR", tmp_path / "check")
    line = last_line(run("train_net", "--eval-only", *final))  # by one process
    assert line == summary_line(results["frame_ap"]["mAP"], 0.5)
    assert results_of(folder)["results"]["frame_ap"] == results_of(tmp_path / "again")["results"]["frame_ap"]


def test_the_option_for_processes_is_passed_on(monkeypatch, run):
    monkeypatch.setattr("detect.tasks.train_net.launch", lambda *words, args: print(words[1:], args[1:]))
    options = ("--num-gpus", 8, "--num-machines", 2, "--machine-rank", 1, "--dist-url", "tcp://a:1", "--resume")
    done = run("train_net", *options, "--config-file", "c.yaml", "SEED", 3)
    assert done.stdout == "(8, 2, 1, 'tcp://a:1') ('c.yaml', ['SEED', '3'], '', True, False)\n"


@pytest.mark.skipif(not HAS_DETECTRON2, reason="Detectron2 is not installed")
def test_default_trainer_trains_evaluates_and_draws(run, datasets, tmp_path):
    result = run_alone(datasets, "d2_train_net", *TOY, "TEST.PICTURES", 1, "OUTPUT_DIR", tmp_path)
    assert LAST_LINE.fullmatch(last_line(result))
    assert (tmp_path / "pictures" / "synthetic_test" / "grid.png").exists()
    ours = run("train_net", "--eval-only", "--weights", tmp_path / "model_final.pth", "OUTPUT_DIR", tmp_path)
    assert last_line(ours) == last_line(result)  # its checkpoints are as complete as ours


@pytest.mark.skipif(not HAS_DETECTRON2, reason="Detectron2 is not installed")
def test_detectron2s_trunk_and_rpn_by_config(run, tmp_path):
    names = ("MODEL.BACKBONE.NAME", "build_resnet_backbone", "MODEL.PROPOSAL_GENERATOR.NAME", "RPN")
    result = run("train_net", *TOY, *names, "MODEL.RESNETS.RES2_OUT_CHANNELS", 64, "OUTPUT_DIR", tmp_path)
    assert LAST_LINE.fullmatch(last_line(result))


@pytest.mark.parametrize("arguments, message", [
    (["SOLVER.BASELR", 1], "unknown key SOLVER.BASELR, closest legal keys: SOLVER.BASE_LR"),
    (["DATASETS.TRAIN", ("ucf24_train",)], "looked for"),
    (["DATASETS.TRAIN", ("synthetic_trian",)], "did you mean synthetic_train"),
    (["MODEL.META_ARCHITECTURE", "ActionRCN"], "registered: "),
    (["MODEL.META_ARCHITECTURE", "ActionClassifier"], "use tools/train_classifier.py"),
    (["INPUT.FORMAT", "rgb"], "INPUT.FORMAT is 'rgb'"),
    (["INPUT.MODALITY", "flow"], "INPUT.MODALITY is 'flow', and only a classifier"),
    (["MODEL.RPN.CONV_DIMS", [256]], "MODEL.RPN.CONV_DIMS is [256], and only Detectron2's RPN reads it"),
    (["MODEL.CONTEXT.OVERRIDES.width", 1.0], "MODEL.CONTEXT.OVERRIDES has width"),
    (["MODEL.ROI_HEADS.NUM_CLASSES", 7], "synthetic_train has 6 classes, MODEL.ROI_HEADS.NUM_CLASSES is 7"),
    (["--weights", "absent.pth"], "absent.pth: no such checkpoint"),
    (["--eval-only"], "give --weights FILE"),
    (["--config-file", "absent.yaml"], "absent.yaml"),
    (["MODEL.CONTEXT.NAME", "s4d"], "MODEL.CONTEXT.NAME is 's4d'; it must be a network of the family"),
    (["MODEL.CONTEXT.TAP", "mixed_6a"], "MODEL.CONTEXT.TAP is 'mixed_6a'; it must be one of"),
    (["MODEL.CONTEXT.NAME", "torchvision_s3d"], "too small for maxpool_5a_2x2; the least input of these stages is"),
    (["OUTPUT_DIR", "/proc/none"], "/proc/none: this folder cannot be made"),
])  # fmt: skip
def test_bad_input_gives_one_message(run, tmp_path, arguments, message):
    options = arguments if arguments[0].startswith("--") else []
    keys = [] if options else arguments
    result = run("train_net", *options, *TOY, "OUTPUT_DIR", tmp_path, *keys)
    assert result.returncode == 2, result.stderr[-1500:]
    assert message in result.stderr and "Traceback" not in result.stderr


@pytest.mark.parametrize("count, given", [(0, 1), (1, 1), (3, 3)])
def test_numbers_of_processes(monkeypatch, run, count, given):
    monkeypatch.setattr("detect.tasks.train_net.launch", lambda *words, args: print(words[1]))
    assert run("train_net", "--num-gpus", count).stdout == f"{given}\n"


def test_fewer_than_no_processes(run):
    done = run("train_net", "--num-gpus", -1)
    assert done.returncode == 2 and "-1 processes; give 0 or more" in done.stderr


def test_a_fault_of_the_program_keeps_its_traceback(run, monkeypatch):
    def broken(*_):
        raise ValueError("not the user's")

    monkeypatch.setattr("detect.tasks.train_net.run", broken)
    with pytest.raises(ValueError, match="not the user's"):
        run("train_net", *TOY)


def test_a_checkpoint_of_another_architecture(trained, run, tmp_path):
    options = ("MODEL.CONTEXT.NAME", "i3d", "OUTPUT_DIR", tmp_path)
    result = run("train_net", "--eval-only", "--weights", trained[0] / "model_final.pth", *options)
    assert result.returncode == 2 and "model_final.pth: a checkpoint of another architecture" in result.stderr
    assert "MODEL.*" in result.stderr


@pytest.mark.parametrize("tool", TOOLS)
def test_help_is_there_at_once(tool, datasets):
    """A process of its own for each tool, which imports nothing heavy before it knows its arguments."""
    code = (
        f"import runpy, sys\nsys.argv = ['{tool}.py', '--help']\n"
        f"try: runpy.run_path('tools/{tool}.py', run_name='__main__')\n"
        "finally: print('heavy:', {'torch', 'cv2', 'detectron2'} & set(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and "usage" in done.stdout and "heavy: set()" in done.stderr, done.stderr


def test_the_exit_status_of_a_process(datasets):
    result = run_alone(datasets, "evaluate", "--ground-truth", "absent.csv", "--detections", "absent.csv")
    said = result.stderr.splitlines()[-1]  # Detectron2 has torch warn when it is imported
    assert (result.returncode, said) == (2, "error: absent.csv: there is no such file or folder")
    assert "Traceback" not in result.stderr
