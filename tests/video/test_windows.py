import weakref
from itertools import product

import numpy as np
import pytest

from detect.video.windows import clip_indices, clips_around


def test_paper_clip_of_20():
    assert clip_indices(50, 200, 20).tolist() == list(range(40, 60))


def test_edges_are_repeated():
    assert clip_indices(1, 4, 8).tolist() == [0, 0, 0, 0, 1, 2, 3, 3]
    assert clip_indices(0, 1, 5).tolist() == [0] * 5


@pytest.mark.parametrize("length", [1, 2, 3, 7, 16, 20, 33])
def test_keyframe_contract(length):
    for num_frames in range(1, 61):
        for keyframe in range(num_frames):
            clip = clip_indices(keyframe, num_frames, length)
            assert len(clip) == length and clip[length // 2] == keyframe
            assert clip.min() >= 0 and clip.max() < num_frames
            for offset in (-(length // 2), length - 1 - length // 2):  # the ends of the clip
                expected = min(max(keyframe + offset, 0), num_frames - 1)
                assert clip[length // 2 + offset] == expected
            assert np.isin(np.diff(clip), [0, 1]).all()


def test_bad_arguments():
    with pytest.raises(ValueError, match="keyframe 5 is outside a video of 5 frames"):
        clip_indices(5, 5, 4)
    with pytest.raises(ValueError, match="keyframe -1"):
        clip_indices(-1, 5, 4)
    with pytest.raises(ValueError, match="0 frames"):
        clip_indices(0, 5, 0)


def test_clips_are_those_of_the_keyframe_contract():
    for length, count in product([1, 2, 3, 8, 20], [0, 1, 2, 3, 7, 9, 10, 11, 19, 20, 21, 60]):
        clips = list(clips_around(iter(range(count)), length))
        assert [k for k, _ in clips] == list(range(count)), (length, count)
        for k, clip in clips:
            assert clip == clip_indices(k, count, length).tolist() and clip[length // 2] == k, (length, count)


def test_a_clip_comes_as_soon_as_its_last_frame_does():
    seen = []
    frames = (seen.append(i) or i for i in range(100))
    clips = clips_around(frames, 20)
    assert next(clips)[0] == 0 and len(seen) == 10  # frames -10 .. 9
    assert next(clips)[0] == 1 and len(seen) == 11


def test_memory_is_one_clip_however_long_the_stream():
    alive = weakref.WeakSet()

    class Frame:
        def __init__(self):
            alive.add(self)

    most = 0
    for _ in clips_around((Frame() for _ in range(500)), 20):
        most = max(most, len(alive))
    assert 20 <= most <= 22  # the clip given out, and the next frame
