"""Files that say one thing of each class."""

import pytest

from detect.classification.class_table import check_known, read_class_table
from detect.data.checks import AnnotationError


def test_parted_by_a_tab_or_by_the_last_space(tmp_path):
    path = tmp_path / "groups.txt"
    path.write_text("riding a bike legs\n\nclap\tboth hands\n")
    assert read_class_table(path) == {"riding a bike": "legs", "clap": "both hands"}


@pytest.mark.parametrize(
    ("text", "message"),
    [("clap\n", "line 1: expected"), ("\nclap x\nclap y\n", "line 3: the class 'clap' is there twice")],
)
def test_a_wrong_line_is_named(tmp_path, text, message):
    path = tmp_path / "groups.txt"
    path.write_text(text)
    with pytest.raises(AnnotationError, match=message):
        read_class_table(path)


def test_what_is_no_class_is_named():
    check_known({"clap": "hands"}, ("clap", "jump"), "the groups")
    with pytest.raises(AnnotationError, match="the groups name 1 classes that the set of 2 lacks: 'clpa'"):
        check_known({"clpa": "hands", "jump": "legs"}, ("clap", "jump"), "the groups")
