import numpy as np
import pytest

from detect.video.background import DRIFT, check_background, random_texture, replace_background

SIZE = (112, 160)
WHOLE = np.array([0, 0, 1000, 1000])  # the frame fills the clip
BOXES = np.array([[60.0, 40, 100, 90]])  # 40 x 50 pixels: grown by 12 to 24 at the sides, 5 to 12.5 above and below


def rng(seed=0):
    return np.random.default_rng(seed)


def noise(length=3, size=SIZE, seed=0):
    return rng(seed).integers(0, 256, (length, *size, 3), np.uint8)


def kept(boxes, seed, size=SIZE):
    """The share of each pixel that stays: white less black in place of the clip, over the same texture."""
    black, white = (np.full((1, *size, 3), value, np.uint8) for value in (0, 255))
    white, black = (replace_background(clip, boxes, WHOLE, rng(seed)).astype(float) for clip in (white, black))
    return ((white - black) / 255)[0].mean(axis=2)


def test_what_is_near_a_box_stays_and_the_rest_is_new():
    one, other = noise(), noise(seed=1)
    before = one.copy()
    for seed in range(10):
        first, second = (replace_background(clip, BOXES, WHOLE, rng(seed)) for clip in (one, other))
        assert first.shape == one.shape and first.dtype == np.uint8
        # 60 - 12 .. 100 + 12 and 40 - 5 .. 90 + 5 is the least that stays
        np.testing.assert_array_equal(first[:, 35:95, 48:112], one[:, 35:95, 48:112])
        far = np.ones(SIZE, bool)
        far[22:108, 31:129] = False  # beyond 24 or 12.5 and a soft edge of 0.04 * 112
        np.testing.assert_array_equal(first[:, far], second[:, far])
        assert (first[:, far] != one[:, far]).mean() > 0.9
    np.testing.assert_array_equal(one, before)


def test_edges_are_soft_and_their_place_is_drawn():
    widths, heights = set(), set()
    for seed in range(30):
        share = kept(BOXES, seed)
        row, column = share[65, 80:], share[65:, 80]
        assert (np.diff(row) <= 1e-9).all() and (np.diff(column) <= 1e-9).all()
        assert 3 <= ((row > 0.01) & (row < 0.99)).sum() <= 5  # 4.48 pixels
        widths.add(int((row == 1).sum())), heights.add(int((column == 1).sum()))
    assert min(widths) >= 31 and max(widths) <= 44 and len(widths) > 8  # from the middle, 80: 20 + 12 .. 20 + 24
    assert min(heights) >= 29 and max(heights) <= 38 and len(heights) > 4  # from 65: 25 + 5 .. 25 + 12.5


def test_several_boxes_and_boxes_beyond_the_frame():
    boxes = np.array([[-30.0, -20, 10, 20], [150, 100, 200, 150], [60, 40, 70, 50]])
    clip = noise()
    found = replace_background(clip, boxes, WHOLE, rng())
    for y, x in ((slice(0, 20), slice(0, 10)), (slice(100, 112), slice(150, 160)), (slice(40, 50), slice(60, 70))):
        np.testing.assert_array_equal(found[:, y, x], clip[:, y, x])
    assert (found != clip).mean() > 0.5


@pytest.mark.parametrize("boxes", [np.empty((0, 4)), np.array([[300.0, 10, 340, 60]])])
def test_without_a_box_in_sight_nothing_changes(boxes):
    clip = noise()
    np.testing.assert_array_equal(replace_background(clip, boxes, WHOLE, rng()), clip)


def test_beyond_the_frame_all_is_texture():
    """A zoom out leaves a border, which is no part of the video, inside of the grown box or not."""
    clip = noise()
    found, whole = (replace_background(clip, BOXES, seen, rng()) for seen in (np.array([55.5, 38, 105, 92]), WHOLE))
    np.testing.assert_array_equal(found[:, 38:92, 56:105], whole[:, 38:92, 56:105])
    assert (found[:, 38:92, 52:55] != clip[:, 38:92, 52:55]).mean() > 0.9  # the least margin begins at 48
    np.testing.assert_array_equal(found[:, :20], whole[:, :20])


def test_equal_states_give_equal_clips():
    clip = noise()
    one, same, other = (replace_background(clip, BOXES, WHOLE, rng(seed)) for seed in (4, 4, 5))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


def shift(first, frame, most):
    """(dy, dx) by which the texture of the first frame moved, the only one within `most` pixels."""
    inner = frame[most:-most, most:-most].astype(int)
    errors = {}
    for dy in range(-most, most + 1):
        for dx in range(-most, most + 1):
            moved = first[most + dy : len(first) - most + dy, most + dx : first.shape[1] - most + dx]
            errors[dy, dx] = np.abs(inner - moved).max()
    found = [place for place, error in errors.items() if error == 0]
    assert len(found) == 1
    return found[0]


def test_the_texture_is_one_for_all_frames_at_rest_or_at_a_constant_velocity():
    """In 5 frames of 100 x 100 it moves 0.015 * 100 * 4 = 6 pixels at most; whole pixels are half a one off."""
    clip, box, still = np.zeros((5, 100, 100, 3), np.uint8), np.array([[90.0, 90, 95, 95]]), 0
    for seed in range(40):
        found = replace_background(clip, box, WHOLE, rng(seed))[:, :80, :80]
        if (found == found[0]).all():
            still += 1
        elif seed < 12:
            shifts = np.array([shift(found[0], frame, 7) for frame in found])
            assert np.abs(shifts).max() <= np.ceil(DRIFT * 100 * 4)
            assert np.abs(shifts - np.arange(5)[:, None] * shifts[-1] / 4).max() <= 1
    assert 10 <= still <= 30  # half of 40 within three standard deviations of 3.2


def test_textures_are_smooth_and_of_many_colours():
    textures = [random_texture(SIZE, rng(seed)).astype(float) for seed in range(30)]
    steps = [np.abs(np.diff(texture, axis=axis)).mean() for texture in textures for axis in (0, 1)]
    assert max(steps) < 16 and min(steps) < 2  # noise of single pixels has steps of 85
    means = np.array([texture.mean(axis=(0, 1)) for texture in textures])
    assert (means.std(axis=0) > 15).all() and np.mean([texture.std() for texture in textures]) > 35


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (7, 300)])
def test_frames_of_any_size(size):
    assert random_texture(size, rng()).shape == (*size, 3)
    clip = noise(size=size)
    assert replace_background(clip, np.array([[0.0, 0, 1, 1]]), WHOLE, rng()).shape == clip.shape


@pytest.mark.parametrize("value", [-0.1, 1.5, float("nan")])
def test_what_is_no_probability(value):
    with pytest.raises(ValueError, match="background_prob is .*; legal values are 0 to 1 .INPUT.BACKGROUND_PROB"):
        check_background(value)
