"""The command-line tools, run inside the test's process: importing torch anew would take seconds each time."""

import importlib.util
import io
import logging
import os
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from types import ModuleType
from typing import NamedTuple
from unittest import mock

from detect.data.catalog import set_datasets_root

ROOT = Path(__file__).resolve().parents[1]
TOOLS = sorted(path.stem for path in (ROOT / "tools").glob("*.py"))


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


def load_tool(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"tools_{name}", ROOT / "tools" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run_tool(name: str, *arguments, **environment: str) -> Done:
    """`tools/<name>.py` with these arguments and environment variables; leaves nothing behind in the process."""
    words, code = list(map(str, arguments)), 0
    variables = {"DETECT_DEFAULT_MALLOC": "1", **environment}  # memory settings would stay
    out, err = io.StringIO(), io.StringIO()
    streams = mock.patch.object(sys, "argv", [f"tools/{name}.py", *words]), redirect_stdout(out), redirect_stderr(err)
    with mock.patch.dict(os.environ, variables), streams[0], streams[1], streams[2]:
        try:
            load_tool(name).main(words)
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        finally:
            close_loggers()
            set_datasets_root(None)
    return Done(code, out.getvalue(), err.getvalue())


def close_loggers() -> None:
    for name in ("detect", "backbones", "fvcore", "__main__"):
        for handler in list(logging.getLogger(name).handlers):
            logging.getLogger(name).removeHandler(handler)
            handler.close()
