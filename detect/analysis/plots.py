"""Matplotlib, loaded only where something is drawn."""

from pathlib import Path
from typing import Any

from detect.files import atomic_file


class MissingExtraError(ImportError):
    """An optional package is not installed; the message says how to install it."""


def new_figure(width: float, height: float) -> Any:
    """An empty matplotlib Figure of this size in inches; no screen is needed. MissingExtraError without matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"drawing a plot needs matplotlib ({error}); install it with: pip install 'action-detection[plots]'"
        ) from error
    return Figure(figsize=(width, height), layout="constrained")


def save_figure(figure: Any, path: str | Path) -> None:
    """Write the figure in the format of the path's suffix. ValueError if matplotlib does not know it."""
    suffix = Path(path).suffix.lstrip(".").lower()
    legal = figure.canvas.get_supported_filetypes()
    if suffix not in legal:
        raise ValueError(f"{path}: no picture format {suffix!r}; the formats are {', '.join(sorted(legal))}")
    with atomic_file(path) as file:
        figure.savefig(file, format=suffix, dpi=150)
