"""Tags: readable at every size, inside the picture, apart from each other."""

import numpy as np
import pytest

from detect.visualization.drawing import class_colour, draw_actors, draw_boxes
from detect.visualization.tags import Tag, _brightness, _fitted, _place, draw_note, draw_tagged, draw_trail, letter_size

SIZES = [(64, 64), (96, 128), (240, 320), (720, 1280), (2160, 3840)]


@pytest.mark.parametrize("size", SIZES)
def test_a_tag_stands_over_its_box_in_its_colour_with_letters_to_be_read(size):
    h, w = size
    image, colour = np.full((h, w, 3), 90, np.uint8), (255, 200, 0)
    box = np.array([0.2 * w, 0.5 * h, 0.6 * w, 0.9 * h])
    draw_tagged(image, box[None], [Tag("wave", "#1", colour)])
    over = image[: round(box[1])]
    tagged = (np.abs(over.astype(int) - colour).max(2) < 25).nonzero()
    height = np.ptp(tagged[0]) + 1
    assert letter_size(image) <= height <= 2 * letter_size(image) and letter_size(image) >= 8
    assert (over[tagged[0].min() : tagged[0].max()].max(2) < 60).any()  # dark letters on it
    assert tuple(image[round(box[3]), round(0.4 * w)]) == colour


def test_tags_of_near_actors_do_not_cover_each_other():
    rng = np.random.default_rng(0)
    for _ in range(30):
        placed = []
        for _ in range(6):
            x, y = rng.integers(20, 90, 2).tolist()
            place = _place((x, y, x + 60, y + 120), (70, 14), (240, 320, 3), placed)
            assert 0 <= place[0] < place[2] <= 320 and 0 <= place[1] < place[3] <= 240
            placed.append(place)
        for i, a in enumerate(placed):
            for b in placed[:i]:
                assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]


def test_a_long_name_is_made_to_fit():
    assert _fitted(Tag("x" * 300, "#1", (255, 255, 255)), 12, 64).shape[1] <= 64
    assert _fitted(Tag("", "", (255, 255, 255)), 12, 64).size
    image = draw_boxes(np.zeros((64, 64, 3), np.uint8), np.array([[5.0, 5, 60, 60]]), [0], ["a long name " * 9], [1])
    assert image.any()


@pytest.mark.parametrize("name", ["Ärger", "走る", "a/b_c", " ", "line\nbreak", "\ud800"])
def test_any_name_can_be_drawn(name):
    assert draw_actors(np.zeros((120, 160, 3), np.uint8), np.array([[20.0, 40, 90, 100]]), [name], [0.5], [3]).any()


@pytest.mark.parametrize("box", [
    [-900.0, -900, -800, -800], [-50, -50, 500, 500], [30, 30, 30, 30], [80, 80, 20, 20], [1e6, 0, 2e6, 10],
])  # fmt: skip
def test_boxes_beyond_the_picture_or_without_area_do_not_fail(box):
    image = np.zeros((100, 100, 3), np.uint8)
    draw_tagged(image, np.array([box], float), [Tag("a", "", (255, 255, 255))])
    assert image.any()  # the tag at least


def test_letters_are_dark_on_bright_colours_and_light_on_dark_ones():
    assert _brightness((255, 255, 255)) == pytest.approx(255) and _brightness((0, 0, 255)) == pytest.approx(0.114 * 255)
    for k in range(12):
        image = np.full((60, 120, 3), 128, np.uint8)
        draw_tagged(image, np.array([[2.0, 30, 118, 58]]), [Tag("MMMM", "", class_colour(k))])
        tag = image[2:30].reshape(-1, 3).astype(float) @ (0.299, 0.587, 0.114)
        bright = _brightness(class_colour(k))
        assert (tag.max() > 220) if bright <= 115 else (tag.min() < 40)


def test_trails_and_notes():
    image = np.zeros((100, 100, 3), np.uint8)
    draw_trail(image, np.array([[10.0, 50], [50, 50], [90, 50]]), (0, 255, 0))
    thickness = (image[:, :, 1] > 0).sum(0)
    assert thickness[20] and thickness[80] >= thickness[20] and not image[:40].any()
    draw_trail(image, np.array([[10.0, 50]]), (0, 255, 0))
    image[:] = 0
    draw_note(image, "latency 0.42 s")
    assert image[80:].any() and not image[:80].any()
