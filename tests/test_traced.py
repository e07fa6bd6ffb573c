"""Tests that trace models, load other engines or measure memory, each file in a process of its own.

Tracing starts threads of autograd, after which a process can fork no more process that trains; the engines bring
thread pools of theirs; and a process that has run many tests holds memory that the next one takes. Under xdist these
files are not collected (tests/conftest.py), this one runs them.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import TRACED

ROOT = Path(__file__).parents[1]


@pytest.mark.skipif("PYTEST_XDIST_WORKER" not in os.environ, reason="collected themselves without xdist")
@pytest.mark.parametrize("path", TRACED)
def test_in_a_process_of_its_own(path):
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", path]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
