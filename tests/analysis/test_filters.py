"""Figure 5: the boxes against numpy and matplotlib, which weights count, the tool."""

import csv
from dataclasses import asdict

import numpy as np
import pytest
import torch

import backbones
from detect.analysis import filters
from detect.analysis.filters import COLUMNS, by_layer, filter_stats, plot_filters, run_filter_stats
from detect.utils.checkpoint_files import CheckpointError
from detect.utils.files import write_csv
from detect.utils.plots import save_figure


@pytest.fixture
def state():
    torch.manual_seed(0)
    return {
        "a.full.weight": torch.randn(4, 3, 3, 3, 3) ** 3,
        "a.full.bias": torch.randn(4),
        "a.flat.weight": torch.randn(4, 3, 1, 3, 3),
        "b.temporal.weight": torch.randn(8, 8, 7, 1, 1),
        "b.even.weight": torch.randn(2, 2, 4, 1, 1).half(),
        "c.linear.weight": torch.randn(4, 4),
    }


def test_every_layer_with_temporal_extent_and_no_other(state):
    layers = by_layer(filter_stats(state))
    assert {name: rows[0].kernel for name, rows in layers.items()} == {
        "a.full": "3x3x3",
        "b.temporal": "7x1x1",
        "b.even": "4x1x1",
    }
    assert [row.offset for row in layers["b.temporal"]] == [-3, -2, -1, 0, 1, 2, 3]
    assert [row.offset for row in layers["b.even"]] == [-2, -1, 0, 1]
    assert {row.weights for row in layers["a.full"]} == {4 * 3 * 9}


def test_quartiles_are_numpys_and_whiskers_and_outliers_are_matplotlibs(state):
    cbook = pytest.importorskip("matplotlib.cbook", reason="the reference is matplotlib's boxplot_stats")
    for row, t in zip(by_layer(filter_stats(state))["a.full"], range(3), strict=True):
        w = state["a.full.weight"][:, :, t].double().numpy().ravel()
        np.testing.assert_allclose((row.q1, row.median, row.q3), np.percentile(w, (25, 50, 75)), rtol=1e-12)
        assert row.mean == pytest.approx(w.mean())
        (box,) = cbook.boxplot_stats(w)
        assert (row.whisker_low, row.whisker_high) == pytest.approx((box["whislo"], box["whishi"]))
        assert row.outliers == len(box["fliers"]) > 0


def test_a_box_by_hand():
    # 0 1 2 3 4 100: quartiles at ranks 1.25, 2.5, 3.75; 3.75 + 1.5 * 2.5 = 7.5, so 100 is beyond the whisker at 4
    weight = torch.tensor([0.0, 1, 2, 3, 4, 100]).reshape(6, 1, 1, 1, 1).expand(6, 1, 2, 1, 1)
    for row in filter_stats({"w": weight}):
        assert (row.q1, row.median, row.q3) == (1.25, 2.5, 3.75)
        assert (row.whisker_low, row.whisker_high, row.outliers) == (0, 4, 1)


def test_identity_temporal_convolutions_are_flat_boxes_with_the_diagonal_outside():
    net = backbones.build("s3d", width=0.125)
    layers = by_layer(filter_stats(net.state_dict()))
    assert len(layers) == 1 + 1 + 9 * 4  # stem, 2c, four branches of nine blocks
    for rows in layers.values():
        channels = round(rows[0].weights ** 0.5)
        assert [row.outliers for row in rows if row.offset] == [0] * (len(rows) - 1)
        (middle,) = (row for row in rows if row.offset == 0)
        assert middle.outliers == channels and middle.mean == pytest.approx(1 / channels)


def test_inflated_filters_start_alike_at_every_offset():
    weight = torch.randn(8, 4, 1, 3, 3).expand(8, 4, 3, 3, 3) / 3
    a, b, c = filter_stats({"w": weight})
    assert (
        (a.q1, a.median, a.q3, a.outliers) == (b.q1, b.median, b.q3, b.outliers) == (c.q1, c.median, c.q3, c.outliers)
    )


def test_weights_that_are_not_finite_are_named(state):
    state["b.temporal.weight"][0, 0, 0] = float("nan")
    with pytest.raises(ValueError, match="b.temporal.weight: 1 of its weights"):
        filter_stats(state)


def test_csv_reads_back(state, tmp_path):
    rows = filter_stats(state)
    write_csv(tmp_path / "boxes.csv", COLUMNS, map(asdict, rows))
    with open(tmp_path / "boxes.csv", newline="") as file:
        back = list(csv.DictReader(file))
    assert [(row["layer"], int(row["offset"])) for row in back] == [(row.layer, row.offset) for row in rows]
    assert [float(row["q3"]) for row in back] == [row.q3 for row in rows]


def test_tool_on_a_checkpoint_and_on_a_plain_state_dict(state, tmp_path):
    pytest.importorskip("matplotlib", reason="plots need matplotlib")
    for name, content in (("ours", {"model": state, "iteration": 3}), ("plain", state)):
        torch.save(content, tmp_path / f"{name}.pth")
        paths = {"csv": tmp_path / f"{name}.csv", "plot": tmp_path / f"{name}.png"}
        run_filter_stats(str(tmp_path / f"{name}.pth"), **paths)
    assert (tmp_path / "ours.csv").read_text() == (tmp_path / "plain.csv").read_text()
    assert (tmp_path / "ours.png").read_bytes()[:4] == b"\x89PNG"


def test_nothing_to_show_and_nothing_to_write(tmp_path):
    torch.save({"w": torch.zeros(2, 2, 1, 3, 3)}, tmp_path / "flat.pth")
    with pytest.raises(CheckpointError, match="flat.pth: no temporal filter"):
        run_filter_stats(str(tmp_path / "flat.pth"), csv=tmp_path / "x.csv")
    assert not (tmp_path / "x.csv").exists()
    with pytest.raises(ValueError, match="--csv FILE, --plot FILE"):
        run_filter_stats(str(tmp_path / "flat.pth"))


def test_many_layers_fill_several_lines(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib", reason="plots need matplotlib")
    figures = []
    monkeypatch.setattr(
        filters, "save_figure", lambda figure, path: (figures.append(figure), save_figure(figure, path))
    )
    state = {f"stages.{i}.weight": torch.randn(2, 2, 3, 1, 1) for i in range(8)}
    rows = filter_stats(state)
    plot_filters(rows, tmp_path / "boxes.svg")
    assert "<svg" in (tmp_path / "boxes.svg").read_text()
    panels = figures[0].axes
    assert [axes.get_title() for axes in panels] == [f"{i}\n3x1x1" for i in range(8)]
    assert len({round(axes.get_position().y0, 3) for axes in panels}) == 2  # six and two
    for axes, weight in zip(panels, state.values(), strict=True):
        assert [label.get_text() for label in axes.get_xticklabels()] == ["-1", "0", "1"]
        levels = {float(y) for line in axes.lines for y in line.get_ydata()}
        assert {float(np.median(weight[:, :, t].double().numpy())) for t in range(3)} <= levels
