"""Tubes out of detections: by hand, and best paths and trimming against plain writings of their rules."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detect.evaluation.linking.linker import LinkOptions
from detect.evaluation.linking.rules import LINK_RULES, LinkRule, link_detections, trim
from detect.evaluation.tables import Detections
from detect.evaluation.tubes import make_tubes
from detect.utils.errors import UserError


def table(*rows):
    """Detections of (video, frame, label, score, x): boxes 10 wide at x."""
    video, frame, label, score, x = (np.array([row[k] for row in rows]) for k in range(5))
    boxes = np.stack([x, np.zeros(len(x)), x + 10.0, np.full(len(x), 10.0)], 1).astype(float)
    return Detections(video.astype(int), frame.astype(int), label.astype(int), score.astype(float), boxes)


EMPTY = Detections(*(np.empty(0, int),) * 3, np.empty(0), np.empty((0, 4)))


def test_an_act_tube_by_hand():
    # frames 3 to 18 without 8: 15 boxes over 16 frames; the box of frame 8 lies between those of 7 and 9
    det = table(*((2, frame, 1, 0.5 + 0.01 * frame, float(frame)) for frame in range(3, 19) if frame != 8))
    tubes = link_detections(det, "act")
    assert (len(tubes), tubes.video[0], tubes.label[0], tubes.start[0], tubes.length[0]) == (1, 2, 1, 3, 16)
    assert tubes.score[0] == pytest.approx(det.score.mean())
    np.testing.assert_allclose(tubes.boxes_of(0)[:, 0], np.arange(3, 19))


def test_short_and_weak_tubes_are_left_out():
    assert len(link_detections(table(*((0, f, 0, 1.0, 0.0) for f in range(14))), "act")) == 0
    assert len(link_detections(table(*((0, f, 0, 0.009, 0.0) for f in range(20))), "act")) == 0
    assert len(link_detections(table(*((0, f, 0, 1.0, 0.0) for f in range(15))), "act")) == 1


def test_a_gurkirt_tube_by_hand():
    # 50 frames, one missing: it has the next box; the score is the mean of the 40 highest frame scores
    score = np.linspace(0.1, 1.0, 50)
    det = table(*((0, frame, 0, score[frame], 0.1 * frame) for frame in range(50) if frame != 20))
    tubes = link_detections(det, "gurkirt")
    assert tubes.length.tolist() == [50]
    assert tubes.boxes_of(0)[20, 0] == pytest.approx(2.1)
    frames = np.where(np.arange(50) == 20, score[21], score)
    assert tubes.score[0] == pytest.approx(np.sort(frames)[-40:].mean())


@pytest.mark.parametrize("rule", LINK_RULES)
def test_no_detections_no_tubes(rule):
    assert len(link_detections(EMPTY, rule)) == 0


@pytest.mark.parametrize("rule", LINK_RULES)
def test_videos_and_classes_are_linked_apart(rule):
    rng = np.random.default_rng(5)
    rows = [
        (v, f, c, rng.random(), 30 * k + rng.normal())
        for v, c in itertools.product(range(2), range(2))
        for f in range(20)
        for k in range(2)
    ]
    det = table(*(rows[k] for k in rng.permutation(len(rows))))
    together = link_detections(det, rule)
    for video, label in itertools.product(range(2), range(2)):
        own = (det.video == video) & (det.label == label)
        names = ("video", "frame", "label", "score", "boxes")
        alone = link_detections(Detections(*(getattr(det, name)[own] for name in names)), rule)
        part = together.take((together.video == video) & (together.label == label))
        assert len(alone) == len(part) > 0
        np.testing.assert_array_equal(np.sort(alone.score), np.sort(part.score))


def iou(a, b, extra):
    width, height = (min(a[k + 2], b[k + 2]) - max(a[k], b[k]) + extra for k in (0, 1))
    common = max(width, 0) * max(height, 0)
    return common / (sum((c[2] - c[0] + extra) * (c[3] - c[1] + extra) for c in (a, b)) - common)


@pytest.mark.parametrize(("rule", "extra", "product"), [("peng", 1.0, 0.0), ("yowo", 0.0, 0.5)])
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_best_paths_are_the_best_of_all(rule, extra, product, seed):
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 4, rng.integers(1, 6))
    counts[rng.integers(len(counts))] = 2
    rows = [(0, f, 0, rng.random(), rng.uniform(0, 25)) for f, n in enumerate(counts) for _ in range(n)]
    det = table(*rows)
    filled = np.flatnonzero(counts)
    first, last = filled[0], filled[-1]  # the video: from its first detection to its last
    frames = []
    for frame in range(first, last + 1):
        nearest = filled[np.argmin(abs(filled - frame))]
        frames.append([k for k, row in enumerate(rows) if row[1] == nearest])
    expected = []
    while len(expected) < 3 and all(frames):

        def worth(path):
            pairs = list(zip(path[:-1], path[1:], strict=True))
            scores = sum(rows[a][3] + rows[b][3] + product * rows[a][3] * rows[b][3] for a, b in pairs)
            return scores + sum(iou(det.boxes[a], det.boxes[b], extra) for a, b in pairs)

        best = max(itertools.product(*frames), key=worth)
        expected.append(np.mean([rows[k][3] for k in best]))
        frames = [[k for k in have if k != used] for have, used in zip(frames, best, strict=True)]
    tubes = link_detections(det, rule)
    assert tubes.length.tolist() == [last - first + 1] * len(expected)
    np.testing.assert_allclose(tubes.score, expected)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), cost=st.floats(0.0, 1.5))
def test_trimming_finds_the_best_labelling(seed, cost):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 9, 3)
    rows = [(0, k, 0.5, 10 * k, np.zeros((n, 4)) + np.arange(n)[:, None]) for k, n in enumerate(lengths)]
    scores = rng.random(lengths.sum())
    cut = trim(make_tubes(rows), scores, cost, LinkRule(LinkOptions()))
    for number, own in enumerate(np.split(scores, np.cumsum(lengths)[:-1])):

        def worth(labels, own=own):
            return np.where(labels, own, 1 - own).sum() - cost * np.count_nonzero(np.diff(labels))

        best = max((np.array(c) for c in itertools.product((0, 1), repeat=len(own))), key=worth)
        found = np.zeros(len(own), int)
        for index in np.flatnonzero(cut.label == number):
            begin = cut.start[index] - 10 * number
            found[begin : begin + cut.length[index]] = 1
            assert cut.score[index] == pytest.approx(own[begin : begin + cut.length[index]].mean())
            np.testing.assert_array_equal(cut.boxes_of(index)[:, 0], np.arange(begin, begin + cut.length[index]))
        assert worth(found) == pytest.approx(worth(best))


def test_unknown_rule_and_cost():
    with pytest.raises(UserError, match="choose one of act, peng, yowo, gurkirt"):
        link_detections(EMPTY, "viterbi")
    with pytest.raises(UserError, match="switch cost of -1"):
        link_detections(table((0, 0, 0, 1.0, 0.0)), "act", switch_cost=-1)
