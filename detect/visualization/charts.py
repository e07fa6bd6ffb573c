"""Charts as SVG inside a page: shapes and CSS classes only, so that the page's colours, light or dark, apply.

A chart is as wide in its own units as a phone shows at full size; on a larger screen a grid holds several. The page
brings `CSS` and `SCRIPT`: what a mark says when it is pointed at stands in its `data-tip`, and along a line in the
chart's `data-hover`, a JSON list of [x, y, text] in the chart's units.
"""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from detect.visualization.html import text

CSS = """
svg.chart { display: block; width: 100%; height: auto; overflow: visible; font-size: 11px; }
svg.chart text { fill: var(--muted); } svg.chart .axis-name { fill: var(--text); }
svg.chart .value { fill: var(--text); font-variant-numeric: tabular-nums; }
svg.chart .grid { stroke: var(--line); stroke-width: 1; shape-rendering: crispEdges; }
svg.chart .base { stroke: var(--muted); stroke-width: 1; shape-rendering: crispEdges; }
svg.chart .line { fill: none; stroke: var(--muted); stroke-width: 1.25; stroke-linejoin: round; }
svg.chart .line.main { stroke: var(--accent); stroke-width: 2; }
svg.chart .line.thin { opacity: .55; stroke-width: 1; }
svg.chart .area { fill: var(--accent); opacity: .1; stroke: none; }
svg.chart .bar { fill: var(--accent); } svg.chart .bar.other { fill: var(--muted); opacity: .55; }
svg.chart .dot { fill: var(--accent); stroke: var(--surface); stroke-width: 1.5; visibility: hidden; }
svg[data-hover] { cursor: crosshair; touch-action: pan-y; }
#tip { position: fixed; z-index: 9; pointer-events: none; max-width: min(340px, 90vw); padding: 4px 8px;
  border-radius: 6px; background: var(--text); color: var(--page); font-size: 12.5px; line-height: 1.4;
  white-space: pre-line; font-variant-numeric: tabular-nums; }
#tip[hidden] { display: none; }
"""

WIDEST_BAR = 46  # units

SCRIPT = """
const tip = document.body.appendChild(document.createElement("div"));
tip.id = "tip"; tip.hidden = true; tip.setAttribute("role", "status");
function say(event, words) {
  tip.hidden = !words; if (!words) return;
  tip.textContent = words;
  const box = tip.getBoundingClientRect(), x = event.clientX + 14, y = event.clientY - box.height - 12;
  tip.style.left = Math.max(4, Math.min(x, document.documentElement.clientWidth - box.width - 4)) + "px";
  tip.style.top = (y < 4 ? event.clientY + 18 : y) + "px";
}
document.addEventListener("pointermove", event => {
  const mark = event.target.closest?.("[data-tip]");
  if (mark) say(event, mark.dataset.tip); else if (!event.target.closest?.("svg[data-hover]")) say(event, "");
});
document.addEventListener("scroll", () => { tip.hidden = true; }, {passive: true, capture: true});
for (const chart of document.querySelectorAll("svg[data-hover]")) {
  const points = JSON.parse(chart.dataset.hover), dot = chart.querySelector(".dot");
  chart.addEventListener("pointermove", event => {
    const box = chart.getBoundingClientRect(), x = (event.clientX - box.left) * chart.viewBox.baseVal.width / box.width;
    let best = points[0];
    for (const point of points) if (Math.abs(point[0] - x) < Math.abs(best[0] - x)) best = point;
    dot.setAttribute("cx", best[0]); dot.setAttribute("cy", best[1]); dot.style.visibility = "visible";
    say(event, best[2]);
  });
  chart.addEventListener("pointerleave", event => { dot.style.visibility = "hidden"; say(event, ""); });
}
"""


@dataclass(frozen=True)
class Axis:
    """What an axis shows: its name, its range, and the values that are marked with their texts."""

    name: str
    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]

    def share(self, value: float) -> float:
        """Where a value lies between the ends, 0 to 1; clamped."""
        return min(max((value - self.low) / ((self.high - self.low) or 1.0), 0.0), 1.0)


def share_axis(name: str, steps: int = 2) -> Axis:
    """From 0 to 1, marked at equal steps."""
    return Axis(name, 0.0, 1.0, tuple((i / steps, f"{i / steps:g}") for i in range(steps + 1)))


