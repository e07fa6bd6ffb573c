"""Tables and plots of what the networks of the family cost, beside the paper's figures."""

import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import torch
from tabulate import tabulate
from tqdm import tqdm

import backbones
from backbones.profile import Measurement, measure, profile
from detect.analysis.family_plot import HEAVY, check_networks, plot_family, read_results
from detect.utils.errors import UserError
from detect.utils.files import write_csv, write_text
from detect.utils.malloc import tune_malloc
from detect.utils.plots import new_figure

Row = dict[str, Any]

# Xie et al., ECCV 2018: parameters in millions and 10^9 multiply-adds at 64 x 224 x 224 (Table 2; Fast-S3D: section
# 4.4), and top-1 accuracy of RGB, in percent: Kinetics-400 (Table 2), Mini-Kinetics-200 (section 4) and
# Something-something v1, validation (Table 3). The public graphs do not give the first two to the digit.
PAPER_SIZE = (64, 224, 224)
PAPER: dict[str, dict[str, float]] = {
    "i2d": {"top1_something": 34.4},
    "i3d": {
        "parameters_m": 12.06, "multiply_adds_g": 107.89,
        "top1_kinetics": 71.1, "top1_mini_kinetics": 78.4, "top1_something": 45.8,
    },
    "s3d": {
        "parameters_m": 8.77, "multiply_adds_g": 66.38,
        "top1_kinetics": 72.2, "top1_mini_kinetics": 78.9, "top1_something": 47.3,
    },
    "s3dg": {"parameters_m": 11.56, "multiply_adds_g": 71.38, "top1_kinetics": 74.7, "top1_something": 48.2},
    "fast_s3d": {"multiply_adds_g": 43.47, "top1_mini_kinetics": 78.0},
}  # fmt: skip
PAPER_FIELDS = ("parameters_m", "multiply_adds_g", "top1_kinetics", "top1_mini_kinetics", "top1_something")
COLUMNS = (
    "network", "parameters", "multiply_adds", "activation_bytes", "latency_s", "peak_bytes",
    *(f"paper_{field}" for field in PAPER_FIELDS),
)  # fmt: skip
# The printed table: heading, column of a row, divisor, decimals.
TABLE = (
    ("network", "network", None, 0),
    ("params M", "parameters", 1e6, 2),
    ("paper", "paper_parameters_m", 1, 2),
    ("G multiply-adds", "multiply_adds", 1e9, 2),
    ("paper", "paper_multiply_adds_g", 1, 2),
    ("activations MiB", "activation_bytes", 2**20, 0),
    ("latency ms", "latency_s", 1e-3, 0),
    ("peak MiB", "peak_bytes", 2**20, 0),
    ("paper top-1 Kinetics", "paper_top1_kinetics", 1, 1),
    ("Mini-Kinetics", "paper_top1_mini_kinetics", 1, 1),
    ("Something v1", "paper_top1_something", 1, 1),
)


def run_analysis(
    networks: Sequence[str],
    size: Sequence[int] = PAPER_SIZE,
    *,
    latency: bool = False,
    device: str = "cpu",
    repeat: int = 5,
    csv: str | None = None,
    markdown: str | None = None,
    plot: str | None = None,
    results_file: str | None = None,
    **options: Any,
) -> None:
    """See the docstring of tools/analyze_model.py; options: of `backbones.build`. UserError for bad input."""
    names = check_networks(networks)
    results = read_results(results_file) if results_file else {}
    if plot and not any(HEAVY.fullmatch(name) for name in names):
        raise UserError("--plot draws bottom_heavy_* and top_heavy_* networks; none of these was asked for")
    if plot:
        new_figure(1, 1)  # no matplotlib: say so before the work
    size = tuple(size)
    rows = analyze(names, size, device=device if latency else None, repeat=repeat, **options)
    print(f"one clip of {size[0]} x {size[1]} x {size[2]}, {options.get('num_classes', 400)} classes, float32")
    if latency:
        print(f"latency: median of {repeat} on {describe_device(device)}")
    print(format_table(rows, "simple"))
    if csv:
        write_csv(csv, COLUMNS, rows)
    if markdown:
        write_text(markdown, format_table(rows, "github") + "\n")
    if plot:
        plot_family(rows, plot, results)


def analyze(
    names: Sequence[str],
    size: tuple[int, int, int],
    *,
    device: str | None = None,
    repeat: int = 5,
    threads: int | None = None,
    **options: Any,
) -> list[Row]:
    """One row a network, with the keys COLUMNS; what is not known is None.

    size: frames, height, width.  device: where to measure latency and peak memory, each network in a process of its
    own, batch normalisation folded; None measures nothing.  threads: of a CPU (PyTorch's default).  options: of
    `backbones.build`.
    """
    rows = []
    for name in tqdm(names, "networks", unit="network", disable=None):
        with torch.device("meta"):
            counts = profile(backbones.build(name, **options), size)
        row = dict.fromkeys(COLUMNS) | {"network": name} | vars(counts)
        row |= {f"paper_{field}": value for field, value in PAPER.get(name, {}).items()}
        if size != PAPER_SIZE:
            row["paper_multiply_adds_g"] = None
        if device is not None:
            measured = measure_in_process(name, size, device, repeat, threads, options)
            row |= {"latency_s": measured.seconds, "peak_bytes": measured.peak_bytes}
        rows.append(row)
    return rows


def measure_in_process(
    name: str, size: tuple[int, int, int], device: str, repeat: int, threads: int | None, options: dict[str, Any]
) -> Measurement:
    """`backbones.profile.measure` in a fresh process with malloc tuned as in every tool."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), tune_malloc) as pool:
        return pool.submit(_measure, name, size, device, repeat, threads, options).result()


def _measure(name, size, device, repeat, threads, options) -> Measurement:
    if threads:
        torch.set_num_threads(threads)
    return measure(backbones.fold_batch_norm(backbones.build(name, **options).eval()), size, device, repeat)


def describe_device(device: str) -> str:
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU, {torch.get_num_threads()} threads"


def format_table(rows: Sequence[Row], form: str) -> str:
    """The rows as a table of tabulate's format `form`; columns without any value are left out."""
    shown = [column for column in TABLE if any(row[column[1]] is not None for row in rows)]
    cells = [[_cell(row[key], divisor, decimals) for _, key, divisor, decimals in shown] for row in rows]
    align = ["left" if divisor is None else "right" for _, _, divisor, _ in shown]
    return tabulate(cells, [heading for heading, *_ in shown], form, colalign=align, disable_numparse=True)


def _cell(value: Any, divisor: float | None, decimals: int) -> str:
    if value is None:
        return ""
    return value if divisor is None else f"{value / divisor:.{decimals}f}"
