"""Sets by the names that a user gives."""

import difflib

from detect.d2 import DatasetCatalog
from detect.data.catalog import register_on_demand
from detect.data.records import KeyframeDataset
from detect.utils.errors import UserError


def keyframe_set(name: str) -> KeyframeDataset:
    """The keyframes of a registered set or of `json:FILE`. UserError, with close names, where there is none."""
    register_on_demand(name)
    if name not in DatasetCatalog.list():
        legal = difflib.get_close_matches(name, DatasetCatalog.list()) or DatasetCatalog.list()
        raise UserError(f"the dataset {name!r} is not registered; did you mean {', '.join(legal)}?")
    return DatasetCatalog.get(name)
