"""Which code made a result."""

import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from detect import __version__


def code_version() -> dict[str, str | None]:
    """Version of this package, of numpy and torch; the git commit when the code runs from a checkout, else None."""
    package = Path(__file__).resolve().parents[1]
    try:
        # --show-prefix: an enclosing repository that merely contains a virtual environment is not ours
        where = _git(package, "rev-parse", "--show-prefix")
        commit = _git(package, "rev-parse", "HEAD") if where == "detect/" else None
    except (OSError, subprocess.SubprocessError):
        commit = None
    return {"version": __version__, "git_commit": commit, **{name: _version(name) for name in ("numpy", "torch")}}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(("git", *arguments), cwd=folder, capture_output=True, text=True, timeout=10, check=True)
    return done.stdout.strip()
