"""Growth curves: each point alone in a process, a page and a file of them."""

import json
import os

import pytest

from detect.benchmarks import alone, growth, growth_points
from detect.benchmarks.alone import Measured, NotMeasuredError, measured, run_alone
from detect.benchmarks.growth import CURVES, Grown, exponent, grow
from detect.benchmarks.growth_page import write_page
from tests.running import run_tool


@pytest.fixture
def here(monkeypatch):
    """What would run in processes of its own runs in this one, whose memory settings stay."""
    for module in (growth, growth_points):
        monkeypatch.setattr(module, "run_alone", lambda function, *arguments: function(*arguments))
    monkeypatch.setattr(growth_points, "tune_malloc", lambda: False)


def test_a_process_of_its_own():
    """Its memory is not this one's."""
    assert 0 < run_alone(alone.resident, "VmRSS") < alone.resident("VmRSS") / 2  # no torch in it
    assert run_alone(os.path.join, "a", "b") == "a/b"


def test_a_process_that_fails_says_how():
    with pytest.raises(NotMeasuredError, match="JSONDecodeError"):
        run_alone(json.loads, "{")
    with pytest.raises(NotMeasuredError, match="killed by SIGABRT"):
        run_alone(os.abort)


def test_the_peak_is_what_the_run_takes():
    size = 256 << 20
    small = measured(1, lambda: bytes(1 << 20))
    large = measured(1, lambda: b"x" * size)
    again = measured(1, lambda: bytes(1 << 20), repeats=3, warm_up=True)
    assert large.peak_gib - large.before_gib > 0.9 * size / 2**30
    if os.path.exists("/proc/self/clear_refs"):  # else a peak stays
        assert max(point.peak_gib - point.before_gib for point in (small, again)) < 0.1


def test_every_curve(here, capsys):
    found = dict(grow(quick=True))
    assert list(found) == list(CURVES)
    for name, grown in found.items():
        assert not grown.stopped and len(grown.points) == 2, name
        # the kernel counts pages by thread and in portions, so that a peak may be a little below what was there before
        assert all(point.seconds > 0 and point.peak_gib > 0.9 * point.before_gib > 0 for point in grown.points)
        assert grown.points[0].x < grown.points[1].x
    assert [point.x for point in found["detections"].points] == [18_700, 37_400]  # videos of 187 frames, 100 a frame
    assert [point.x for point in found["size"].points] == [64 * 80, 80 * 100]
    assert "videos in a set 20: " in capsys.readouterr().out


def test_sets_of_any_length_from_real_annotations(here, tmp_path, real_data):
    annotation = str(real_data / "ucf101_24" / "pyannot.pkl")
    (name, grown) = next(grow(["videos"], quick=True, annotation=annotation))
    assert name == "videos" and [point.x for point in grown.points] == [20, 40]
    growth_points.write_annotations(str(tmp_path), 3200, annotation)  # 3194 there
    names = (tmp_path / "trainlist01.txt").read_text().splitlines()
    assert len(set(names)) == 3200 and names[3194] == names[0].replace("_000", "_001")


def test_a_curve_ends_where_a_point_fails(monkeypatch):
    def run(function, size, quick):
        if size > 3_000_000:
            raise NotMeasuredError("killed by SIGKILL, probably as memory ran out")
        return [size, 1.0, 0.5, 1.0]

    monkeypatch.setattr(growth, "run_alone", run)
    ((_, grown),) = grow(["detections"], largest=True)
    assert len(grown.points) == 2
    assert grown.stopped == "stopped at 10,000,000 detections: killed by SIGKILL, probably as memory ran out"
    monkeypatch.setattr(growth, "run_alone", lambda function, size, quick: [size, 1.0, 0.5, 1.0])
    ((_, grown),) = grow(["detections"], largest=True)
    assert grown.points[-1].x == 100_000_000


def test_exponents():
    points = [Measured(1, 1.0, 0.5, 0.6), Measured(10, 2.0, 0.5, 0.6), Measured(100, 20.0, 0.5, 1.5)]
    assert exponent(points, lambda p: p.seconds) == pytest.approx(1)  # ten times for ten times
    assert exponent(points[:2], lambda p: p.peak_gib - p.before_gib) == pytest.approx(0)
    assert exponent(points[:1], lambda p: p.seconds) is None
    assert exponent(points, lambda p: 0.0) is None


def test_page(tmp_path):
    points = (Measured(1000, 0.25, 0.5, 0.6), Measured(10_000, 2.5, 0.5, 0.6))
    write_page(tmp_path / "a" / "growth.md", {"videos": Grown(points), "stream": Grown((), "stopped at 5: killed")})
    text = (tmp_path / "a" / "growth.md").read_text()
    assert "![curves](growth.png)" in text and (tmp_path / "a" / "growth.png").stat().st_size > 5000
    assert "|            10,000 |  2.5 |          0.50 |        0.60 |" in text
    assert "Exponent of time 1.00, exponent of memory 0.00." in text and "Stopped at 5: killed." in text


def test_the_tool(here, tmp_path):
    page, file = tmp_path / "growth.md", tmp_path / "growth.json"
    done = run_tool("benchmark", "growth", "stream", "videos", "--quick", "--page", page, "--json", file)
    assert done.returncode == 0 and "annotations: made ones" in done.stdout, done.stderr
    content = json.loads(file.read_text())
    assert list(content["curves"]) == ["videos", "stream"] and content["quick"]
    assert content["curves"]["stream"]["points"][1]["x"] == 100 and "## Videos in a set" in page.read_text()
    for words, message in (
        (["growth", "speed"], "there is no curve speed; the curves are context, training"),
        (["growth", "--page", "growth.html"], "expected a name that ends in .md"),
        (["growth", "--annotation", "no.pkl"], "no.pkl: there is no such file"),
    ):
        done = run_tool("benchmark", *words)
        assert done.returncode == 2 and message in done.stderr
