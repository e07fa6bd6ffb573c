"""Drawing."""

import cv2
import numpy as np
import pytest

from detect.video.writer import VideoWriter, save_video
from detect.visualization.drawing import (
    class_colour,
    draw_boxes,
    draw_ground_truth,
    grid,
    readable,
    save_image,
)


def test_a_box_is_drawn_where_it_is_in_its_colour():
    image = draw_boxes(
        np.zeros((200, 300, 3), np.uint8), np.array([[100.0, 80.0, 180.0, 150.0]]), [2], ["a", "b", "c"], [0.9]
    )
    assert tuple(image[120, 100]) == class_colour(2) and tuple(image[150, 140]) == class_colour(2)
    assert not image[100:140, 110:170].any() and not image[160:].any()


def test_scale_and_ground_truth():
    image = draw_ground_truth(
        np.zeros((200, 300, 3), np.uint8), np.array([[50.0, 40.0, 90.0, 75.0]]), [0], ["a"], scale=2
    )
    assert tuple(image[120, 100]) == (255, 255, 255) and not image[100:140, 110:170].any()


@pytest.mark.parametrize("box", [[-50.0, -50.0, 20.0, 20.0], [290.0, 190.0, 400.0, 300.0], [0.0, 0.0, 300.0, 200.0]])
def test_boxes_at_the_border_do_not_fail(box):
    assert draw_boxes(np.zeros((200, 300, 3), np.uint8), np.array([box]), [0], ["a long class name"], [1.0]).any()


def test_nothing_to_draw():
    assert not draw_boxes(np.zeros((20, 30, 3), np.uint8), np.zeros((0, 4)), [], []).any()


def test_neighbouring_classes_differ():
    colours = np.array([class_colour(i) for i in range(24)]).astype(int)
    assert np.abs(colours[1:] - colours[:-1]).max(1).min() > 60


def test_small_pictures_are_enlarged_and_large_ones_kept():
    small, factor = readable(np.zeros((90, 120, 3), np.uint8))
    assert small.shape == (360, 480, 3) and factor == 4
    large, factor = readable(np.zeros((1080, 1920, 3), np.uint8))
    assert large.shape == (1080, 1920, 3) and factor == 1


def test_grid_and_picture_file(tmp_path):
    sheet = grid([np.full((10, 20, 3), v, np.uint8) for v in (50, 100, 150)], columns=2, gap=2)
    assert sheet.shape == (26, 46, 3) and sheet[3, 3, 0] == 50 and sheet[3, 25, 0] == 100 and sheet[15, 3, 0] == 150
    save_image(tmp_path / "new" / "a.png", sheet)
    assert np.array_equal(cv2.imread(str(tmp_path / "new" / "a.png")), sheet)
    with pytest.raises((OSError, cv2.error)):
        save_image(tmp_path / "a.unknown", sheet)


def test_video_appears_when_complete(tmp_path):
    save_video(tmp_path / "a.mp4", [np.full((32, 48, 3), 20 * i, np.uint8) for i in range(5)])
    capture, values = cv2.VideoCapture(str(tmp_path / "a.mp4")), []
    while (frame := capture.read()[1]) is not None:
        values.append(round(float(frame.mean()) / 20))
    assert values == [0, 1, 2, 3, 4]
    with pytest.raises(RuntimeError), VideoWriter(tmp_path / "b.mp4", 10) as writer:
        writer.write(np.zeros((32, 48, 3), np.uint8))
        raise RuntimeError("stopped")
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]
    with pytest.raises(ValueError, match=r"a.gif.*\.mp4, \.avi"):
        VideoWriter(tmp_path / "a.gif", 10)
