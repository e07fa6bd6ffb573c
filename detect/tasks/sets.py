"""Sets by the names that a user gives."""

import re

from detect.d2 import DatasetCatalog
from detect.data.catalog import is_own, register_on_demand, unknown_set
from detect.data.records import KeyframeDataset
from detect.utils.errors import UserError

_FOR_TESTS = re.compile(r"(^|[\W_])(test|val|valid|validation|held)([\W_]|$)")


def keyframe_set(name: str) -> KeyframeDataset:
    """The keyframes of a registered set or of `json:FILE`. UserError, with close names, where there is none."""
    register_on_demand(name)
    if name not in DatasetCatalog.list():
        raise UserError(unknown_set(name, DatasetCatalog.list()))
    return DatasetCatalog.get(name)


def for_training(dataset: KeyframeDataset) -> KeyframeDataset:
    """The keyframes that are trained on: of one's own set those with a box; a registered one has its rule."""
    return KeyframeDataset(dataset.dataset, "annotated") if is_own(dataset.name) else dataset


def is_for_tests(name: str) -> bool:
    """Whether the name of a set says that it is for tests: a guess, since a file may have any name."""
    return bool(_FOR_TESTS.search(name.lower()))
