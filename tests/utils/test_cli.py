"""The frame of every tool, in a process of its own."""

import os
import subprocess
import sys

import pytest

LOUD = "from detect.utils.cli import running_tool\nwith running_tool():\n    print('x' * {size}, flush={flush})\n"


@pytest.mark.parametrize("size, flush", [(10, False), (10, True), (1_000_000, False)])
def test_a_reader_that_has_seen_enough_ends_the_tool_quietly(size, flush):
    reading, writing = os.pipe()
    os.close(reading)
    code = LOUD.format(size=size, flush=flush)
    run = subprocess.run([sys.executable, "-c", code], stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert (run.returncode, run.stderr) == (128 + 13, "")


def test_another_broken_pipe_is_a_fault():
    code = "from detect.utils.cli import running_tool\nwith running_tool(): raise BrokenPipeError('of another program')"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 1 and "of another program" in run.stderr and "Traceback" in run.stderr
