"""The family table and Figure 4: what is in them, the tool's arguments, bad input."""

import csv
import runpy
import sys
from pathlib import Path

import pytest

import backbones
from detect.analysis import family_plot
from detect.analysis.family import COLUMNS, PAPER, PAPER_SIZE, analyze, format_table, measure_in_process
from detect.analysis.family_plot import check_networks, heavy_families, plot_family, read_results
from detect.utils.files import write_csv
from detect.utils.plots import save_figure

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def run(monkeypatch, capsys):
    """Call the tool as the command line does, in this process: exit status, what it printed, its errors."""
    monkeypatch.setenv("DETECT_DEFAULT_MALLOC", "1")

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["analyze_model.py", *map(str, arguments)])
        try:
            runpy.run_path(str(ROOT / "tools" / "analyze_model.py"), run_name="__main__")
            status = 0
        except SystemExit as end:
            status = end.code
        return status, *capsys.readouterr()

    return call


@pytest.fixture(scope="module")
def rows():
    names = ("s3dg", "top_heavy_s3d_10", "top_heavy_s3d_2", "bottom_heavy_i3d_0")
    return analyze(names, (4, 32, 32), width=0.125)


def test_rows_have_the_counts_and_the_papers_figures_and_none_for_the_unknown(rows):
    assert all(tuple(row) == COLUMNS for row in rows)
    s3dg, heavy = rows[0], rows[1]
    parameters = sum(p.numel() for p in backbones.build("s3dg", width=0.125).parameters())
    assert s3dg["parameters"] == parameters and s3dg["paper_top1_kinetics"] == 74.7
    assert s3dg["paper_multiply_adds_g"] is None  # the paper counted at 64 x 224 x 224
    assert s3dg["latency_s"] is None and heavy["paper_parameters_m"] is None
    (full,) = analyze(["s3dg"], PAPER_SIZE)
    assert full["paper_multiply_adds_g"] == 71.38


def test_the_papers_rows_are_networks_of_ours_with_known_columns():
    assert set(PAPER) <= set(backbones.names())
    assert all(f"paper_{field}" in COLUMNS for figures in PAPER.values() for field in figures)


def test_order_and_ratios_of_the_papers_counts_hold():
    ours = {row["network"]: row for row in analyze(["i3d", "s3d", "s3dg", "fast_s3d", "i2d"], PAPER_SIZE)}
    adds = {name: row["multiply_adds"] for name, row in ours.items()}
    assert adds["i2d"] < adds["fast_s3d"] < adds["s3d"] < adds["s3dg"] < adds["i3d"]
    assert ours["s3d"]["parameters"] < ours["s3dg"]["parameters"] < ours["i3d"]["parameters"]
    # Table 2: S3D has 0.62 of I3D's multiply-adds and 0.73 of its parameters
    assert adds["s3d"] / adds["i3d"] == pytest.approx(66.38 / 107.89, abs=0.08)
    assert ours["s3d"]["parameters"] / ours["i3d"]["parameters"] == pytest.approx(8.77 / 12.06, abs=0.05)


def test_columns_without_a_value_are_left_out_of_the_table(rows):
    head, rule, first, *_ = format_table(rows, "github").splitlines()
    assert "latency" not in head and "Mini-Kinetics" not in head and "paper top-1 Kinetics" in head
    assert first.startswith("| s3dg ") and "| 74.7 |" in " ".join(first.split())
    assert len(format_table(rows[1:], "github").splitlines()[0]) < len(head)  # no figure of the paper at all


def test_csv_has_exact_numbers_and_empty_cells(rows, tmp_path):
    write_csv(tmp_path / "family.csv", COLUMNS, rows)
    with open(tmp_path / "family.csv", newline="") as file:
        back = list(csv.DictReader(file))
    assert [int(row["multiply_adds"]) for row in back] == [row["multiply_adds"] for row in rows]
    assert back[0]["latency_s"] == "" and back[0]["paper_top1_kinetics"] == "74.7"


def test_families_in_order_of_k(rows):
    families = heavy_families(rows)
    assert {name: [k for k, _ in points] for name, points in families.items()} == {
        "top-heavy S3D": [2, 10],
        "bottom-heavy I3D": [0],
    }


