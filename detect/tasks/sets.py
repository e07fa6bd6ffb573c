"""Sets by the names that a user gives."""

import difflib

from detect.d2 import DatasetCatalog
from detect.data import catalog  # noqa: F401  (registers the datasets)
from detect.data.records import KeyframeDataset
from detect.utils.errors import UserError


def keyframe_set(name: str) -> KeyframeDataset:
    """The keyframes of a registered set. UserError, with the closest names, where there is none of that name."""
    if name not in DatasetCatalog.list():
        legal = difflib.get_close_matches(name, DatasetCatalog.list()) or DatasetCatalog.list()
        raise UserError(f"the dataset {name!r} is not registered; did you mean {', '.join(legal)}?")
    return DatasetCatalog.get(name)
