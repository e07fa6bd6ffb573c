import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detect.classification.sampling import chunks, dense_indices, even_clips


def numbered(count):
    """Frames of one pixel that holds the frame's number."""
    return [np.full((1, 1, 1), k) for k in range(count)]


@given(st.integers(1, 200), st.integers(1, 80), st.floats(0, 1, exclude_max=True))
def test_dense_frames_are_consecutive_and_short_videos_loop(num_frames, length, share):
    found = dense_indices(num_frames, length, share)
    assert found.shape == (length,) and found.min() >= 0 and found.max() < num_frames
    assert (np.diff(found) % num_frames == 1 % num_frames).all()
    if num_frames >= length:
        assert found[-1] == found[0] + length - 1
    else:
        assert found[0] == 0


@given(st.integers(1, 200), st.integers(1, 80), st.floats(0, 1, exclude_max=True), st.floats(0.1, 8))
def test_dense_frames_at_a_speed(num_frames, length, share, speed):
    found = dense_indices(num_frames, length, share, speed)
    steps = [int(np.floor(i * speed + 0.5)) for i in range(length)]
    assert found.min() >= 0 and found.max() < num_frames
    assert ((found - found[0]) % num_frames == np.array(steps) % num_frames).all()
    if num_frames > steps[-1]:
        assert found[-1] == found[0] + steps[-1]
    else:
        assert found[0] == 0
    assert (dense_indices(num_frames, length, share, 1.0) == dense_indices(num_frames, length, share)).all()


def test_every_start_of_a_fast_clip_is_reached():
    """5 frames at twice the speed reach over 9: of 12 the starts are 0, 1, 2, 3. Of 4 they loop."""
    assert [dense_indices(12, 5, share, 2.0).tolist() for share in (0.0, 0.99)] == [[0, 2, 4, 6, 8], [3, 5, 7, 9, 11]]
    assert dense_indices(4, 5, 0.5, 2.0).tolist() == [0, 2, 0, 2, 0]


def test_every_start_is_reached_equally():
    """5 frames of 8: starts 0, 1, 2, 3, each for a quarter of the shares."""
    starts = [dense_indices(8, 5, share)[0] for share in np.arange(0, 1, 1 / 40)]
    assert np.bincount(starts).tolist() == [10, 10, 10, 10]


def test_no_frames():
    with pytest.raises(ValueError, match="4 of 0 frames"):
        dense_indices(0, 4, 0.0)


def test_even_clips_reach_from_start_to_end():
    assert even_clips(10, 4, 3).tolist() == [[0, 1, 2, 3], [3, 4, 5, 6], [6, 7, 8, 9]]
    assert even_clips(10, 4, 1).tolist() == [[3, 4, 5, 6]]
    assert even_clips(2, 3, 2).tolist() == [[0, 1, 0], [0, 1, 0]]


@given(st.integers(1, 150), st.sampled_from([8, 16, 24]))
def test_chunks_hold_every_frame_once_and_are_never_tiny(count, size):
    found = list(chunks(numbered(count), size))
    assert np.concatenate(found).ravel().tolist() == list(range(count))
    assert max(map(len, found)) <= size
    assert len(found) == 1 or min(map(len, found)) > size // 2 - 4  # halves are rounded to the grid of 8
    assert all(len(part) % 8 == 0 for part in found[:-1])


def test_padding_loops():
    assert [part.ravel().tolist() for part in chunks(numbered(3), 8, 7)] == [[0, 1, 2, 0, 1, 2, 0]]
    assert [len(part) for part in chunks(numbered(9), 16, 7)] == [9]
    assert list(chunks([], 8, 7)) == []


@pytest.mark.parametrize("size, pad", [(12, 0), (0, 0), (16, 17)])
def test_chunk_sizes_that_cannot_be(size, pad):
    with pytest.raises(ValueError, match=f"TEST.CHUNK_FRAMES is {size}, TEST.PAD_FRAMES {pad}"):
        list(chunks([], size, pad))


def test_at_most_two_chunks_are_held():
    """The source is drawn no further than 2 * size frames beyond what was given out."""
    drawn = []

    def source():
        for frame in numbered(100):
            drawn.append(frame)
            yield frame

    given_out = 0
    for part in chunks(source(), 8):
        assert len(drawn) - given_out <= 16
        given_out += len(part)
    assert given_out == 100
