"""Boxes between two keyframes, by hand."""

import pytest
import torch

from detect.d2 import Boxes, Instances
from detect.modeling.between import interpolate, link


def found(*rows):
    """Rows (box, score, class)."""
    boxes = torch.tensor([row[0] for row in rows], dtype=torch.float32).reshape(-1, 4)
    return Instances(
        (100, 200), pred_boxes=Boxes(boxes), scores=torch.tensor([row[1] for row in rows], dtype=torch.float32),
        pred_classes=torch.tensor([row[2] for row in rows], dtype=torch.int64),
    )  # fmt: skip


def rows(instances):
    columns = instances.pred_boxes.tensor.tolist(), instances.scores.tolist(), instances.pred_classes.tolist()
    return [(pytest.approx(box), pytest.approx(score), label) for box, score, label in zip(*columns, strict=True)]


def test_a_linked_box_moves_and_its_score_changes():
    first, second = found(([0, 0, 40, 40], 0.8, 2)), found(([20, 0, 60, 40], 0.4, 2))  # IoU 1/3
    quarter, three = interpolate(first, second, [0.25, 0.75])
    assert rows(quarter) == [([5, 0, 45, 40], 0.7, 2)] and rows(three) == [([15, 0, 55, 40], 0.5, 2)]
    assert quarter.image_size == (100, 200)


def test_without_a_partner_a_box_stays_for_the_nearer_half():
    first, second = found(([0, 0, 10, 10], 0.9, 1)), found(([0, 0, 10, 10], 0.6, 2), ([50, 50, 60, 60], 0.7, 1))
    early, late = interpolate(first, second, [0.25, 0.5])
    assert rows(early) == [([0, 0, 10, 10], 0.9, 1)]
    assert rows(late) == [([50, 50, 60, 60], 0.7, 1), ([0, 0, 10, 10], 0.6, 2)]  # the surest first


def test_links_are_one_to_one_the_closest_first():
    first = found(([0, 0, 10, 10], 0.9, 0), ([4, 0, 14, 10], 0.8, 0))
    second = found(([4, 0, 14, 10], 0.3, 0), ([0, 0, 10, 10], 0.2, 1))
    a, b = link(first, second)
    assert (a.tolist(), b.tolist()) == ([1], [0])  # the better overlap wins, whatever the scores; classes do not mix
    crossing = found(([0, 0, 10, 10], 0.9, 0), ([8, 0, 18, 10], 0.8, 0))
    a, b = link(crossing, found(([7, 0, 17, 10], 0.5, 0), ([1, 0, 11, 10], 0.4, 0)))
    assert sorted(zip(a.tolist(), b.tolist(), strict=True)) == [(0, 1), (1, 0)]


def test_nothing_to_link():
    nothing, one = found(), found(([0, 0, 10, 10], 0.9, 1))
    assert [len(f) for f in interpolate(nothing, nothing, [0.3, 0.6])] == [0, 0]
    assert [len(f) for f in interpolate(one, nothing, [0.3, 0.6])] == [1, 0]
    assert [len(f) for f in interpolate(nothing, one, [0.3, 0.6])] == [0, 1]
    assert interpolate(one, one, []) == []


def test_a_still_box_is_left_as_it_is():
    torch.manual_seed(0)
    corners = torch.rand(40, 2) * 80
    still = found(*[([x, y, x + 9, y + 9], score, k % 3) for k, ((x, y), score) in
                    enumerate(zip(corners.tolist(), torch.rand(40).tolist(), strict=True))])  # fmt: skip
    (between,) = interpolate(still, still, [0.4])
    order = still.scores.argsort(descending=True)
    torch.testing.assert_close(between.pred_boxes.tensor, still.pred_boxes.tensor[order])
    torch.testing.assert_close(between.scores, still.scores[order])
