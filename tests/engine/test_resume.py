"""Which checkpoint --resume goes on from where files of the run are damaged."""

import pytest
import torch

from detect.config import get_cfg
from detect.engine.checkpoint import ActionCheckpointer
from detect.engine.resume import numbered, read_last_checkpoint
from detect.utils.checkpoint_files import CheckpointError
from tests.engine.engine_toy import ToyModel, toy_trainer


@pytest.fixture
def run(tmp_path):
    """(folder, config) of a run that saved after iterations 4, 9 and 11, the last as model_final."""
    toy_trainer(tmp_path).train()
    cfg = get_cfg()
    cfg.OUTPUT_DIR = str(tmp_path)
    return tmp_path, cfg


def cut(path):
    path.write_bytes(path.read_bytes()[:1000])


def found(cfg):
    path, contents = read_last_checkpoint(cfg)
    return path.rsplit("/", 1)[1], contents["iteration"]


def test_the_last_one_where_all_is_well(run, caplog):
    assert found(run[1]) == ("model_final.pth", 11)
    (run[0] / "last_checkpoint").write_text("model_0000004.pth\n")
    assert found(run[1]) == ("model_0000004.pth", 4) and not caplog.records


def test_a_damaged_one_is_named_and_the_one_before_it_used(run, caplog):
    folder, cfg = run
    cut(folder / "model_final.pth")
    assert found(cfg) == ("model_0000009.pth", 9)
    (record,) = caplog.records
    assert "model_final.pth: not a" in record.message and "Going on from" in record.message
    assert record.message.endswith(f"{folder}/model_0000009.pth") and record.levelname == "WARNING"
    cut(folder / "model_0000009.pth")
    assert found(cfg) == ("model_0000004.pth", 4)
    resumed = toy_trainer(folder, resume=True)
    assert resumed.options.start_iter == 5
    resumed.train()
    assert found(cfg) == ("model_final.pth", 11)


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", "is no name of a checkpoint"),
        (b"\xff\xfe\x00", "cannot be read: it is not text"),
        (b"../model_0000004.pth", "is no name of a checkpoint"),
        (b"model_0000007.pth", "names model_0000007.pth, and there is no such file"),
        (None, "cannot be read: No such file"),
    ],
)
def test_a_damaged_note_of_the_last_one(run, caplog, content, message):
    folder, cfg = run
    note = folder / "last_checkpoint"
    note.unlink() if content is None else note.write_bytes(content)
    assert found(cfg) == ("model_final.pth", 11)
    assert f"{note}: " in caplog.text and message in caplog.text


def test_the_newest_is_the_one_of_the_highest_iteration(run):
    """A finished run that was lengthened: model_final is older than the numbered files."""
    folder, cfg = run
    toy_trainer(folder, resume=True, max_iter=16).train()
    (folder / "model_final.pth").unlink()
    torch.save({"model": {}, "iteration": 11}, folder / "model_final.pth")
    (folder / "last_checkpoint").write_text("")
    assert list(numbered(folder)) == [14, 9, 4] and found(cfg) == ("model_0000014.pth", 14)


def test_none_can_be_read(run):
    for path in run[0].glob("*.pth"):
        cut(path)
    with pytest.raises(CheckpointError, match="(?s)model_final.pth: .* No other model_.*Next: start anew"):
        read_last_checkpoint(run[1])


def test_without_any_it_starts_anew(tmp_path, caplog):
    cfg = get_cfg()
    cfg.OUTPUT_DIR = str(tmp_path / "not there")
    with caplog.at_level("INFO"):
        assert read_last_checkpoint(cfg) is None
    assert "not there; training starts anew" in caplog.text


WRONG = {
    "iteration": ["7", True, -2, None, 1.5],
    "tag": ["x", []],
    "rng": [{}, "x"],
    "optimizer": [[], 3],
    "schedule": [None],
}


@pytest.mark.parametrize("name, value", [(name, value) for name, values in WRONG.items() for value in values])
def test_entries_of_another_kind(run, name, value):
    """It is an error where the file is asked for, and a reason to use the one before it where it is the last."""
    folder, cfg = run
    data = torch.load(folder / "model_final.pth", weights_only=True)
    torch.save({**data, name: value}, folder / "model_final.pth")
    with pytest.raises(CheckpointError, match=rf"model_final.pth: damaged: its {name} is .*, not .*\. Next: [^\n]*$"):
        toy_trainer(folder).checkpointer.load(str(folder / "model_final.pth"), complete=True)
    assert found(cfg) == ("model_0000009.pth", 9)


@pytest.mark.parametrize(
    "name, value",
    [
        ("rng", [{"python": (3, [1], None)}]),
        ("rng", [{"python": 1, "numpy": 2, "torch": 3, "cuda": None}]),
        ("rng", ["x"]),
        ("optimizer", {}),
        ("optimizer", {"state": {}, "param_groups": [{"lr": "high", "params": [0]}]}),
        ("schedule", {"last_epoch": "x"}),
        ("model", {3: torch.zeros(1)}),
        ("model", {"net.0.weight": "x"}),
    ],
)
def test_states_that_are_damaged_inside(run, name, value):
    folder, _ = run
    data = torch.load(folder / "model_final.pth", weights_only=True)
    torch.save({**data, name: value}, folder / "model_final.pth")
    trainer = toy_trainer(folder)
    weights, drawn = [p.clone() for p in trainer.model.parameters()], torch.get_rng_state()
    with pytest.raises(CheckpointError, match=rf"model_final.pth: [^\n]*{name}[^\n]*$"):
        trainer.checkpointer.load(str(folder / "model_final.pth"), complete=True)
    assert all(map(torch.equal, weights, trainer.model.parameters())) and torch.equal(drawn, torch.get_rng_state())


def test_a_foreign_tag(tmp_path):
    torch.save({"model": ToyModel().state_dict(), "tag": "v1.0"}, tmp_path / "a.pth")
    loader = ActionCheckpointer(ToyModel(), tag={"classes": ["run"]})
    with pytest.raises(CheckpointError, match="a.pth: damaged: its tag is 'v1.0', not a dict"):
        loader.load(str(tmp_path / "a.pth"))
    loader.load(str(tmp_path / "a.pth"), strict=False)
