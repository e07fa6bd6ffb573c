"""The packages of the extra "plots", loaded only where something is drawn."""

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

from detect.utils.errors import MissingExtraError, UserError
from detect.utils.files import atomic_file


def import_extra(*names: str) -> list[ModuleType]:
    """Import modules of the extra "plots"; MissingExtraError says how to install them."""
    try:
        return [importlib.import_module(name) for name in names]
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"this needs {error.name}: pip install 'action-detection[plots]'") from error


def new_figure(width: float, height: float) -> Any:
    """An empty matplotlib Figure of this size in inches; no screen is needed. MissingExtraError without matplotlib."""
    (module,) = import_extra("matplotlib.figure")
    return module.Figure(figsize=(width, height), layout="constrained")


def save_figure(figure: Any, path: str | Path) -> None:
    """Write the figure in the format of the path's suffix. UserError if matplotlib does not know it."""
    suffix = Path(path).suffix.lstrip(".").lower()
    legal = figure.canvas.get_supported_filetypes()
    if suffix not in legal:
        raise UserError(f"{path}: no picture format {suffix!r}; the formats are {', '.join(sorted(legal))}")
    with atomic_file(path) as file:
        figure.savefig(file, format=suffix, dpi=150)
