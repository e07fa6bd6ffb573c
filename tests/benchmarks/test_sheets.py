"""Benchmarks as tables: what a row says, in which file it is kept, how it comes into a page."""

import json

import pytest
import torch

from detect.benchmarks import networks
from detect.benchmarks.detector import TorchvisionParts, benchmark_detector, spread_boxes
from detect.benchmarks.networks import benchmark_networks, check_size
from detect.benchmarks.sheet import Sheet, command_line, fill, milliseconds, timed_sheet
from detect.benchmarks.video import PARTS
from detect.utils.errors import UserError
from tests.tiny import tiny_cfg


def test_a_ratio_is_of_the_same_round():
    # the second round was twice as slow for both
    sheet = timed_sheet("n", "c", "w", {"a": [1.0, 2.0], "b": [0.5, 1.0]}, "a", {"extra": {"b": "x"}})
    assert sheet.columns == ["", "ms, median", "ms, least", "times a", "extra"]
    assert sheet.rows == [["a", "1500", "1000", "1.00", ""], ["b", "750", "500", "2.00", "x"]]
    assert sheet.data["b"] == {"seconds": [0.5, 1.0], "ratio": 2.0, "extra": "x"}


def test_milliseconds():
    assert [milliseconds(s) for s in (1.2345, 0.1, 0.0123, 0.0)] == ["1234", "100", "12.3", "0.0"]


def test_a_page_is_filled_again_and_again(tmp_path):
    sheet = Sheet(
        "one", "python tools/benchmark.py one", "What,", ["a"], [["1"]], machine={"on": "a machine", "GPU": None}
    )
    (tmp_path / "one.json").write_text(json.dumps(vars(sheet)))
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- benchmark one -->\nold\n<!-- end -->\nafter\n")
    for _ in range(2):
        assert fill(page, tmp_path) == ["one"]
        text = page.read_text()
        assert text.startswith("before\n") and text.endswith("<!-- end -->\nafter\n") and "old" not in text
        assert "What, on a machine.\n\n| a   |\n" in text and "```bash\npython tools/benchmark.py one\n```" in text
    page.write_text("<!-- benchmark two -->\n<!-- end -->\n")
    with pytest.raises(UserError, match=r"benchmark 'two', but there is no .*two\.json"):
        fill(page, tmp_path)


def test_the_command_is_what_was_typed(monkeypatch):
    monkeypatch.setattr("sys.argv", ["benchmark.py", "networks", "--json", "f.json", "--names", "s3d", "a b"])
    assert command_line() == "python tools/benchmark.py networks --names s3d 'a b'"


def test_networks_in_other_engines(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(networks, "check_size", lambda size: None)
    small = torch.nn.Sequential(torch.nn.Conv3d(3, 4, 3), torch.nn.AdaptiveAvgPool3d(1), torch.nn.Flatten()).eval()
    monkeypatch.setattr(networks, "build_networks", lambda names, train: {networks.REFERENCE: small})
    benchmark_networks((4, 8, 8), (), rounds=2, json_file=str(tmp_path / "n.json"), command="the command")
    sheet = Sheet(**json.loads((tmp_path / "n.json").read_text()))
    assert sheet.name == "networks" and sheet.command == "the command" and sheet.rows[0][0] == "torchvision fp32"
    assert all(len(row["seconds"]) == 2 for row in sheet.data.values())
    for row in sheet.rows[1:]:
        assert row[0] in ("ONNX Runtime fp32", "OpenVINO fp32", "OpenVINO bf16") and float(row[-1]) < 0.1
    assert "torchvision fp32" in capsys.readouterr().out


def test_our_rows_have_the_reference_s_outputs(tmp_path):
    benchmark_networks((16, 224, 224), (), rounds=1, engines=False, json_file=str(tmp_path / "n.json"))
    sheet = Sheet(**json.loads((tmp_path / "n.json").read_text()))
    ours = [f"ours with its weights {precision}" for precision in ("fp32", "bf16")]
    assert [row[0] for row in sheet.rows] == ["torchvision fp32", *ours]
    assert [row[-1] for row in sheet.rows][0] == "" and float(sheet.rows[1][-1]) < 0.01 < float(sheet.rows[2][-1]) < 5


def test_too_small():
    with pytest.raises(UserError, match="needs 2 x 7 x 7 cells"):
        check_size((8, 112, 112))


def test_the_detector_beside_torchvisions_parts(tmp_path):
    cfg = tiny_cfg()
    benchmark_detector(cfg, (4,), rounds=1, json_file=str(tmp_path / "d.json"))
    sheet = Sheet(**json.loads((tmp_path / "d.json").read_text()))
    assert [row[:2] for row in sheet.rows] == [["torchvision's parts", "4"], ["ours, fp32", "4"], ["ours, bf16", "4"]]
    for row in sheet.data.values():
        assert row["seconds"][0] == pytest.approx(sum(row["parts"].values()))


def test_torchvisions_parts():
    parts = TorchvisionParts((96, 128), 16, 5, batch=2)
    assert [boxes.shape for boxes in parts.boxes] == [(5, 4)] * 2 and list(parts.seconds()) == list(PARTS)
    boxes = spread_boxes(50, (96, 128))
    sides = (boxes[:, 2:] - boxes[:, :2]) / torch.tensor([128.0, 96.0])
    assert (boxes >= 0).all() and (boxes[:, 2:] <= torch.tensor([128.0, 96.0]) + 1e-3).all()
    assert 0.2 <= float(sides.min()) and float(sides.max()) <= 0.8
