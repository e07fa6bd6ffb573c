"""Actors: detections of all classes grouped, linked, and given one label a tube."""

import numpy as np
import pytest

from detect.evaluation.linking.actors import BETTER, MEMORY, ActorTracker, TrackOptions, group_boxes
from detect.utils.errors import UserError

CLASSES = ("walk", "run", "wave")


def box(x, y=0.0, width=20.0, height=40.0):
    return [x, y, x + width, y + height]


def frame(*rows):
    """Arrays of a frame's detections; a row is (box, label, score)."""
    boxes = np.array([row[0] for row in rows], np.float32).reshape(-1, 4)
    return boxes, np.array([row[1] for row in rows], np.int64), np.array([row[2] for row in rows], np.float32)


def follow(frames, look_ahead=8, min_frames=1, threshold=0.4):
    """What is shown of each frame, {number: (box, label, score)}, and the tubes."""
    tracker, shown = ActorTracker(CLASSES, TrackOptions(threshold, look_ahead, min_frames)), []

    def give():
        numbers, boxes, labels, scores = tracker.give()
        assert (np.diff(scores) <= 0).all()
        rows = zip(boxes.tolist(), labels.tolist(), scores.tolist(), strict=True)
        shown.append(dict(zip(numbers.tolist(), rows, strict=True)))

    for found in frames:
        tracker.add(*found)
        if tracker.ready:
            give()
    while len(shown) < len(frames):
        give()
    tracker.finish()
    return shown, tracker.tubes


def test_boxes_of_all_classes_are_one_actor():
    """IoU of the first two is 18 x 40 / (22 x 40) = 0.82; the third is 30 pixels off."""
    boxes, labels, scores = frame((box(2), 1, 0.5), (box(0), 0, 0.7), (box(30), 0, 0.2), (box(1), 0, 0.6))
    grouped, of_class = group_boxes(boxes, labels, scores, 3)
    assert grouped.tolist() == [box(0), box(30)]
    np.testing.assert_allclose(of_class, [[0.7, 0.5, 0], [0.2, 0, 0]], rtol=1e-6)
    assert len(group_boxes(boxes, labels, scores, 3, min_score=0.3)[0]) == 1
    assert group_boxes(*frame(), 3)[1].shape == (0, 3)


def test_the_mean_score_is_plain_at_first_and_forgets_later():
    """1, 0, 0: 1, 1/2, 1/3. After MEMORY frames of 0.9 one of 0.6 is 0.9 - 0.3 / MEMORY."""
    shown, _ = follow([frame((box(0), 0, s)) for s in (1.0, 0.0, 0.0)], look_ahead=0, threshold=0.0)
    assert [rows[0][2] for rows in shown] == pytest.approx([1, 1 / 2, 1 / 3])
    shown, _ = follow([frame((box(0), 0, s)) for s in [0.9] * 2 * MEMORY + [0.6]], look_ahead=0)
    assert shown[-1][0][2] == pytest.approx(0.9 - 0.3 / MEMORY)


@pytest.mark.parametrize("look_ahead", [0, 8])
def test_a_label_does_not_flicker(look_ahead):
    """Every third frame says "run" with the higher score: 2/3 of 0.6 for "walk" against 1/3 of 0.8."""
    frames = [frame((box(k), int(k % 3 == 2), 0.8 if k % 3 == 2 else 0.6)) for k in range(60)]
    shown, tubes = follow(frames, look_ahead)
    assert {row[1] for rows in shown for row in rows.values()} == {0}
    (tube,) = tubes
    assert (tube.id, tube.label, tube.name, tube.start, tube.end) == (0, 0, "walk", 0, 60)
    assert tube.boxes.shape == (60, 4) and tube.boxes.dtype == np.float32


def test_an_actor_who_does_something_else_has_another_tube_of_his_number():
    """60 frames of "walk" at 0.8, then "run" at 0.8. After n frames of the latter the means are 0.8 q and 0.8 (1 - q),
    q = (1 - 1 / MEMORY) ^ n; 1 - q > BETTER q first where q < 1 / (1 + BETTER)."""
    changes = int(np.ceil(np.log(1 / (1 + BETTER)) / np.log(1 - 1 / MEMORY)))  # frames until then
    shown, tubes = follow([frame((box(0), int(k >= 60), 0.8)) for k in range(120)], look_ahead=0, threshold=0.2)
    first = 60 + changes - 1
    found = [(tube.id, tube.name, tube.start, tube.end) for tube in tubes]
    assert found == [(0, "walk", 0, first), (0, "run", first, 120)]
    assert [rows[0][1] for rows in shown] == [0] * first + [1] * (120 - first)


def test_gaps_are_bridged_where_the_stream_is_looked_ahead_at():
    """A box at 0 in frame 5 and at 10 in frame 10: between them 2, 4, 6, 8. Smoothing leaves a straight line alone."""
    frames = [frame((box(max(2 * (k - 5), 0)), 0, 0.9)) if not 5 < k < 10 else frame() for k in range(20)]
    shown, (tube,) = follow(frames)
    assert [rows[0][0][0] for rows in shown[6:11]] == [2, 4, 6, 8, 10]
    assert (tube.start, tube.end) == (0, 20) and tube.boxes[6:10, 0].tolist() == [2, 4, 6, 8]
    shown, (tube,) = follow(frames, look_ahead=0)
    assert shown[6:10] == [{}] * 4 and list(shown[10]) == [0]  # the same actor again
    assert tube.boxes[6:10, 0].tolist() == [2, 4, 6, 8]  # afterwards it is known


