"""What several tests of tasks share."""

import numpy as np
import pytest

from detect.d2 import DatasetCatalog, MetadataCatalog
from detect.data import catalog, records
from detect.data.own_json import write_own_json
from tests.tasks.evaluated_set import tube


@pytest.fixture(scope="module", autouse=True)
def no_name_stays_registered():
    """What the tests of a module register is gone after them: other modules list all names."""
    before = set(DatasetCatalog.list())
    yield
    for name in set(DatasetCatalog.list()) - before:
        DatasetCatalog.remove(name)
        MetadataCatalog.remove(name)
        del catalog._loaders[name]
        for key in [key for key in catalog._loaded if key[0] == name]:
            del catalog._loaded[key]


@pytest.fixture
def own(tmp_path):
    """A set of two videos of 20 frames in own JSON: each a tube of 16 frames; of the second every frame is labelled
    but the last four.
    """
    videos = (
        records.VideoRecord("a", str(tmp_path / "a.mp4"), 20, 120, 160, (tube(0, range(16)),), fps=10.0),
        records.VideoRecord(
            "b", str(tmp_path / "b.mp4"), 20, 120, 160, (tube(1, range(16)),), fps=10.0, labelled=np.arange(16)
        ),
    )
    dataset = records.ActionDataset("own", ("run", "jump"), videos, "0" * 64)
    write_own_json(dataset, tmp_path / "truth.json")
    return dataset
