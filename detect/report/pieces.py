"""Shared by the sections of a report: numbers as text, figures with captions, the order of the classes."""

import math
from collections.abc import Iterable

import numpy as np

from detect.report.data import ReportData
from detect.visualization.html import text


def percent(value: float, digits: int = 1) -> str:
    """A share in percent, without the sign; a dash for nan."""
    return "–" if not math.isfinite(value) else f"{100 * value:.{digits}f}"


def figure(content: str, caption: str, title: str = "") -> str:
    heading = f"<h3>{text(title)}</h3>" if title else ""
    return f"<figure>{heading}{content}<figcaption>{caption}</figcaption></figure>"


def by_falling_ap(data: ReportData) -> list[int]:
    """Class numbers by falling AP; classes without AP are last."""
    return sorted(range(len(data.result.ap)), key=lambda c: -np.nan_to_num(data.result.ap[c], nan=-1.0))


def cells(values: Iterable[tuple[str, object]]) -> str:
    """Table cells from pairs of text and the value to sort by."""
    return "".join(f'<td class="number" data-value="{value}">{words}</td>' for words, value in values)
