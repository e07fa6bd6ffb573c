"""Sets by the names that a user gives."""

from detect.d2 import DatasetCatalog
from detect.data.catalog import is_own, register_on_demand, unknown_set
from detect.data.records import KeyframeDataset
from detect.utils.errors import UserError


def keyframe_set(name: str, train: bool = False) -> KeyframeDataset:
    """The keyframes of a registered set or of `json:FILE`. UserError, with close names, where there is none.

    train: of one's own set those with a box; a registered one has its rule.
    """
    register_on_demand(name)
    if name not in DatasetCatalog.list():
        raise UserError(unknown_set(name, DatasetCatalog.list()))
    dataset = DatasetCatalog.get(name)
    return KeyframeDataset(dataset.dataset, "annotated") if train and is_own(name) else dataset
