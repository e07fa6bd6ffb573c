"""Charts: ticks at round numbers, marks where the values are, text that stays text."""

import json
import re
from xml.etree import ElementTree

import pytest

from detect.visualization.charts import Axis, Panel, bar, bars, line, number_axis, share_axis, short


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0, 100, [0, 50, 100]),  # about 4 steps of 25 at least: 50
        (0, 0.0123, [0, 0.005, 0.01, 0.015]),
        (-3, 5, [-4, -2, 0, 2, 4, 6]),
        (0, 299, [0, 100, 200, 300]),
        (0, 0, [0, 0.5, 1]),
        (5, 5, [0, 2, 4, 6]),
    ],
)
def test_ticks_are_round_and_cover_the_range(low, high, ticks):
    axis = number_axis("x", low, high)
    assert [value for value, _ in axis.ticks] == pytest.approx(ticks)
    assert axis.low <= low and high <= axis.high


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.25, "0.25"), (2e-4, "2e-4"), (1500, "1500"), (12_000, "12k"), (3.4e6, "3.4M"), (-20_000, "-20k")],
)
def test_numbers_are_short(value, text):
    assert short(value) == text


def test_marks_stand_where_the_values_are():
    """A plane of 100 x 100 units from (20, 10): the middle of both axes is (70, 60)."""
    panel = Panel(share_axis("x"), share_axis("y"), width=130, height=130, left=20, right=10, top=10, bottom=20)
    assert panel.at(0, 0) == (20, 110) and panel.at(1, 1) == (120, 10) and panel.at(0.5, 0.5) == (70, 60)
    assert panel.at(7, -3) == (120, 110)  # beyond the ends: at the end
    assert line(panel, [0, 0.5, 1], [0, float("nan"), 1]) == '<path class="line " d="M20 110L120 10"/>'
    assert 'd="M20 60L120 60V110H20Z"' in line(panel, [0, 1], [0.5, 0.5], area=True)
    assert line(panel, [], []) == line(panel, [0.1], [float("nan")]) == ""
    assert 'x="20" y="60" width="50" height="50"' in bar(panel, 0, 0.5, 0, 0.5, "", "half")


def test_a_chart_is_well_formed_and_its_texts_are_text():
    hostile = '</svg><script>"&'
    panel = Panel(Axis(hostile, 0, 1, ((0, hostile), (1, "one\ntwo"))), share_axis("y"))
    drawn = panel.draw([bar(panel, 0, 1, 0, 1, "", hostile)], hostile, [(0.5, 0.5, hostile)])
    root = ElementTree.fromstring(drawn)
    assert root.get("aria-label") == hostile and root.get("role") == "img"
    assert json.loads(root.get("data-hover")) == [[*panel.at(0.5, 0.5), hostile]]
    assert root.find("rect").get("data-tip") == hostile
    assert [text.text for text in root.iter("text")].count(hostile) == 2


def test_upright_bars_carry_their_values_and_skip_what_is_no_number():
    rows = [("small\n3", 12.34, "tip"), ("large\n0", float("nan"), "none")]
    drawn = bars("size", rows, number_axis("AP", 0, 100), "AP")
    root = ElementTree.fromstring(drawn)
    (found,) = root.findall("rect")
    assert "12.3" in re.findall(r">([^<]+)</text>", drawn) and found.get("data-tip") == "tip"
    assert float(found.get("width")) <= 46 + 1e-6
    ElementTree.fromstring(bars("size", [], number_axis("AP", 0, 100), "AP"))
