"""What all tests share."""

import os
from pathlib import Path

import pytest
import torch

torch.set_num_threads(1)


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
