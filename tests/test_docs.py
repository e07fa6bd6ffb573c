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
