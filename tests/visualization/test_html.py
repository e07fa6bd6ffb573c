"""Pages that are one file."""

import base64
import re

import cv2
import numpy as np

from detect.visualization.html import data_uri, page, picture, text


def test_a_page_fetches_nothing_and_says_so():
    found = page("Errors & <omissions>", "<h1>Errors</h1>", ".card { color: red; }", "console.log(1);")
    assert "<title>Errors &amp; &lt;omissions&gt;</title>" in found
    assert not re.search(r"(src|href)=.?https?:|@import|url\(", found)
    assert "Content-Security-Policy" in found and "default-src 'none'" in found
    assert ".card { color: red; }" in found and "console.log(1);" in found
    assert found.count("<main>") == found.count("</main>") == 1


def test_both_themes_have_the_same_colours():
    names = [set(re.findall(r"--(\w+):", block)) for block in re.findall(r":root[^{]*{([^}]*)}", page("", ""))]
    assert len(names) == 3 and names[0] == names[1] == names[2]


def test_text_is_safe_anywhere():
    assert text("<script>\"a\" & 'b'") == "&lt;script&gt;&quot;a&quot; &amp; &#x27;b&#x27;"
    assert text("v\udce9.avi") == "v\\udce9.avi"  # a file name that is no UTF-8


def test_a_picture_comes_back():
    image = np.zeros((24, 32, 3), np.uint8)
    image[:, :, 0] = 200  # red
    data = base64.b64decode(data_uri(image, 95).removeprefix("data:image/jpeg;base64,"))
    blue, green, red = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[12, 16].tolist()
    assert abs(red - 200) < 4 and green < 4 and blue < 4
    tag = picture(image[:, ::-1], "a <red> one")
    assert 'width="32" height="24" alt="a &lt;red&gt; one"' in tag
