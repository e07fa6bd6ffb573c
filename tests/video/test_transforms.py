import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detect.video.modality import mirror_rgb
from detect.video.transforms import (
    PAD_VALUE,
    Window,
    apply_color,
    clip_boxes,
    color_matrix,
    flip_boxes,
    resize,
)


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (*shape, 3), np.uint8)


@settings(deadline=None)
@given(
    st.integers(1, 400),
    st.lists(st.tuples(*[st.floats(-50, 450, width=32)] * 4), max_size=5),
)
def test_flip_twice_is_the_identity(width, boxes):
    clip = noise(2, 3, width)
    boxes = np.array(boxes, np.float64).reshape(-1, 4).round(3)
    np.testing.assert_array_equal(mirror_rgb(mirror_rgb(clip)), clip)
    np.testing.assert_allclose(flip_boxes(flip_boxes(boxes, width), width), boxes, rtol=0, atol=1e-12)


def test_flip_takes_boxes_along():
    clip = np.zeros((1, 10, 20, 3), np.uint8)
    clip[:, 2:5, 3:7] = 255
    flipped, boxes = mirror_rgb(clip), flip_boxes(np.array([[3.0, 2, 7, 5]]), 20)
    assert boxes.tolist() == [[13, 2, 17, 5]]
    assert (flipped[0, 2:5, 13:17] == 255).all() and flipped.sum() == clip.sum()


def test_whole_frame_window_is_plain_resize():
    frame = noise(24, 32)
    window = Window(0, 0, 32, 24)
    np.testing.assert_array_equal(window.cut(frame), frame)
    assert window.map_boxes(np.array([[8.0, 6, 16, 12]]), (48, 96)).tolist() == [[24, 12, 48, 24]]
    np.testing.assert_array_equal(resize(frame, (48, 96)), cv2.resize(frame, (96, 48)))


@pytest.mark.parametrize("zoom", [0.5, 0.77, 1.0, 1.3, 2.5])
def test_zoom_moves_picture_and_boxes_together(zoom):
    frame, seen = np.zeros((120, 160, 3), np.uint8), 0
    frame[40:80, 60:100] = 255
    for seed in range(5):
        window = Window.random(120, 160, zoom, np.random.default_rng(seed))
        assert (window.width, window.height) == (round(160 / zoom), round(120 / zoom))
        inside = window.x >= 0 and window.y >= 0 and window.x + window.width <= 160 and window.y + window.height <= 120
        around = window.x <= 0 and window.y <= 0 and window.x + window.width >= 160 and window.y + window.height >= 120
        assert inside if zoom > 1 else around
        part = resize(window.cut(frame), (240, 320))
        box = window.map_boxes(np.array([[60.0, 40, 100, 80]]), (240, 320))
        ((x0, y0, x1, y1),) = clip_boxes(box, (240, 320))[0]
        rows, columns = np.nonzero(part[..., 0] > 200)
        if x1 - x0 > 10 and y1 - y0 > 10:
            edges = [columns.min() - x0, rows.min() - y0, columns.max() + 1 - x1, rows.max() + 1 - y1]
            assert np.abs(edges).max() <= 2, seed
            seen += 1
    assert seen >= 3


def test_window_beyond_the_frame_is_padded_grey():
    frame = noise(4, 6)
    part = Window(-2, -1, 10, 7).cut(frame)
    np.testing.assert_array_equal(part[1:5, 2:8], frame)
    outside = np.ones((7, 10), bool)
    outside[1:5, 2:8] = False
    assert (part[outside] == PAD_VALUE).all()


def test_clip_boxes():
    boxes, visible = clip_boxes(np.array([[-10.0, 0, 10, 10], [0, 0, 5, 5], [50, 5, 60, 9]]), (20, 30))
    assert boxes.tolist() == [[0, 0, 10, 10], [0, 0, 5, 5], [30, 5, 30, 9]]
    assert visible.tolist() == [0.5, 1, 0]
    assert clip_boxes(np.empty((0, 4)), (20, 30))[1].shape == (0,)


def test_color():
    rounding = 0.55  # OpenCV multiplies in fixed point
    clip = noise(2, 4, 5)
    np.testing.assert_array_equal(apply_color(clip, color_matrix(1, 1, 1)), clip)
    grey = apply_color(clip, color_matrix(1, 1, 0)).astype(int)
    luma = clip @ np.array([0.299, 0.587, 0.114])
    assert np.abs(grey - luma[..., None]).max() <= rounding
    bright = apply_color(clip, color_matrix(1.2, 1, 1))
    assert np.abs(bright - np.minimum(clip * 1.2, 255)).max() <= rounding
    flat = apply_color(clip, color_matrix(1, 0.5, 1))
    assert np.abs(flat - (128 + (clip.astype(float) - 128) / 2)).max() <= rounding
