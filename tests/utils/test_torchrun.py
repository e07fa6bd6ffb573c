"""Two machines by torchrun, under SLURM too; ranks that end: the others end too, soon, and the cause is named."""

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from detect.utils.comm import free_port
from tests.running import ROOT
from tests.utils import torchrun_toy

SOON = 300  # seconds on a busy machine; a rank that waits for a lost one would wait for 30 minutes


def torchrun(node: int, port: int, folder: Path) -> subprocess.Popen:
    """The command of docs/many_machines.md, on the loopback address that stands for machine `node`."""
    options = (
        f"--nnodes 2 --node-rank {node} --nproc-per-node 1 --local-addr 127.0.0.{node + 1} "
        f"--rdzv-endpoint 127.0.0.1:{port}"
    )
    words = ["-m", "torch.distributed.run", *options.split(), "-m", "tests.utils.torchrun_toy", str(folder), "kill"]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen([sys.executable, *words], cwd=ROOT, env=env, **streams)


def test_two_machines_learn_what_one_process_does_and_end_together(tmp_path):
    port = free_port()
    agents = [torchrun(node, port, tmp_path / "two") for node in (0, 1)]
    printed = [agent.communicate(timeout=SOON)[0] for agent in agents]
    assert all(agent.returncode for agent in agents), printed
    assert any("Signal 9 (SIGKILL) received" in text for text in printed), printed
    assert any("another process of this run has ended or cannot be reached" in text for text in printed), printed

    model = torchrun_toy.toy_model()
    torchrun_toy.trainer(tmp_path / "one", model, 6).train()
    saved = torch.load(tmp_path / "two" / "model_final.pth", weights_only=True)
    assert len(saved["rng"]) == 2
    for name, value in model.state_dict().items():
        torch.testing.assert_close(saved["model"][name], value, rtol=1e-5, atol=1e-6)


def rank_of_two(rank: int, port: int, folder: Path, how: str) -> None:
    """As torchrun starts it, but that nobody ends it when the other one has."""
    where = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2}
    os.environ.update({name: str(value) for name, value in where.items()})
    with open(folder / f"said{rank}", "w") as said:
        os.dup2(said.fileno(), 2)
        sys.stderr = said
        torchrun_toy.start(str(folder / "run"), how)


@pytest.mark.parametrize("how, code, word", [("raise", 2, "error: frame 7 is spoiled\n"), ("kill", -9, "")])
def test_a_rank_that_ends_ends_the_others(tmp_path, no_gpu, how, code, word):
    context, port = multiprocessing.get_context("fork"), free_port()
    ranks = [context.Process(target=rank_of_two, args=(rank, port, tmp_path, how)) for rank in (0, 1)]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join(SOON)
    assert [process.exitcode for process in ranks] == [2, code]
    assert (tmp_path / "said1").read_text() == word
    said = (tmp_path / "said0").read_text()
    assert said.startswith(
        "error: rank 0: another process of this run has ended or cannot be reached, see its own mess"
    )
    assert "Next: mend that, then go on with --resume" in said and len(said.splitlines()) == 1


def test_the_slurm_script(tmp_path):
    """What each of two machines of a job starts; SLURM's commands and torchrun stand-ins that say what they get."""
    commands = {
        "scontrol": "echo host7; echo host8",
        "srun": 'shift; for node in 0 1; do SLURM_NODEID=$node "$@"; done',
        "torchrun": 'printf "%s|" "$@"; echo',
    }
    for name, text in commands.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{text}\n")
        (tmp_path / name).chmod(0o755)
    job = {"SLURM_JOB_NODELIST": "host[7-8]", "SLURM_JOB_ID": "12042", "SLURM_NNODES": "2", "SLURM_GPUS_ON_NODE": "8"}
    env = {**os.environ, **job, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    words = ["bash", "tools/train.slurm", "--config-file", "a b.yaml", "DATASETS.TEST", "()"]
    said = subprocess.run(words, cwd=ROOT, env=env, capture_output=True, text=True, check=True).stdout
    for node, line in enumerate(said.splitlines()):
        assert line == (
            f"--nnodes|2|--node-rank|{node}|--nproc-per-node|8|--rdzv-endpoint|host7:29542|tools/train_net.py|--resume|"
            "--config-file|a b.yaml|DATASETS.TEST|()|"
        )
    assert len(said.splitlines()) == 2
