"""The paper's Figure 5: how the weights of temporal filters are spread at each offset in time."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
from torch import Tensor

from detect.utils.checkpoint_files import CheckpointError, read_checkpoint
from detect.utils.errors import UserError
from detect.utils.files import write_csv
from detect.utils.plots import new_figure, save_figure

WHISKER = 1.5  # interquartile ranges, Tukey's rule
PANELS_PER_ROW = 6


@dataclass(frozen=True)
class OffsetStats:
    """The weights of one layer at one temporal offset (0 is the kernel's middle, negative is earlier).

    kernel: kT x kH x kW.  q1, median, q3: numpy's linear percentiles.  whisker_low, whisker_high: the outermost weights
    within 1.5 interquartile ranges of the box.  outliers: how many lie beyond them.
    """

    layer: str
    kernel: str
    offset: int
    weights: int
    mean: float
    whisker_low: float
    q1: float
    median: float
    q3: float
    whisker_high: float
    outliers: int


COLUMNS = tuple(field.name for field in fields(OffsetStats))


def run_filter_stats(weights: str, *, csv: str | None = None, plot: str | None = None) -> None:
    """See the docstring of tools/filter_stats.py. UserError for bad input."""
    if not (csv or plot):
        raise UserError("nothing to write: give --csv FILE, --plot FILE or both")
    if plot:
        new_figure(1, 1)  # no matplotlib: say so before the work
    rows = filter_stats(read_checkpoint(weights)["model"])
    if not rows:
        raise CheckpointError(f"{weights}: no temporal filter: no weight (O, C, kT, kH, kW) has kT > 1")
    if csv:
        write_csv(csv, COLUMNS, map(asdict, rows))
    if plot:
        plot_filters(rows, plot)
    print(f"{len(by_layer(rows))} temporal layers of {weights}")
    for path in filter(None, (csv, plot)):
        print(path)


def filter_stats(state: Mapping[str, Tensor]) -> list[OffsetStats]:
    """One row for each offset of every weight (O, C, kT, kH, kW) with kT > 1, full 3D and kT x 1 x 1, in the order of
    the state dict. ValueError names a layer whose weights are not all finite.
    """
    return [
        row
        for name, weight in state.items()
        if weight.ndim == 5 and weight.shape[2] > 1
        for row in _stats(name, weight)
    ]


def _stats(name: str, weight: Tensor) -> list[OffsetStats]:
    values = weight.detach().double().cpu().numpy()
    if not np.isfinite(values).all():
        raise UserError(f"{name}: {np.count_nonzero(~np.isfinite(values))} of its weights are not finite")
    layer, kernel = name.removesuffix(".weight"), "x".join(map(str, weight.shape[2:]))
    rows = []
    for t in range(values.shape[2]):
        w = values[:, :, t].ravel()
        q1, median, q3 = np.percentile(w, (25, 50, 75))
        reach = WHISKER * (q3 - q1)
        inside = w[(w >= q1 - reach) & (w <= q3 + reach)]
        # Interpolated quartiles may leave no weight between the box and a whisker: it then ends at the box.
        low, high = min(inside.min(), q1), max(inside.max(), q3)
        box = map(float, (w.mean(), low, q1, median, q3, high))
        rows.append(OffsetStats(layer, kernel, t - values.shape[2] // 2, w.size, *box, w.size - inside.size))
    return rows


def by_layer(rows: Sequence[OffsetStats]) -> dict[str, list[OffsetStats]]:
    layers: dict[str, list[OffsetStats]] = {}
    for row in rows:
        layers.setdefault(row.layer, []).append(row)
    return layers


def plot_filters(rows: Sequence[OffsetStats], path: str | Path) -> None:
    """A panel for each layer, lowest first, with a box for each offset; outliers are not drawn."""
    layers = by_layer(rows)
    columns = min(len(layers), PANELS_PER_ROW)
    lines = math.ceil(len(layers) / columns)
    figure = new_figure(2.4 * columns, 2.2 * lines)
    panels = figure.subplots(lines, columns, squeeze=False).ravel()
    for axes, (layer, boxes) in zip(panels, layers.items(), strict=False):
        keys = {"med": "median", "q1": "q1", "q3": "q3", "whislo": "whisker_low", "whishi": "whisker_high"}
        drawn = [{key: getattr(box, name) for key, name in keys.items()} | {"label": box.offset} for box in boxes]
        axes.bxp(drawn, showfliers=False, widths=0.6)
        axes.axhline(0, linewidth=0.5, color="grey", zorder=0)
        axes.set_title(f"{layer.removeprefix('stages.')}\n{boxes[0].kernel}", fontsize=6)
        axes.tick_params(labelsize=6)
    for axes in panels[len(layers) :]:
        axes.remove()
    figure.supxlabel("temporal offset, in time steps of the layer", fontsize=8)
    save_figure(figure, path)
