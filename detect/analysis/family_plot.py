"""The paper's Figure 4: accuracy and cost of the Top- and Bottom-Heavy networks over K."""

import csv
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import backbones
from detect.utils.errors import UserError
from detect.utils.files import read_text
from detect.utils.plots import new_figure, save_figure

HEAVY = re.compile(r"(?P<side>bottom|top)_heavy_(?P<family>i3d|s3d)_(?P<k>\d+)")


def check_networks(names: Sequence[str]) -> tuple[str, ...]:
    """The names, or the whole family where there are none. UserError with the legal names for an unknown one."""
    for name in names:
        if name not in backbones.names():
            raise UserError(f"unknown network {name!r}; the networks are {', '.join(backbones.names())}")
    return tuple(names) or backbones.names()


def read_results(path: str | Path) -> dict[str, float]:
    """Top-1 accuracy in percent by network, of a CSV with the columns network and top1. UserError names a bad line."""
    results = {}
    reader = csv.DictReader(read_text(path).splitlines())
    if not {"network", "top1"} <= set(reader.fieldnames or ()):
        raise UserError(f"{path}: the columns are {reader.fieldnames}; network and top1 are needed")
    for row in reader:
        try:
            (name,), value = check_networks([row["network"]]), float(row["top1"])
        except (TypeError, ValueError) as error:
            raise UserError(f"{path}, line {reader.line_num}: {error}") from error
        if not 0 <= value <= 100:
            raise UserError(f"{path}, line {reader.line_num}: top1 {row['top1']} is not between 0 and 100 percent")
        results[name] = value
    return results


def heavy_families(rows: Sequence[dict[str, Any]]) -> dict[str, list[tuple[int, dict[str, Any]]]]:
    """(K, row) in order of K for each family of the rows, such as "top-heavy S3D"; other networks are left out."""
    families: dict[str, list[tuple[int, dict[str, Any]]]] = {}
    for row in rows:
        if match := HEAVY.fullmatch(row["network"]):
            families.setdefault(f"{match['side']}-heavy {match['family'].upper()}", []).append((int(match["k"]), row))
    return {name: sorted(points, key=lambda point: point[0]) for name, points in families.items()}


def plot_family(rows: Sequence[dict[str, Any]], path: str | Path, results: dict[str, float]) -> None:
    """The paper's Figure 4: top-1 accuracy (`results`) against multiply-adds, K beside each point, and against latency
    where it was measured. Without results, multiply-adds and latency against K. UserError if no result fits a point.
    """
    if results and not any(HEAVY.fullmatch(row["network"]) and row["network"] in results for row in rows):
        raise UserError(
            f"the results are of {', '.join(results)}: none is a bottom_heavy_* or top_heavy_* network shown"
        )
    costs = [("multiply_adds", 1e9, "multiply-adds, $10^9$"), ("latency_s", 1e-3, "latency, ms")]
    costs = [cost for cost in costs if any(row[cost[0]] is not None for row in rows)]
    figure = new_figure(6 * len(costs), 5)
    for axes, (key, divisor, label) in zip(figure.subplots(1, len(costs), squeeze=False)[0], costs, strict=True):
        for name, points in heavy_families(rows).items():
            style = {"marker": "o" if "top" in name else "s", "linestyle": "-" if "S3D" in name else "--"}
            if results:
                points = [(k, row) for k, row in points if row["network"] in results]
                if not points:
                    continue
                xs, ys = [row[key] / divisor for _, row in points], [results[row["network"]] for _, row in points]
                for (k, _), x, y in zip(points, xs, ys, strict=True):
                    axes.annotate(str(k), (x, y), textcoords="offset points", xytext=(4, 4), fontsize=8)
            else:
                xs, ys = [k for k, _ in points], [row[key] / divisor for _, row in points]
            axes.plot(xs, ys, label=name, **style)
        axes.set(xlabel=label if results else "K", ylabel="top-1 accuracy, %" if results else label)
        axes.grid(alpha=0.3)
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, frameon=False)
    save_figure(figure, path)
