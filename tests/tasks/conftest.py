import pytest

from detect.d2 import DatasetCatalog, MetadataCatalog
from detect.data import catalog


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
