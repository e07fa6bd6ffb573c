"""Augmentation for few recordings: the speed of a clip and its background, in the mapper of keyframes."""

import numpy as np
import pytest
import torch
from tiny_set import SIZE

from detect.config import load_cfg
from detect.data.keyframe_mapper import KeyframeMapper
from detect.data.records import WithNeighbours
from detect.video.windows import SpanPlan, clip_indices


def mapper(is_train=True, num_frames=6, size=SIZE, **options):
    return KeyframeMapper(num_frames, size, is_train=is_train, **options)


def rng(seed=0):
    return np.random.default_rng(seed)


def numbers(item):
    """The frames of a clip at the size of the set: the first pixel holds them."""
    return item["clip"][:, 0, 0, 0].tolist()


def boxes(item):
    return item["instances"].gt_boxes.tensor.tolist()


def test_without_them_the_same_numbers_are_drawn_as_ever(make_set):
    """A zoom, a coin, three colour factors and a place (x, y): also where both are given, but off."""
    keyframes, _ = make_set({"Left/a": 9})
    expected, found, given = rng(3), rng(3), rng(3)
    expected.random(7)
    one = mapper(flip_prob=0.5)(keyframes[0], found)
    other = mapper(flip_prob=0.5, speed_jitter=[1, 1], background_prob=0.0)(keyframes[0], given)
    assert expected.bit_generator.state == found.bit_generator.state == given.bit_generator.state
    assert torch.equal(one["clip"], other["clip"])
    assert (one["speed"], one["new_background"]) == (1.0, False)