def test_five_frames_without_a_box_are_the_end():
    frames = [frame((box(0), 0, 0.9)) if not 5 <= k < 10 else frame() for k in range(20)]
    shown, tubes = follow(frames)
    assert [(tube.id, tube.start, tube.end) for tube in tubes] == [(0, 0, 5), (1, 10, 20)]
    assert all(not rows for rows in shown[5:10])


def test_actors_who_cross_keep_their_numbers():
    """Two, 6 pixels a frame towards each other; where they are nearer than 13 pixels only the surer is found, and who
    is the surer changes."""
    frames = []
    for k in range(40):
        left, right = 6.0 * k, 200 - 6.0 * k
        rows = [(box(left, 0, 40, 80), 0, 0.8 if k % 2 else 0.7), (box(right, 4, 40, 80), 1, 0.7 if k % 2 else 0.8)]
        frames.append(frame(*(rows if abs(left - right) > 13 else [max(rows, key=lambda row: row[2])])))
    shown, tubes = follow(frames, threshold=0.3)
    assert [(tube.start, tube.end) for tube in tubes] == [(0, 40), (0, 40)]
    of_left = next(number for number, row in shown[0].items() if row[1] == 0)
    for k, rows in enumerate(shown):
        assert len(rows) == 2 and rows[of_left][1] == 0 and abs(rows[of_left][0][0] - 6 * k) < 8, k


def test_a_short_tube_is_not_shown_and_takes_no_number():
    """A fluke of two frames first; the actor after it has number 0 and is there from his first frame on."""
    fluke = [frame((box(100), 2, 0.9)), frame((box(100), 2, 0.9)), frame()]
    frames = [*fluke, *[frame((box(0), 0, 0.9))] * 10]
    shown, (tube,) = follow(frames, min_frames=3)
    assert [list(rows) for rows in shown] == [[]] * 3 + [[0]] * 10 and tube.start == 3
    shown, (tube,) = follow(frames, min_frames=3, look_ahead=0)  # a camera: he must have been there for so long
    assert [list(rows) for rows in shown] == [[]] * 5 + [[0]] * 8 and tube.start == 5


def test_what_is_shown_does_not_blink_at_the_threshold():
    """0.44 / 0.36 by turns: the mean stays above 0.75 x 0.4. One who never reaches 0.4 is not shown."""
    frames = [frame((box(0), 0, 0.44 if k % 2 == 0 else 0.36), (box(100), 1, 0.38)) for k in range(20)]
    shown, (tube,) = follow(frames, look_ahead=0)
    assert all(list(rows) == [0] for rows in shown) and tube.end == 20


def test_boxes_tremble_less():
    """+2, -2 by turns about 50: the mean with both neighbours is 50, but for the ends."""
    shown, _ = follow([frame((box(50 + 2 * (-1) ** k), 0, 0.9)) for k in range(12)])
    assert [rows[0][0][0] for rows in shown] == [52] + [50] * 10 + [48]


def test_no_boxes_at_all():
    shown, tubes = follow([frame()] * 12)
    assert shown == [{}] * 12 and tubes == []
    assert follow([]) == ([], [])


def test_memory_stays_bounded_over_a_long_stream():
    """Actors come and go for 3,000 frames; the tubes are taken away."""
    tracker, seen, most = ActorTracker(CLASSES, TrackOptions(look_ahead=8)), 0, 0
    rng = np.random.default_rng(0)
    for k in range(3_000):
        present = [i for i in range(3) if (k // 50 + i) % 3]  # each stays 100 frames, then 50 without
        tracker.add(*frame(*((box(100 * i + rng.uniform(-2, 2)), i, rng.uniform(0.5, 1)) for i in present)))
        if tracker.ready:
            tracker.give()
        seen += len(tracker.tubes)
        tracker.tubes.clear()
        held = sum(len(actor.boxes) for actor in tracker._actors.values())
        most = max(most, held)
    assert seen > 55 and len(tracker._actors) <= 6 and most <= 6 * (8 + 2 + 5)
    assert tracker._linker._id.shape[1] <= 8


def test_what_cannot_be():
    with pytest.raises(UserError, match="the threshold is 2"):
        TrackOptions(2)
    with pytest.raises(UserError, match="look_ahead -1"):
        TrackOptions(look_ahead=-1)


def test_options_of_a_stream():
    """What is found once by a detector on every 8th frame stands for 8 frames; twice, for 9 at least."""
    assert TrackOptions.for_stream(0.3, 8) == TrackOptions(0.3, look_ahead=14, min_frames=10)
    assert TrackOptions.for_stream(0.3, 1, live=True) == TrackOptions(0.3, look_ahead=0, min_frames=3)
