"""What the sections of a report share: numbers as text, captioned figures, the order of the classes."""

import math
from collections.abc import Iterable

import numpy as np

from detect.report.data import ReportData
from detect.visualization.html import text


def percent(value: float, digits: int = 1) -> str:
    """A share as the field writes it; a dash where there is none."""
    return "–" if not math.isfinite(value) else f"{100 * value:.{digits}f}"


def figure(content: str, caption: str, title: str = "") -> str:
    heading = f"<h3>{text(title)}</h3>" if title else ""
    return f"<figure>{heading}{content}<figcaption>{caption}</figcaption></figure>"


def by_falling_ap(data: ReportData) -> list[int]:
    """Class numbers, the best first, those without AP last."""
    return sorted(range(len(data.result.ap)), key=lambda c: -np.nan_to_num(data.result.ap[c], nan=-1.0))


def cells(values: Iterable[tuple[str, object]]) -> str:
    """Table cells of numbers: what stands there, and the value to sort by."""
    return "".join(f'<td class="number" data-value="{value}">{words}</td>' for words, value in values)