@pytest.mark.parametrize("num_frames", [1, 5, 6, 20])
@pytest.mark.parametrize("speed", [0.5, 0.7, 1.3, 2.0, 9.0])
def test_frames_at_a_speed(make_set, num_frames, speed):
    keyframes, _ = make_set({"Left/a": 13, "Left/b": 1}, "all")
    fast = mapper(num_frames=num_frames, speed_jitter=(speed, speed))
    for sample in keyframes:
        item, keyframe = fast(sample, rng()), sample["frame_index"]
        wanted = [keyframe + int(np.floor((i - num_frames // 2) * speed + 0.5)) for i in range(num_frames)]
        assert numbers(item) == [min(max(k, 0), sample["num_frames"] - 1) for k in wanted]
        assert numbers(item)[num_frames // 2] == keyframe and item["speed"] == pytest.approx(speed)


def test_speeds_of_a_range_leave_the_keyframe_and_its_boxes(make_set):
    keyframes, pictures = make_set({"Left/a": 40})
    sample, speeds = keyframes[3], []
    plain = mapper()(sample, rng())
    for seed in range(40):
        item, same = (mapper(speed_jitter=(0.5, 2.0))(sample, rng(seed)) for _ in range(2))
        assert torch.equal(item["clip"], same["clip"]) and item["speed"] == same["speed"]
        assert numbers(item) == clip_indices(sample["frame_index"], 40, 6, item["speed"]).tolist()
        np.testing.assert_array_equal(item["clip"][3], pictures["Left/a"][sample["frame_index"]])
        assert boxes(item) == boxes(plain)
        speeds.append(item["speed"])
    assert 0.5 <= min(speeds) < 0.7 and 1.5 < max(speeds) <= 2 and 10 <= np.sum(np.array(speeds) < 1) <= 30


def test_a_fast_clip_of_a_video_that_ends_early(make_set):
    keyframes, _ = make_set({"Left/a": 9})
    sample = keyframes[1] | {"num_frames": 30}  # frame 5
    item = mapper(speed_jitter=(2, 2))(sample, rng())
    assert numbers(item) == [0, 1, 3, 5, 7, 8] and item["decoded_frames"] == 9


def test_a_test_has_the_recorded_speed_and_place(make_set):
    keyframes, _ = make_set({"Left/a": 9})
    plain, other = mapper(False), mapper(False, speed_jitter=(2, 2), background_prob=1.0)
    assert torch.equal(plain(keyframes[0])["clip"], other(keyframes[0])["clip"])


@pytest.mark.parametrize(
    "options, other",
    [
        ({"streams": ("rgb", "flow")}, "MODEL.STREAMS has flow"),
        ({"plan": SpanPlan(6, 2, 14)}, "share frames by INPUT.SPAN_FRAMES"),
    ],
)
def test_speeds_that_cannot_be(options, other):
    with pytest.raises(ValueError, match=rf"INPUT.SPEED_JITTER is \(0.5, 2\), but .*{other}.*; set INPUT.SPEED_JITTER"):
        mapper(speed_jitter=(0.5, 2), **options)
    mapper(speed_jitter=(1, 1), **options)
    mapper(False, speed_jitter=(0.5, 2), **options)  # a trained detector may be watched with spans


@pytest.mark.parametrize("speeds", [(0, 1), (-1, 1), (2, 1), (1,), (1, float("nan")), (1, float("inf"))])
def test_ranges_that_are_none(speeds):
    with pytest.raises(ValueError, match="speed_jitter is .*, not 0 < slowest <= fastest .INPUT.SPEED_JITTER"):
        mapper(speed_jitter=speeds)


def test_from_config():
    cfg = load_cfg("", ["INPUT.SPEED_JITTER", (0.8, 1.25), "INPUT.BACKGROUND_PROB", 0.3])
    made = KeyframeMapper.from_config(cfg, is_train=True)
    assert made.speed_jitter == (0.8, 1.25) and made.background_prob == 0.3
    with pytest.raises(ValueError, match="INPUT.BACKGROUND_PROB"):
        mapper(background_prob=2)


@pytest.mark.parametrize("flip_prob", [0.0, 1.0])
@pytest.mark.parametrize("zoom", [0.7, 1.0, 1.4])
def test_another_background_leaves_actors_and_boxes(make_set, flip_prob, zoom):
    keyframes, _ = make_set({"Left/a": 9})
    options = {"flip_prob": flip_prob, "scale_jitter": (zoom, zoom), "size": (48, 64), "color_jitter": 0.3}
    for seed in range(5):
        plain = mapper(**options)(keyframes[1], rng(seed))
        item, same = (mapper(background_prob=1.0, **options)(keyframes[1], rng(seed)) for _ in range(2))
        assert boxes(item) == boxes(plain) and torch.equal(item["clip"], same["clip"]) and item["new_background"]
        for x0, y0, x1, y1 in boxes(item):
            inside = (slice(None), slice(int(y0), int(np.ceil(y1))), slice(int(x0), int(np.ceil(x1))))
            assert torch.equal(item["clip"][inside], plain["clip"][inside])
        changed = (item["clip"] != plain["clip"]).float().mean()
        assert changed > 0.1 or zoom > 1  # a box of a quarter of the frame, grown


def test_a_sample_without_boxes_keeps_its_background(make_set):
    keyframes, _ = make_set({"Left/a": 9}, "all")
    plain, item = mapper()(keyframes[0], rng()), mapper(background_prob=1.0)(keyframes[0], rng())
    assert torch.equal(plain["clip"], item["clip"]) and not item["new_background"]


def test_how_often_the_background_is_another(make_set):
    keyframes, _ = make_set({"Left/a": 4})
    found = [mapper(background_prob=0.3)(keyframes[0], rng(seed))["new_background"] for seed in range(200)]
    assert 0.2 < np.mean(found) < 0.4  # 0.3 within three standard deviations of 0.032


def test_a_span_keeps_what_is_near_all_of_its_boxes(make_set):
    keyframes, _ = make_set({"Left/a": 40})
    plan, seen = SpanPlan(6, 2, 14), 0
    samples = WithNeighbours(keyframes, plan)
    for seed in range(10):
        plain, item = (mapper(plan=plan, background_prob=p)(samples[8], rng(seed)) for p in (0.0, 1.0))
        if plain["offsets"] != item["offsets"] or not item["new_background"]:
            continue
        seen += 1
        for found in item["instances"]:
            ((x0, y0, x1, y1),) = found.gt_boxes.tensor.int().tolist()
            assert torch.equal(item["clip"][:, y0:y1, x0:x1], plain["clip"][:, y0:y1, x0:x1])
        assert (item["clip"] != plain["clip"]).any()
    assert seen == 10


def test_the_boxes_are_those_that_the_clip_shows(make_set, monkeypatch):
    """At a zoom they are in pixels of the clip, as it is before it is mirrored."""
    keyframes, _ = make_set({"Left/a": 9})
    given = []
    monkeypatch.setattr(
        "detect.data.keyframe_mapper.replace_background",
        lambda clip, boxes, seen, rng: given.extend((boxes, seen)) or clip,
    )
    item = mapper(background_prob=1.0, scale_jitter=(0.5, 0.5), flip_prob=1.0, size=(48, 64))(keyframes[1], rng())
    window = item["view"]
    assert (window.width, window.height) == (64, 48) and item["mirrored"]
    assert given[0].tolist() == [[2 - window.x, 2 - window.y, 12 - window.x, 14 - window.y]]
    assert given[1].tolist() == [-window.x, -window.y, 32 - window.x, 24 - window.y]
