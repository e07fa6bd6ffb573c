"""The page in headless Chromium: no errors, nothing sticks out of a phone, tables sort, marks explain themselves."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest

from detect.evaluation import FrameAPOptions
from detect.report import write_report
from tests.report.small_set import KINDS, detections, small_set

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH")

# A window is at least 500 pixels wide, a frame inside it as narrow as a phone.
FRAME = """<body style="margin:0"><iframe src="index.html" style="border:0;width:{width}px;height:2000px"></iframe>
<script>onmessage = event => {{ document.documentElement.dataset.told = event.data; }}</script></body>"""
WATCH = "<script>const told = {}; addEventListener('error', event => { told.failed = event.message; });</script>"
PROBE = """<script>
told.width = innerWidth; told.overflow = document.documentElement.scrollWidth - innerWidth;
const column = n => [...document.querySelectorAll("#classes tbody tr")].map(row => Number(row.cells[n].dataset.value));
const heading = document.querySelectorAll("#classes th")[2];
heading.click(); told.down = column(2); heading.click(); told.up = column(2);
const point = (mark, share) => {
  const box = mark.getBoundingClientRect(), clientX = box.left + box.width * share, clientY = box.top + box.height / 2;
  mark.dispatchEvent(new PointerEvent("pointermove", {bubbles: true, clientX, clientY}));
  return document.getElementById("tip").textContent; };
told.curve = point(document.querySelector("svg[data-hover]"), 0.9);
told.mark = point(document.querySelector("[data-tip]"), 0.5);
document.getElementById("theme").click(); told.theme = document.documentElement.dataset.theme;
parent.postMessage(JSON.stringify(told), "*");
</script></body>"""


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    names = ("walk", "a class with a name that goes on and on without any end to it", "never", "x" * 60)
    return write_report(folder, small_set(folder, names), detections(KINDS), FrameAPOptions())


def browse(page: Path, folder: Path, width: int, *options: str) -> str:
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--v=0"]
    command += [f"--user-data-dir={folder / 'profile'}", f"--window-size={width},2000", *options, page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "CONSOLE" not in done.stderr, done.stderr  # no error, no refusal by the page's policy
    return done.stdout


@pytest.mark.parametrize("width", [390, 1280])
def test_page_works(page, tmp_path, width):
    """A script in a copy of the page tries it, and tells the page around it what it finds."""
    text = page.read_text("utf-8").replace("<head>", f"<head>{WATCH}").replace("</body>", PROBE)
    (tmp_path / "index.html").write_text(text, "utf-8")
    (tmp_path / "frame.html").write_text(FRAME.format(width=width), "utf-8")
    dumped = browse(tmp_path / "frame.html", tmp_path, 1300, "--virtual-time-budget=3000", "--dump-dom")
    told = json.loads(html.unescape(re.search(r'data-told="([^"]*)"', dumped)[1]))
    assert "failed" not in told and told["width"] == width
    assert told["overflow"] <= 0  # wide tables scroll inside; the page does not
    assert (told["down"], told["up"]) == ([18, 5, 0, 0], [0, 0, 5, 18])
    assert re.fullmatch(r"recall .+ %, precision .+ %\nat a score of at least .+", told["curve"])
    assert told["mark"] and told["theme"] == "dark"  # the system's is light


@pytest.mark.parametrize(("preference", "dark"), [(0, True), (1, False)])
def test_page_is_light_or_dark_as_the_system(page, tmp_path, preference, dark):
    picture = tmp_path / "page.png"
    browse(page, tmp_path, 1280, f"--screenshot={picture}", f"--blink-settings=preferredColorScheme={preference}")
    image = cv2.imread(str(picture))
    assert image.shape[1] == 1280
    assert (np.median(image) < 60) == dark
    assert image.std() > 10  # something is drawn
