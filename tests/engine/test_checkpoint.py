import os
import pickle
import random
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from detect.engine.checkpoint import ActionCheckpointer, random_state, set_random_state
from detect.utils.checkpoint_files import CheckpointError, read_checkpoint
from detect.utils.files import atomic_file
from tests.engine.engine_toy import ToyModel


def weights(model):
    return {key: value.clone() for key, value in model.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def test_save_and_load_everything(tmp_path):
    model = ToyModel()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    saver = ActionCheckpointer(model, str(tmp_path), optimizer=optimizer, tag={"classes": ("run", "jump")})
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    saver.save("model_0000003", iteration=3)
    assert (tmp_path / "last_checkpoint").read_text() == "model_0000003.pth"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["last_checkpoint", "model_0000003.pth"]

    other = ToyModel()
    other_optimizer = torch.optim.SGD(other.parameters(), lr=0.5, momentum=0.9)
    loader = ActionCheckpointer(other, str(tmp_path), optimizer=other_optimizer, tag={"classes": ["run", "jump"]})
    extra = loader.resume_or_load("", resume=True)
    assert extra["iteration"] == 3 and extra["tag"] == {"classes": ["run", "jump"]}
    assert same(weights(model), weights(other))
    assert other_optimizer.param_groups[0]["lr"] == 0.1
    momentum = [state["momentum_buffer"] for state in other_optimizer.state.values()]
    assert momentum and all(torch.equal(buffer, torch.ones_like(buffer)) for buffer in momentum)


def test_older_files_are_removed(tmp_path):
    saver = ActionCheckpointer(ToyModel(), str(tmp_path), keep=2)
    (tmp_path / "model_best.pth").touch()
    torch.save({"model": {}}, tmp_path / "model_0000099.pth")  # of an earlier, longer run

    def saved(name):
        saver.save(name)
        assert saver.newest == str(tmp_path / f"{name}.pth")
        return sorted(path.stem.removeprefix("model_").lstrip("0") for path in tmp_path.glob("*.pth"))

    assert saved("model_0000001") == ["1", "99", "best"]
    assert saved("model_0000003") == ["1", "3", "99", "best"]
    assert saved("model_0000005") == ["3", "5", "99", "best"]
    assert saved("model_final") == ["5", "99", "best", "final"]
    assert saved("model_0000007") == ["5", "7", "99", "best", "final"]
    assert (tmp_path / "last_checkpoint").read_text() == "model_0000007.pth"


class Counter:
    def __init__(self, count):
        self.count = count

    def state_dict(self):
        return {"count": self.count}

    def load_state_dict(self, state):
        self.count = state["count"]


def test_a_part_that_is_made_after_loading(tmp_path):
    """The data stream: where it starts stands in the checkpoint."""
    for expected in (5, 5):
        saver = ActionCheckpointer(ToyModel(), str(tmp_path))
        loaded, part = saver.resume_or_load("", resume=True), Counter(0 if (tmp_path / "a.pth").exists() else 5)
        saver.add_late("samples", part, loaded)
        assert part.count == expected and "samples" not in loaded
        saver.save("a")
    saver.add_late("batches", [1, 2], {})  # has no state
    with pytest.raises(CheckpointError, match="samples state does not fit this run: samples.count is of type str"):
        ActionCheckpointer(ToyModel()).add_late("samples", Counter(1), {"samples": {"count": "x"}})


def test_without_resume_only_the_model_is_loaded(tmp_path):
    model, optimizer = ToyModel(), torch.optim.SGD(ToyModel().parameters(), lr=0.1)
    ActionCheckpointer(model, str(tmp_path), optimizer=optimizer).save("a", iteration=9)
    other, fresh = ToyModel(), torch.optim.SGD(ToyModel().parameters(), lr=0.7)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    loader = ActionCheckpointer(other, str(tmp_path / "new"), optimizer=fresh)
    loader.resume_or_load(str(tmp_path / "a.pth"), resume=False)
    assert same(weights(model), weights(other))
    assert fresh.param_groups[0]["lr"] == 0.7 and torch.equal(before, torch.get_rng_state())


def test_nothing_to_load(tmp_path):
    assert ActionCheckpointer(ToyModel(), str(tmp_path)).resume_or_load("", resume=True) == {}


def test_random_generators_continue():
    state = random_state()
    drawn = (random.random(), np.random.rand(3).tolist(), np.random.randn(), torch.rand(2).tolist())
    set_random_state(state)
    assert drawn == (random.random(), np.random.rand(3).tolist(), np.random.randn(), torch.rand(2).tolist())


def test_odd_normal_draw_continues(tmp_path):
    """NumPy and Python hold back the second of a pair of normal numbers; the file must keep it."""
    random.gauss(0, 1), np.random.randn()
    saver = ActionCheckpointer(ToyModel(), str(tmp_path))
    saver.save("a")
    drawn = (random.gauss(0, 1), np.random.randn(), random.gauss(0, 1), np.random.randn())
    saver.resume_or_load("", resume=True)
    assert drawn == (random.gauss(0, 1), np.random.randn(), random.gauss(0, 1), np.random.randn())


class Other(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(3, 5)
        self.head = nn.Linear(5, 2)


def test_other_architecture_is_one_clear_error(tmp_path):
    ActionCheckpointer(nn.Sequential(nn.Linear(3, 5), nn.Linear(5, 4)), str(tmp_path)).save("seq")
    saved = ActionCheckpointer(Other(), str(tmp_path))
    before = weights(saved.model)
    for strict in (True, False):  # nothing fits: not even lenient loading may pass over it
        with pytest.raises(CheckpointError) as error:
            saved.load(str(tmp_path / "seq.pth"), strict=strict)
        text = str(error.value)
        assert str(tmp_path / "seq.pth") in text and "0 of the model's 4 entries fit" in text
        assert "4 only in the model: net.weight (5, 3)" in text and "4 only in the file: 0.weight (5, 3)" in text
    assert same(before, weights(saved.model))


def test_other_shape_refused_when_strict_else_partly_loaded(tmp_path, caplog):
    source = ToyModel(width=8)
    ActionCheckpointer(source, str(tmp_path)).save("wide")
    target = ToyModel(width=8)
    target.out = nn.Linear(8, 3)
    before, loader = weights(target), ActionCheckpointer(target, str(tmp_path))
    with pytest.raises(CheckpointError, match=r"2 of another shape: out.weight \(1, 8\), model \(3, 8\)"):
        loader.load(str(tmp_path / "wide.pth"))
    assert same(before, weights(target))
    with caplog.at_level("WARNING"):
        loader.load(str(tmp_path / "wide.pth"), strict=False)
    assert "loaded in part" in caplog.text and "out.bias (1,), model (3,)" in caplog.text
    assert torch.equal(target.net[0].weight, source.net[0].weight)
    assert torch.equal(target.out.weight, before["out.weight"])


def test_same_shapes_but_other_classes_refused(tmp_path):
    ActionCheckpointer(ToyModel(), str(tmp_path), tag={"classes": ["run", "jump"]}).save("a")
    loader = ActionCheckpointer(ToyModel(), tag={"classes": ["jump", "run"]})
    before = weights(loader.model)
    with pytest.raises(CheckpointError, match=r"was saved with classes \['run', 'jump'\], but this model has"):
        loader.load(str(tmp_path / "a.pth"))
    assert same(before, weights(loader.model))
    loader.load(str(tmp_path / "a.pth"), strict=False)


def test_optimizer_of_another_run_refused_before_the_model_is_touched(tmp_path):
    model = ToyModel()
    ActionCheckpointer(model, str(tmp_path), optimizer=torch.optim.SGD(model.parameters(), 0.1)).save("a")
    other = ToyModel()
    before = weights(other)
    loader = ActionCheckpointer(other, str(tmp_path), optimizer=torch.optim.SGD(other.net.parameters(), 0.1))
    with pytest.raises(CheckpointError, match="its optimizer state does not fit this run"):
        loader.resume_or_load("", resume=True)
    assert same(before, weights(other))


def test_detectron2_and_plain_files(tmp_path):
    """DefaultTrainer's files have "trainer" and "iteration" beside "model"; torchvision's are state dicts."""
    source, target = ToyModel(), ToyModel()
    state = source.state_dict()
    torch.save({"model": state, "trainer": {"iteration": 7, "hooks": {}}, "iteration": 7}, tmp_path / "d2.pth")
    extra = ActionCheckpointer(target).load(str(tmp_path / "d2.pth"))
    assert same(weights(source), weights(target)) and extra["iteration"] == 7
    torch.save({f"module.{k}": v for k, v in state.items()}, tmp_path / "ddp.pth")
    target = ToyModel()
    ActionCheckpointer(target).load(str(tmp_path / "ddp.pth"))
    assert same(weights(source), weights(target))


class Hostile:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b"\x89PNG\r\n", b"MODEL: {}\n"])
def test_what_is_neither_zip_nor_pickle_is_no_checkpoint(tmp_path, content):
    path = tmp_path / "notes.pth"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"notes.pth: is not a checkpoint; expected a .pth of [^(]*$"):
        ActionCheckpointer(ToyModel()).load(str(path))


