"""What the documents point to exists."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "configs").rglob("*.yaml")]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_and_files_exist(path):
    text = path.read_text()
    assert not re.search(r"@[A-Z]+@", text)  # a number still to be filled in
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
        assert (path.parent / target).exists(), target
    for target in re.findall(r"\b(?:tools|configs|docs|detect)/[\w/]+\.(?:py|yaml|md|jpg)\b", text):
        assert (ROOT / target).exists(), target


def test_the_tests_that_promises_name_exist():
    """docs/reliability.md names tests as `path::function`, `::function` of the path before, or a path alone."""
    text, path = (ROOT / "docs" / "reliability.md").read_text(), None
    names = [name for name in re.findall(r"`([^`]*)`", text) if "test_" in name]
    assert len(names) > 20
    for name in names:
        file, _, function = name.partition("::")
        if file:
            (path,) = [p for p in (ROOT / "tests").rglob(Path(file).name) if str(p).endswith(file)]
        assert not function or f"def {function}(" in path.read_text(), name
