import logging
import os
import platform
import random
import subprocess
import sys

import numpy as np
import pytest
import torch

from detect.config import ConfigError, get_cfg
from detect.engine.setup import default_setup, environment_text, setup_logger
from detect.utils.cli import training_parser


@pytest.fixture(autouse=True)
def restore_loggers():
    yield
    for name in ("detect", "backbones", "fvcore", "__main__"):
        for handler in list(logging.getLogger(name).handlers):
            logging.getLogger(name).removeHandler(handler)
            handler.close()


def test_command_line_of_detectron2():
    parse = training_parser(None).parse_args
    args = parse(["--config-file", "c.yaml", "--num-gpus", "2", "--resume", "SEED", "3", "SOLVER.BASE_LR", "-1"])
    assert (args.config_file, args.num_gpus, args.resume, args.eval_only) == ("c.yaml", 2, True, False)
    assert args.opts == ["SEED", "3", "SOLVER.BASE_LR", "-1"]
    args = parse([])
    assert (args.config_file, args.num_gpus, args.num_machines, args.machine_rank) == ("", 1, 1, 0)
    assert not args.resume and args.opts == []
    args = parse(["--eval-only", "--num-machines", "2", "--machine-rank", "1", "--dist-url", "tcp://a:1"])
    assert args.eval_only and (args.num_machines, args.machine_rank, args.dist_url) == (2, 1, "tcp://a:1")


def run_setup(tmp_path, seed=-1, **options):
    cfg = get_cfg()
    cfg.merge_from_list(["OUTPUT_DIR", str(tmp_path / "out"), "SEED", seed])
    cfg.freeze()
    return default_setup(cfg, **options)


def draws():
    return random.random(), np.random.rand(), torch.rand(1).item()


def test_setup_writes_config_and_log_and_seeds(tmp_path, capsys):
    assert run_setup(tmp_path, seed=5) == 5
    first = draws()
    config = get_cfg()
    config.merge_from_file(str(tmp_path / "out" / "config.yaml"))
    assert config.SEED == 5 and config.OUTPUT_DIR == str(tmp_path / "out")
    logging.getLogger("detect.some.module").info("hello from a module")
    log = (tmp_path / "out" / "log.txt").read_text()
    assert "hello from a module" in log and "torch: " + torch.__version__ in log
    assert "hello from a module" in capsys.readouterr().out
    assert "  SEED: 5\n" in log and "SOLVER" not in log  # what is not the default, and no more
    run_setup(tmp_path, seed=5)
    assert draws() == first
    logging.getLogger("detect").info("only once")  # a second set-up does not double the lines
    assert (tmp_path / "out" / "log.txt").read_text().count("only once") == 1


def test_a_drawn_seed_is_found_again_on_resume(tmp_path):
    drawn = run_setup(tmp_path)
    numbers = draws()
    assert drawn >= 0
    assert run_setup(tmp_path, resume=True) == drawn and draws() == numbers
    assert run_setup(tmp_path, resume=True, seed=7) == 7
    assert run_setup(tmp_path) != 7  # without --resume a new one (equal once in 16 million)


@pytest.mark.parametrize("text", ["", "SEED: [", "a", "- 1", "SEED: x", "SEED: true", "SEED: 99999999999", "\x00"])
def test_a_damaged_config_of_the_earlier_run(tmp_path, text):
    run_setup(tmp_path, seed=3)
    (tmp_path / "out" / "config.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"config.yaml: damaged[^\n]* Next: give SEED[^\n]*$"):
        run_setup(tmp_path, resume=True)
    (tmp_path / "out" / "config.yaml").write_bytes(b"SEED: \xff")
    with pytest.raises(ConfigError, match=r"config.yaml: not a text file[^\n]* Next: give SEED"):
        run_setup(tmp_path, resume=True)
    assert run_setup(tmp_path, resume=True, seed=7) == 7  # the next step works


def test_a_training_removes_what_killed_runs_left(tmp_path):
    left = tmp_path / "out" / f".model_final.pth.{os.getpid()}.tmp"  # a process of this id that was killed
    left.parent.mkdir()
    left.touch()
    run_setup(tmp_path, eval_only=True)
    assert left.exists()
    run_setup(tmp_path)
    assert not left.exists() and f"Removed {left}" in (tmp_path / "out" / "log.txt").read_text()


def test_log_without_file(capsys):
    setup_logger()
    logging.getLogger("backbones").info("shown")
    logging.getLogger("other.library").info("not shown")
    out = capsys.readouterr().out
    assert "shown" in out and "not shown" not in out


def test_environment_text_names_the_versions():
    assert f"torch: {torch.__version__}" in environment_text() and "detectron2: " in environment_text()


MALLOC = """
import os, resource
from detect.utils.malloc import tune_malloc
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        b"x" * (32 << 20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
os.environ["DETECT_DEFAULT_MALLOC"] = "1"
print(tune_malloc(), faults())
del os.environ["DETECT_DEFAULT_MALLOC"]
print(tune_malloc(), faults() and faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc only")
def test_malloc_keeps_memory_and_can_be_left_alone():
    """Ten arrays of 32 MiB are ten times 8192 pages of 4 KiB, faulted in each time unless memory is kept."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "GLIBC_TUNABLES": ""}
    command = [sys.executable, "-W", "ignore", "-c", MALLOC]
    output = subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout.split()
    assert output[0] == "False" and output[2] == "True"
    untuned, tuned = int(output[1]), int(output[3])
    if untuned < 10_000:
        pytest.skip("this kernel gives huge pages to all, so that there are few faults to save")
    assert tuned < 1000
