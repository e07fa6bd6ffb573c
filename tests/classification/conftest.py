from pathlib import Path

import pytest
from tiny_videos import train, write_set


@pytest.fixture(scope="session")
def video_list(tmp_path_factory) -> Path:
    return write_set(tmp_path_factory.mktemp("videos"))


@pytest.fixture
def run(video_list, tmp_path):
    """`run(KEY, VALUE, ..., resume=, eval_only=, save_scores=)`: one run of the tool on the tiny videos."""
    return lambda *overrides, videos=video_list, output=tmp_path / "run", **flags: train(
        videos, output, *overrides, **flags
    )
