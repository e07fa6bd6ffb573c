"""The page of the growth curves: a picture and a table for each."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from tabulate import tabulate

from detect.benchmarks.growth import CURVES, Grown, exponent
from detect.benchmarks.sheet import this_machine
from detect.utils.files import make_folder, write_text
from detect.utils.plots import new_figure, save_figure
from detect.visualization.charts import short

COLUMNS = 4
HEAD = """# How time and memory grow

Made by `tools/benchmark.py growth --page {name}`. Every point is a process of its own. Memory is what is resident,
before that what is measured began (imports, the model, the tables) and at the peak. The exponent is that of the last
step: 1 is linear, 0 does not grow; for memory, of what comes on top of what was there before.

Measured {machine}.

![curves]({picture})
"""


def write_page(path: str | Path, curves: Mapping[str, Grown]) -> None:
    """Write `path` (.md) and beside it the picture (.png). MissingExtraError without matplotlib."""
    path = Path(path)
    picture = path.with_suffix(".png")
    make_folder(path.parent)
    draw(picture, curves)
    head = HEAD.format(name=f"docs/{path.name}", picture=picture.name, machine=machine())
    write_text(path, head + "".join(map(_section, curves, curves.values())))


def machine() -> str:
    return ", ".join(f"{key} {value}" for key, value in this_machine().items() if value is not None)


def _section(name: str, grown: Grown) -> str:
    curve = CURVES[name]
    rows = [(f"{p.x:,.0f}", f"{p.seconds:.3g}", f"{p.before_gib:.2f}", f"{p.peak_gib:.2f}") for p in grown.points]
    heads = (curve.unit, "s", "before, GiB", "peak, GiB")
    table = tabulate(rows, heads, "pipe", disable_numparse=True, colalign=("right",) * 4 if rows else None)
    growth = ", ".join(
        f"exponent of {what} {'-' if (e := exponent(grown.points, value)) is None else format(e, '.2f')}"
        for what, value in (("time", lambda p: p.seconds), ("memory", lambda p: p.peak_gib - p.before_gib))
    )
    sentences = "".join(f"{_capital(text)}. " for text in (growth, grown.stopped) if text).strip()
    return f"\n## {_capital(curve.unit)}: {curve.title}\n\n{table}\n\n{sentences}\n"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def draw(path: Path, curves: Mapping[str, Grown]) -> None:
    """Seconds above memory for each curve; the dashed line is what is linear in the first point."""
    shown = {name: grown for name, grown in curves.items() if grown.points}
    columns = min(len(shown), COLUMNS) or 1
    rows = -(-len(shown) // columns)
    figure = new_figure(3.4 * columns, 5.2 * max(rows, 1))
    axes = figure.subplots(2 * max(rows, 1), columns, squeeze=False)
    for panel in axes.flat:
        panel.set_axis_off()
    for place, (name, grown) in enumerate(shown.items()):
        row, column = divmod(place, columns)
        upper, lower = axes[2 * row][column], axes[2 * row + 1][column]
        xs, seconds = [point.x for point in grown.points], [point.seconds for point in grown.points]
        _panel(upper, xs, seconds, "seconds")
        upper.plot(xs, [seconds[0] * x / xs[0] for x in xs], color="0.6", linewidth=0.8, linestyle="--")
        upper.set(yscale="log", title=name)
        _panel(lower, xs, [point.peak_gib for point in grown.points], "peak, GiB")
        lower.set_ylim(bottom=0)
        lower.set_xlabel(CURVES[name].unit)
    save_figure(figure, path)


def _panel(axes, xs: Sequence[float], ys: Sequence[float], label: str) -> None:
    axes.set_axis_on()
    axes.plot(xs, ys, marker="o", markersize=4)
    axes.set(xscale="log", ylabel=label)
    axes.set_xticks(xs, [short(x) for x in xs])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