@pytest.mark.parametrize("form", ["zip", "legacy", "raw pickle"])
def test_hostile_pickle_is_refused_and_does_not_run(tmp_path, form):
    trap, path = tmp_path / "created", tmp_path / "hostile.pth"
    content = {"model": {"net.0.weight": Hostile(str(trap))}}
    if form == "raw pickle":
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=form == "zip")
    with pytest.raises(CheckpointError, match=r"hostile.pth: not a safe checkpoint") as refused:
        ActionCheckpointer(ToyModel()).load(str(path))
    assert "weights_only" not in str(refused.value) and "still be loaded" not in str(refused.value)
    assert not trap.exists()
    torch.load(path, weights_only=False) if form != "raw pickle" else pickle.loads(path.read_bytes())
    assert trap.exists()  # the trap works: it was the reader that did not step into it


@pytest.mark.parametrize("content", [b"", b"hello, I am a text file\n", b"PK\x03\x04 truncated zip", b"\x80\x04K"])
def test_damaged_file_is_named(tmp_path, content):
    path = tmp_path / "bad.pth"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="bad.pth"):
        read_checkpoint(path)


def test_truncated_and_missing_and_wrong_contents(tmp_path):
    ActionCheckpointer(ToyModel(), str(tmp_path)).save("a")
    whole = (tmp_path / "a.pth").read_bytes()
    (tmp_path / "half.pth").write_bytes(whole[: len(whole) // 2])
    torch.save([1, 2], tmp_path / "list.pth")
    for name, text in (
        ("half", "damaged"),
        ("none", "no such checkpoint file"),
        ("list", "neither a 'model'"),
    ):
        with pytest.raises(CheckpointError, match=rf"{name}.pth: .*{text}"):
            read_checkpoint(tmp_path / f"{name}.pth")


def test_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.pth"
    path.write_bytes(b"old")

    with pytest.raises(OSError, match="disk full"), atomic_file(path) as file:
        file.write(b"half of the new")
        raise OSError("disk full")
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["a.pth"]


def test_killed_while_writing_leaves_the_old_checkpoint(tmp_path):
    """kill -9 in the middle of a save: the earlier file of the same name is whole and still the last one."""
    model = ToyModel()
    saver = ActionCheckpointer(model, str(tmp_path))
    saver.save("model_final", iteration=4)
    code = f"""
import os, signal, torch
from tests.engine.engine_toy import ToyModel
from detect.engine.checkpoint import ActionCheckpointer
real = torch.save
def half(data, file):
    file.write(b"x" * 1000); file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
torch.save = half
ActionCheckpointer(ToyModel(), {str(tmp_path)!r}).save("model_final", iteration=5)
"""
    path = os.pathsep.join([os.path.dirname(__file__), *sys.path])
    killed = subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": path})
    assert killed.returncode == -9
    (half,) = tmp_path.glob(".model_final.pth.*.tmp")
    assert half.stat().st_size == 1000  # it did die in the middle
    target = ToyModel()
    extra = ActionCheckpointer(target, str(tmp_path)).resume_or_load("", resume=True)
    assert extra["iteration"] == 4 and same(weights(target), weights(model))