def test_measured_in_a_process_of_its_own():
    measured = measure_in_process("i2d", (16, 128, 128), "cpu", 1, 1, {"width": 0.25})
    assert measured.seconds > 0
    if measured.peak_bytes is not None:  # Linux; the stem's output, 16 channels x 8 x 64 x 64 of 4 bytes, is 2 MiB
        assert 2 * 2**20 <= measured.peak_bytes < 200 * 2**20


@pytest.mark.parametrize("results", [{}, {"top_heavy_s3d_10": 70.0, "top_heavy_s3d_2": 75.5, "i3d": 71.1}])
def test_figure_4(rows, results, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib", reason="plots need matplotlib")
    figures = []
    monkeypatch.setattr(
        family_plot, "save_figure", lambda *arguments: (figures.append(arguments), save_figure(*arguments))
    )
    measured = [row | {"latency_s": 0.1 * number} for number, row in enumerate(rows, 1)]
    plot_family(measured, tmp_path / "figure4.svg", results)
    by_name = {row["network"]: row for row in measured}
    top = [by_name["top_heavy_s3d_2"], by_name["top_heavy_s3d_10"]]
    ((figure, _),) = figures
    for axes, key, unit in zip(figure.axes, ("multiply_adds", "latency_s"), (1e9, 1e-3), strict=True):
        lines = {line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in axes.lines}
        costs = [row[key] / unit for row in top]
        if results:  # K stands beside its point
            assert lines.pop("top-heavy S3D") == (costs, [75.5, 70.0])
            assert all(points == ([], []) for points in lines.values())
            assert [(text.get_text(), text.xy) for text in axes.texts] == [
                ("2", (costs[0], 75.5)),
                ("10", (costs[1], 70.0)),
            ]
        else:
            bottom = by_name["bottom_heavy_i3d_0"][key] / unit
            assert lines == {"top-heavy S3D": ([2, 10], costs), "bottom-heavy I3D": ([0], [bottom])}
        assert (axes.get_xlabel() == "K") == (not results)
    assert "<svg" in (tmp_path / "figure4.svg").read_text()
    with pytest.raises(ValueError, match="no picture format 'xyz'.*png"):
        plot_family(rows, tmp_path / "figure4.xyz", results)
    assert [path.name for path in tmp_path.iterdir()] == ["figure4.svg"]


def test_results_that_belong_to_no_point(rows, tmp_path):
    with pytest.raises(ValueError, match="i3d: none is a bottom_heavy"):
        plot_family(rows, tmp_path / "figure4.png", {"i3d": 71.1})


def test_results_file(tmp_path):
    path = tmp_path / "results.csv"
    path.write_text("network,top1,note\ni3d,71.1,ours\ntop_heavy_s3d_3,70\n")
    assert read_results(path) == {"i3d": 71.1, "top_heavy_s3d_3": 70.0}
    for text, message in (
        ("name,top1\ni3d,1\n", r"columns are \['name', 'top1'\]; network and top1"),
        ("", "network and top1 are needed"),
        ("network,top1\ni3d,71\ni4d,3\n", "line 3: unknown network 'i4d'.*i3d"),
        ("network,top1\ni3d,high\n", "line 2: .*high"),
        ("network,top1\ni3d,710\n", "line 2: top1 710 is not between"),
        ("network,top1\ni3d\n", "line 2"),
    ):
        path.write_text(text)
        with pytest.raises(ValueError, match=message):
            read_results(path)


def test_no_name_is_the_whole_family():
    assert check_networks([]) == backbones.names()


def test_tool_writes_table_and_files(run, tmp_path):
    table, listing = tmp_path / "family.md", tmp_path / "family.csv"
    status, printed, errors = run(
        "i2d", "s3dg", "--size", 8, 32, 32, "--width", 0.125, "--markdown", table, "--csv", listing
    )
    assert status == 0, errors
    assert "one clip of 8 x 32 x 32" in printed and "s3dg" in printed
    assert table.read_text().startswith("| network ") and listing.read_text().startswith("network,parameters,")


def test_tool_names_the_legal_networks(run):
    status, _, errors = run("s4d")
    assert status == 2 and "Traceback" not in errors
    assert "unknown network 's4d'" in errors and all(name in errors for name in backbones.names())
