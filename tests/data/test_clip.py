import numpy as np
import pytest

from detect.data.clip import clip_indices


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