def number_axis(name: str, low: float, high: float, about: int = 4) -> Axis:
    """From `low` or below to `high` or above, marked at `about` steps of 1, 2 or 5 times a power of ten."""
    if not high > low:
        low, high = min(low, 0.0), (max(high, 0.0) or 1.0)
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(f * power for f in (1, 2, 5, 10) if f * power >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    ticks = tuple((i * step, short(i * step)) for i in range(first, last + 1))
    return Axis(name, first * step, last * step, ticks)


def short(value: float) -> str:
    """A number for a tick: 12,000 as 12k, 0.0002 as 2e-4."""
    if value and abs(value) < 1e-3:
        mantissa, exponent = f"{value:.0e}".split("e")
        return f"{mantissa}e{int(exponent)}"
    for limit, unit in ((1e6, "M"), (1e4, "k")):
        if abs(value) >= limit:
            return f"{value / (1e6 if unit == 'M' else 1e3):.3g}{unit}"
    return f"{value:.4g}"


@dataclass(frozen=True)
class Panel:
    """The plane of a chart: two axes and the size in units, with room for ticks and names around it."""

    x: Axis
    y: Axis
    width: int = 340
    height: int = 210
    left: int = 50
    right: int = 12
    top: int = 10
    bottom: int = 38

    def at(self, x: float, y: float) -> tuple[float, float]:
        """A point of the plane in the chart's units."""
        px = self.left + self.x.share(x) * (self.width - self.left - self.right)
        py = self.height - self.bottom - self.y.share(y) * (self.height - self.top - self.bottom)
        return round(px, 1), round(py, 1)

    def draw(self, marks: Iterable[str], alt: str, hover: Sequence[tuple[float, float, str]] = ()) -> str:
        """The whole chart: grid, marks and names. `hover`: (x, y, text) along a line, in the units of the axes."""
        points = [[*self.at(x, y), words] for x, y, words in hover]
        attribute = f' data-hover="{text(json.dumps(points, separators=(",", ":")))}"' if points else ""
        dot = '<circle class="dot" r="4"/>' if points else ""
        return (
            f'<svg class="chart" viewBox="0 0 {self.width} {self.height}" role="img" aria-label="{text(alt)}"'
            f"{attribute}>{self._grid()}{''.join(marks)}{self._names()}{dot}</svg>"
        )

    def _grid(self) -> str:
        parts = []
        (x0, y0), (x1, _) = self.at(self.x.low, self.y.low), self.at(self.x.high, self.y.high)
        for value, words in self.y.ticks:
            _, y = self.at(self.x.low, value)
            kind = "base" if value == self.y.low else "grid"
            parts.append(f'<line class="{kind}" x1="{x0}" x2="{x1}" y1="{y}" y2="{y}"/>')
            parts.append(f'<text x="{x0 - 6}" y="{y + 4:g}" text-anchor="end">{text(words)}</text>')
        for value, words in self.x.ticks:
            x, _ = self.at(value, self.y.low)
            lines = words.split("\n")
            parts += [
                f'<text x="{x}" y="{y0 + 14 + 13 * i:g}" text-anchor="middle">{text(line)}</text>'
                for i, line in enumerate(lines)
            ]
        return "".join(parts)

    def _names(self) -> str:
        (x0, y0), (x1, y1) = self.at(self.x.low, self.y.low), self.at(self.x.high, self.y.high)
        parts = []
        if self.x.name:
            x, y = (x0 + x1) / 2, self.height - 4
            parts.append(f'<text class="axis-name" x="{x:g}" y="{y}" text-anchor="middle">{text(self.x.name)}</text>')
        if self.y.name:
            y = (y0 + y1) / 2
            turn = f'transform="translate(10 {y:g}) rotate(-90)"'
            parts.append(f'<text class="axis-name" {turn} text-anchor="middle">{text(self.y.name)}</text>')
        return "".join(parts)


def line(panel: Panel, x: Sequence[float], y: Sequence[float], kind: str = "", *, area: bool = False) -> str:
    """A line through points; of class `kind` ("main", "thin" or a colour's). `area`: filled down to the axis."""
    points = [panel.at(a, b) for a, b in zip(x, y, strict=True) if math.isfinite(a) and math.isfinite(b)]
    if not points:
        return ""
    path = "M" + "L".join(f"{a:g} {b:g}" for a, b in points)
    drawn = f'<path class="line {kind}" d="{path}"/>'
    if area:
        _, base = panel.at(panel.x.low, panel.y.low)
        drawn = f'<path class="area" d="{path}V{base:g}H{points[0][0]:g}Z"/>{drawn}'
    return drawn


def bar(panel: Panel, x0: float, x1: float, y0: float, y1: float, kind: str, tip: str, gap: float = 0.0) -> str:
    """A rectangle between two points of the plane, `gap` units apart from its neighbours."""
    (left, low), (right, high) = panel.at(x0, y0), panel.at(x1, y1)
    size = f'x="{left + gap / 2:g}" y="{high:g}" width="{max(right - left - gap, 0.5):g}" height="{low - high:g}"'
    return f'<rect class="bar {kind}" {size} data-tip="{text(tip)}"/>'


def label(panel: Panel, x: float, y: float, words: str, *, above: float = 5, anchor: str = "middle") -> str:
    """A value beside its mark."""
    px, py = panel.at(x, y)
    return f'<text class="value" x="{px:g}" y="{py - above:g}" text-anchor="{anchor}">{text(words)}</text>'


def bars(name: str, rows: Sequence[tuple[str, float, str]], y: Axis, alt: str) -> str:
    """Upright bars with their values above: rows of (name below, value, what it says when pointed at)."""
    ticks = tuple((i + 0.5, words) for i, (words, _, _) in enumerate(rows))
    panel = Panel(Axis(name, 0, max(len(rows), 1), ticks), y, height=224, top=18, bottom=52)
    slot = (panel.width - panel.left - panel.right) / max(len(rows), 1)
    gap = max(14.0, slot - WIDEST_BAR)
    marks = []
    for i, (_, value, tip) in enumerate(rows):
        if math.isfinite(value):
            marks.append(bar(panel, i, i + 1, y.low, value, "", tip, gap))
            marks.append(label(panel, i + 0.5, value, f"{value:.1f}"))
    return panel.draw(marks, alt)
