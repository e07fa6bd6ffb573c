"""Tables of text."""

from detect.utils.tables import text_table


def test_a_table_of_text():
    assert text_table([("run", 1, "0.50"), ("all", 12, "-")], ("class", "#gt", "AP")).splitlines() == [
        "| class   |   #gt |   AP |",
        "|:--------|------:|-----:|",
        "| run     |     1 | 0.50 |",
        "| all     |    12 |    - |",
    ]


def test_a_table_without_rows():
    assert text_table([], ("class", "AP")).splitlines()[0].split() == ["|", "class", "|", "AP", "|"]
