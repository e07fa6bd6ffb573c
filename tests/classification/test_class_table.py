"""Files that say one thing of each class."""

import pytest

from detect.classification.class_table import read_class_table
from detect.data.checks import AnnotationError


def test_parted_by_a_tab_or_by_the_last_space(tmp_path):
    path = tmp_path / "groups.txt"
    path.write_text("riding a bike legs\n\nclap\tboth hands\n")
    assert read_class_table(path, ("clap", "riding a bike", "jump")) == {"riding a bike": "legs", "clap": "both hands"}


@pytest.mark.parametrize(
    ("text", "message"),
    [("clap\n", "line 1: expected"), ("\nclpa x\n", "line 2: 'clpa' is none of the 1"), ("clap x\nclap y\n", "twice")],
)
def test_a_wrong_line_is_named(tmp_path, text, message):
    path = tmp_path / "groups.txt"
    path.write_text(text)
    with pytest.raises(AnnotationError, match=message):
        read_class_table(path, ("clap",))
