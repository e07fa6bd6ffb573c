import weakref
from itertools import count, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detect.video.windows import SpanPlan, clip_indices, gather, random_speed


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


def test_frames_at_a_speed():
    assert clip_indices(10, 100, 5, 2.0).tolist() == [6, 8, 10, 12, 14]
    assert clip_indices(10, 100, 6, 0.5).tolist() == [9, 9, 10, 10, 11, 11]  # steps -1.5 -1 -0.5 0 0.5 1, halves up
    assert clip_indices(2, 5, 5, 2.0).tolist() == [0, 0, 2, 4, 4]


@given(st.data(), st.integers(1, 60), st.integers(1, 40), st.floats(0.1, 10))
def test_keyframe_contract_at_any_speed(data, num_frames, length, speed):
    keyframe = data.draw(st.integers(0, num_frames - 1))
    clip = clip_indices(keyframe, num_frames, length, speed)
    assert len(clip) == length and clip[length // 2] == keyframe and clip.dtype == np.int64
    assert clip.min() >= 0 and clip.max() < num_frames
    exact = np.clip(keyframe + (np.arange(length) - length // 2) * speed, 0, num_frames - 1)
    assert np.abs(clip - exact).max() <= 0.5 + 1e-9 and (np.diff(clip) >= 0).all()


def test_speeds_are_drawn_log_uniformly():
    """Of 0.5 to 2 the quarters of the logarithm end at 0.707, 1 and 1.414."""
    rng = np.random.default_rng(0)
    drawn = [random_speed((0.5, 2.0), rng) for _ in range(400)]
    shares = np.histogram(drawn, [0.5, 0.5**0.5, 1, 2**0.5, 2])[0]
    assert shares.sum() == 400 and (np.abs(shares - 100) < 30).all()  # three standard deviations of 8.7
    state = rng.bit_generator.state
    assert random_speed((1.0, 1.0), rng) == 1.0 and rng.bit_generator.state == state


def test_bad_arguments():
    with pytest.raises(ValueError, match="keyframe 5 is outside a video of 5 frames"):
        clip_indices(5, 5, 4)
    with pytest.raises(ValueError, match="keyframe -1"):
        clip_indices(-1, 5, 4)
    with pytest.raises(ValueError, match="0 frames"):
        clip_indices(0, 5, 0)


def windows(frames, length):
    """(keyframe, its clip) of every frame of a stream."""
    for span, clip in gather(frames, SpanPlan(length).spans(count())):
        (keyframe,) = span.keyframes
        assert span.offsets == (0,) and span.positions == [length // 2]
        yield keyframe, clip


def test_windows_are_those_of_the_keyframe_contract():
    for length, number in product([1, 2, 3, 8, 20], [0, 1, 2, 3, 7, 9, 10, 11, 19, 20, 21, 60]):
        clips = list(windows(iter(range(number)), length))
        assert [k for k, _ in clips] == list(range(number)), (length, number)
        for k, clip in clips:
            assert clip == clip_indices(k, number, length).tolist() and clip[length // 2] == k, (length, number)


def test_a_window_comes_as_soon_as_its_last_frame_does():
    seen = []
    frames = (seen.append(i) or i for i in range(100))
    clips = windows(frames, 20)
    assert next(clips)[0] == 0 and len(seen) == 10  # frames -10 .. 9
    assert next(clips)[0] == 1 and len(seen) == 11


class Frame:
    alive = weakref.WeakSet()

    def __init__(self):
        Frame.alive.add(self)


def test_memory_is_one_window_however_long_the_stream():
    most = 0
    for _ in windows((Frame() for _ in range(500)), 20):
        most = max(most, len(Frame.alive))
    assert 20 <= most <= 22  # the clip given out, and the next frame


PLANS = st.builds(
    SpanPlan,
    window=st.integers(1, 24),
    stride=st.sampled_from([1, 2, 4]),
    length=st.integers(0, 70),
    phases=st.integers(0, 5),
)


@settings(deadline=None, max_examples=300)
@given(PLANS, st.integers(1, 60), st.integers(1, 9), st.randoms(use_true_random=False))
def test_spans_hold_every_keyframe_once_in_its_place(plan, num_frames, every, random):
    """For any plan and length: each keyframe once, at its position in the clip, its window on the grid of the map, the
    exact one where phases allow it; and the frames are those that the numbers say, edge frames repeated."""
    keyframes = sorted(random.sample(range(num_frames), max(num_frames // every, 1)))
    found = {}
    starts = []
    for span, clip in gather(iter(range(num_frames)), plan.spans(keyframes)):
        assert clip == [min(max(i, 0), num_frames - 1) for i in range(span.start, span.start + span.length)]
        assert len(clip) == span.length <= max(plan.window, plan.length)
        assert list(span.keyframes) == sorted(span.keyframes) and list(span.offsets) == sorted(span.offsets)
        for keyframe, position, offset in zip(span.keyframes, span.positions, span.offsets, strict=True):
            assert keyframe not in found and clip[position] == keyframe
            assert offset % plan.stride == 0 and 0 <= offset <= span.length - plan.window
            assert offset <= position < offset + plan.window
            off = position - offset - plan.window // 2  # 0: the exact window
            exact = not plan.shares or not 0 < plan.phases < plan.stride < plan.window
            assert abs(off) <= (0 if exact else plan.stride / plan.phases / 2 + bool(plan.stride % plan.phases))
            found[keyframe] = clip[offset : offset + plan.window]
        starts.append(span.start)
    assert sorted(found) == keyframes and starts == sorted(starts)
    if not plan.shares:
        assert all(clip == clip_indices(k, num_frames, plan.window).tolist() for k, clip in found.items())


def test_a_video_is_one_pass_where_keyframes_lie_on_the_grid():
    plan = SpanPlan(20, 4, 64)
    spans = list(plan.spans(range(0, 200, 4)))
    assert [len(span.keyframes) for span in spans] == [12, 12, 12, 12, 2] and spans[0].start == -10
    assert [span.length for span in spans] == [64, 64, 64, 64, 24]
    # every frame a keyframe: four passes, or one with the nearest windows
    assert sum(span.length for span in plan.spans(range(200))) == 4 * (4 * 64 + 24)
    near = list(SpanPlan(20, 4, 64, phases=1).spans(range(200)))
    assert sum(span.length for span in near) < 1.5 * 200 and [len(s.keyframes) for s in near][0] == 46


def test_a_stream_is_held_for_one_span_only():
    most, seen = 0, 0
    for span, _ in gather((Frame() for _ in range(2000)), SpanPlan(20, 4, 64).spans(count())):
        most, seen = max(most, len(Frame.alive)), seen + len(span.keyframes)
    assert seen == 2000 and most <= 64 + 4 + 1


def test_keyframes_far_apart_do_not_share():
    spans = list(SpanPlan(8, 4, 40).spans([10, 14, 40, 48]))
    assert [(span.keyframes, span.length) for span in spans] == [((10, 14), 12), ((40,), 8), ((48,), 8)]


@given(st.integers(0, 60), st.integers(1, 9), st.integers(1, 4))
def test_windows_with_a_step_have_the_keyframe_in_the_middle(keyframe, frames, step):
    plan = SpanPlan.stepped(frames, step)
    (span,) = plan.spans([keyframe])
    indices = span.indices(61)
    assert len(indices) == frames and indices[frames // 2] == keyframe
    assert indices.tolist() == clip_indices(keyframe, 61, frames, step).tolist()
    # off a stream, as in an evaluation of a whole video
    ((_, held),) = list(gather(range(61), plan.spans([keyframe])))
    assert held == indices.tolist()
