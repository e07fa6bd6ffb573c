"""The online linker against a plain, slow writing of its rule, and its edges by hand."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detect.evaluation.linking import linker as linker_module
from detect.evaluation.linking.linker import Linker, LinkOptions, suppress
from detect.utils.errors import UserError


def iou(a, b) -> float:
    """With the pixel that the published scripts add to each side."""
    width, height = (min(a[k + 2], b[k + 2]) - max(a[k], b[k]) + 1 for k in (0, 1))
    common = max(width, 0) * max(height, 0)
    return common / (sum((c[2] - c[0] + 1) * (c[3] - c[1] + 1) for c in (a, b)) - common)


def plainly_linked(frames, options):
    """Ids of one stream by lists and loops; frames: [(boxes, scores)]."""
    tubes, result, next_id = [], [], 0
    for number, (boxes, scores) in enumerate(frames):
        kept = []
        for row in np.argsort(-scores, kind="stable"):
            if all(iou(boxes[row], boxes[better]) <= options.nms for better in kept):
                kept.append(row)
        free, ids, still = kept[: options.keep], np.full(len(scores), -1), []
        tubes.sort(key=lambda tube: -np.mean(tube["scores"]))
        for tube in tubes:
            near = [row for row in free if iou(tube["box"], boxes[row]) >= options.iou]
            if near:
                row = max(near, key=lambda row: scores[row])
                free.remove(row)
                tube["box"], tube["last"], ids[row] = boxes[row], number, tube["id"]
                tube["scores"].append(scores[row])
            if near or number - tube["last"] < options.gap:
                still.append(tube)
        for row in free:
            still.append({"box": boxes[row], "scores": [scores[row]], "last": number, "id": next_id})
            ids[row] = next_id
            next_id += 1
        tubes = still
        result.append(ids)
    return result


@pytest.mark.parametrize("options", [LinkOptions(), LinkOptions(nms=0.6, keep=3, iou=0.5, gap=2)])
def test_many_streams_at_once_equal_each_by_itself(options):
    rng = np.random.default_rng(3)
    streams = []
    for _ in range(6):
        corners = [rng.uniform(0, 60, (n, 2)) for n in rng.integers(0, 8, 50)]
        streams.append([(np.hstack([c, c + rng.uniform(8, 40, c.shape)]), rng.random(len(c))) for c in corners])
    linker, same = Linker(len(streams), options), [{} for _ in streams]
    expected = [plainly_linked(frames, options) for frames in streams]
    for number in range(50):
        of_stream = np.concatenate([np.full(len(frames[number][1]), s) for s, frames in enumerate(streams)])
        boxes = np.concatenate([frames[number][0] for frames in streams])
        scores = np.concatenate([frames[number][1] for frames in streams])
        mixed = rng.permutation(len(scores))
        ids = np.empty(len(scores), np.int64)
        ids[mixed] = linker.step(of_stream[mixed], boxes[mixed], scores[mixed])
        for stream, names in enumerate(same):
            ours, theirs = ids[of_stream == stream], expected[stream][number]
            assert ((ours < 0) == (theirs < 0)).all()
            for one, other in zip(ours, theirs, strict=True):
                assert one < 0 or names.setdefault(other, one) == one
    everything = [one for names in same for one in names.values()]
    assert len(everything) == len(set(everything))


def link_one(*frames, options=None):
    """Ids of one stream; a frame is a list of (x, score) of boxes 10 wide."""
    linker = Linker(1, options or LinkOptions())
    result = []
    for frame in frames:
        boxes = np.array([[x, 0, x + 10, 10] for x, _ in frame], float).reshape(-1, 4)
        result.append(linker.step(np.zeros(len(frame), int), boxes, np.array([s for _, s in frame])).tolist())
    return result


def test_the_better_tube_chooses_first():
    # box 5 overlaps both tubes (0 and 10): 6 / 16 each with the added pixel; the tube of 10 has the higher score
    assert link_one([(0, 0.5), (10, 0.9)], [(5, 0.7)], [(5, 0.7)]) == [[1, 0], [0], [0]]


def test_a_tube_survives_a_gap_of_four_frames_and_not_of_five():
    assert link_one([(0, 1.0)], [], [], [], [], [(0, 1.0)]) == [[0], [], [], [], [], [0]]
    assert link_one([(0, 1.0)], [], [], [], [], [], [(0, 1.0)]) == [[0], [], [], [], [], [], [1]]


def test_suppressed_boxes_have_no_tube():
    assert link_one([(0, 0.5), (1, 0.9), (40, 0.1)]) == [[-1, 0, 1]]


def test_memory_does_not_grow_with_the_stream():
    linker, rng = Linker(1), np.random.default_rng(0)
    for _ in range(400):
        corner = rng.uniform(0, 1000, (10, 2))
        linker.step(np.zeros(10, int), np.hstack([corner, corner + 5]), rng.random(10))
    assert linker._id.shape[1] <= 10 * (LinkOptions().gap + 1)


def test_order_by_the_highest_scores():
    # tube A (at 0): .9 .9 .1 .1 .1, mean .42, two highest .9; tube B (at 30): mean .5. Then both reach a box between.
    frames = [[(0, s), (30, 0.5)] for s in (0.9, 0.9, 0.1, 0.1, 0.1)]
    boxes = np.array([[0, 0, 40, 10]], float)
    for order, winner in (("mean", 1), ("top", 0)):
        linker = Linker(1, LinkOptions(gap=1, order=order))
        for frame in frames:
            both = np.array([[x, 0, x + 10, 10] for x, _ in frame], float)
            ids = linker.step(np.zeros(2, int), both, np.array([s for _, s in frame]))
        assert linker.step(np.zeros(1, int), boxes, np.array([0.4])).tolist() == [ids[winner]]


def test_a_tube_that_began_in_the_frame_before_chooses_last():
    # an old tube (0, score .2), a new one (10, score .9), then a box between: by the mean the new one has it
    boxes = [np.array([[x, 0, x + 10, 10]], float) for x in (0, 0, 5)]
    for order, winner in (("mean", 1), ("top", 0)):
        linker = Linker(1, LinkOptions(order=order))
        one = np.zeros(1, int)
        linker.step(one, boxes[0], np.array([0.2]))
        both = np.array([[0, 0, 10, 10], [10, 0, 20, 10]], float)
        assert linker.step(np.zeros(2, int), both, np.array([0.2, 0.9])).tolist() == [0, 1]
        assert linker.step(one, boxes[2], np.array([0.5])).tolist() == [winner]


def test_nothing_at_all():
    assert link_one([], []) == [[], []]
    assert len(suppress(np.empty(0, int), np.empty((0, 4)), np.empty(0), LinkOptions())) == 0


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 40), st.integers(1, 5), st.integers(0, 6), st.integers(0, 10**6), st.sampled_from([0, 4, 2048]))
def test_suppression_equals_the_plain_rule(count, groups, keep, seed, widest):
    rng = np.random.default_rng(seed)
    group, corner = rng.integers(0, groups, count), rng.uniform(0, 30, (count, 2))
    boxes, scores = np.hstack([corner, corner + rng.uniform(5, 25, (count, 2))]), rng.random(count)
    options = LinkOptions(min_score=0.2, before_nms=9, keep=keep)
    expected = []
    for number in range(groups):
        rows = sorted((r for r in np.flatnonzero(group == number) if scores[r] >= 0.2), key=lambda r: -scores[r])[:9]
        left = []
        for row in rows:
            if all(iou(boxes[row], boxes[better]) <= options.nms for better in left):
                left.append(row)
        expected += left[:keep] if keep else left
    with pytest.MonkeyPatch.context() as patch:  # all groups box by box, the large ones, none
        patch.setattr(linker_module, "_WIDEST", widest)
        assert suppress(group, boxes, scores, options).tolist() == expected


def test_twenty_thousand_boxes_of_a_frame_need_little_memory():
    """All with all would be 3.2 GB for one array of float64."""
    corner = np.random.default_rng(0).uniform(0, 200, (20_000, 2))
    boxes, scores = np.hstack([corner, corner + 40]), np.arange(20_000.0)
    tracemalloc.start()
    used = suppress(np.zeros(20_000, int), boxes, scores, LinkOptions(keep=0))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert used[0] == 19_999 and 20 < len(used) < 200 and peak < 30e6


def test_options_are_checked():
    for wrong in ({"nms": 0}, {"iou": 1.5}, {"gap": 0}, {"order": "first"}):
        with pytest.raises(UserError):
            LinkOptions(**wrong)


def test_take_the_closest_box_and_look_where_the_motion_leads():
    """A tube at 0 and 4 goes on to 8. Boxes at 5 (score .9) and 8 (.5), 11 wide with the added pixel: its last one
    overlaps that at 5 by 10/12, that at 8 by 7/15; the one expected at 8 overlaps them by 8/14 and wholly. With a frame
    between it is expected at 12.
    """
    frames = [[(0, 0.5)], [(4, 0.5)], [(8, 0.5), (5, 0.9)]]
    assert link_one(*frames, options=LinkOptions(nms=1.0))[2] == [1, 0]  # the best one
    closest = LinkOptions(nms=1.0, take="overlap")
    assert link_one(*frames, options=closest)[2] == [1, 0]
    moving = replace(closest, moving=True)
    assert link_one(*frames, options=moving)[2] == [0, 1]
    assert link_one([(0, 0.5)], [(4, 0.5)], [], [(4, 0.9), (12, 0.5)], options=moving)[3] == [1, 0]
    less = [[(0, 0.5)], [(4, 0.5)], [(9, 0.9), (5, 0.5)]]  # without motion the closest is not the best
    assert link_one(*less, options=LinkOptions(nms=1.0))[2] == [0, 1]
    assert link_one(*less, options=closest)[2] == [1, 0]
    with pytest.raises(UserError, match="take is 'nearest'; choose score or overlap"):
        LinkOptions(take="nearest")
