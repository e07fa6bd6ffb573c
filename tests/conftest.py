"""What all tests share."""

import os
from pathlib import Path

import pytest
import torch

torch.set_num_threads(1)
TRACED = (  # see tests/test_traced.py
    "tests/benchmarks/test_exported.py",
    "tests/benchmarks/test_gpu.py",
    "tests/benchmarks/test_growth.py",
    "tests/benchmarks/test_sheets.py",
    "tests/export/test_export_tool.py",
    "tests/export/test_exported_files.py",
    "tests/export/test_graphs.py",
    "tests/modeling/test_compile.py",
)


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    own_process = "PYTEST_XDIST_WORKER" in os.environ
    return True if own_process and collection_path.as_posix().endswith(TRACED) else None


@pytest.fixture(scope="session", autouse=True)
def cache_of_the_tests(tmp_path_factory):
    """What tests find out about their videos is not kept in the user's cache."""
    before = os.environ.get("DETECT_CACHE")
    os.environ["DETECT_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    yield
    os.environ.pop("DETECT_CACHE") if before is None else os.environ.update(DETECT_CACHE=before)


@pytest.fixture
def no_gpu(monkeypatch):
    """For tests that start two processes: here, and in the processes that are started, there is no GPU."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real sample data: $ACTION_TEST_DATA, or shared/data beside the repository."""
    given = os.environ.get("ACTION_TEST_DATA")
    path = Path(given) if given else Path(__file__).resolve().parents[2] / "shared" / "data"
    if not path.is_dir():
        pytest.skip(f"no real sample data at {path}; set ACTION_TEST_DATA to its folder")
    return path
