"""Regression targets, matching and sampling."""

import math

import pytest
import torch

from detect.modeling.boxes import MAX_LOG_SCALE, decode, encode, match, sample, smooth_l1


def test_encode_by_hand():
    # box 10 x 20 with centre (5, 10); target 20 x 10 with centre (15, 5): dx = 10/10, dy = -5/20, log 2, log 1/2
    box, target = torch.tensor([[0.0, 0.0, 10.0, 20.0]]), torch.tensor([[5.0, 0.0, 25.0, 10.0]])
    expected = torch.tensor([[1.0, -0.25, math.log(2), -math.log(2)]])
    torch.testing.assert_close(encode(box, target, (1, 1, 1, 1)), expected)
    torch.testing.assert_close(encode(box, target, (10, 10, 5, 5)), expected * torch.tensor([10.0, 10, 5, 5]))


def test_decode_inverts_encode():
    generator = torch.Generator().manual_seed(0)
    corners = torch.rand(2, 50, 2, generator=generator) * 100
    boxes, targets = (torch.cat([c, c + 1 + torch.rand(50, 2, generator=generator) * 80], 1) for c in corners)
    weights = (10.0, 10.0, 5.0, 5.0)
    torch.testing.assert_close(
        decode(boxes, encode(boxes, targets, weights), weights)[:, 0], targets, rtol=1e-4, atol=1e-3
    )


def test_decode_gives_one_box_a_class_of_limited_size():
    deltas = torch.tensor([[0.0, 0, 0, 0, 0, 0, 1e4, 1e4]])
    boxes = decode(torch.tensor([[0.0, 0.0, 16.0, 16.0]]), deltas, (1, 1, 1, 1))
    # no change, and the largest there is: 16 * (1000 / 16) pixels around the centre at 8
    assert math.isclose(16 * math.exp(MAX_LOG_SCALE), 1000)
    torch.testing.assert_close(boxes, torch.tensor([[[0.0, 0.0, 16.0, 16.0], [-492.0, -492.0, 508.0, 508.0]]]))


GT = torch.tensor([[0.0, 0.0, 10.0, 10.0], [100.0, 100.0, 110.0, 110.0]])


def test_match_labels_by_overlap():
    # IoU with the first ground truth: 1, 0.5 (half of it), 0.1 (one row); the last touches the second's corner
    boxes = torch.tensor(
        [[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 10.0, 5.0], [0.0, 0.0, 10.0, 1.0], [109.0, 109.0, 119.0, 119.0]]
    )
    best, labels = match(GT, boxes, 0.3, 0.7, keep_best=False)
    assert labels.tolist() == [1, -1, 0, 0] and best.tolist() == [0, 0, 0, 1]
    _, labels = match(GT, boxes, 0.3, 0.7, keep_best=True)
    assert labels.tolist() == [1, -1, 0, 1]  # the second ground truth keeps its best box, however poor
    _, labels = match(GT, boxes, 0.5, 0.5, keep_best=False)
    assert labels.tolist() == [1, 1, 0, 0]  # exactly 0.5 is positive


@pytest.mark.parametrize("keep_best", [True, False])
def test_match_without_ground_truth_or_boxes(keep_best):
    _, labels = match(torch.zeros(0, 4), GT, 0.3, 0.7, keep_best)
    assert labels.tolist() == [0, 0]
    _, labels = match(GT, torch.zeros(0, 4), 0.3, 0.7, keep_best)
    assert labels.tolist() == []


def test_boxes_that_touch_no_ground_truth_are_not_kept_as_best():
    _, labels = match(GT, torch.tensor([[50.0, 50.0, 60.0, 60.0]]), 0.3, 0.7, keep_best=True)
    assert labels.tolist() == [0]


@pytest.mark.parametrize(
    "positives, negatives, expected", [(100, 100, (8, 24)), (2, 100, (2, 30)), (100, 3, (8, 3)), (0, 0, (0, 0))]
)
def test_sample_fills_with_negatives(positives, negatives, expected):
    labels = torch.cat([torch.ones(positives), torch.zeros(negatives), -torch.ones(5)]).long()
    labels = labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))]
    index, chosen = sample(labels.flip(0).repeat(2, 1).roll(1, 1), 32, 0.25)  # a row twice
    assert index.shape == chosen.shape == (2, min(32, len(labels)))
    for row, real in zip(index, chosen, strict=True):
        drawn = labels.flip(0).roll(1)[row[real]].tolist()
        assert drawn == [1] * expected[0] + [0] * expected[1]  # positives first
        assert len(set(row[real].tolist())) == sum(expected)


def test_samples_are_random():
    labels = torch.tensor([[1, 0, -1, 1, 0, 0, 1, 0, 0, 1] * 20])
    counts = torch.zeros(200)
    for _ in range(300):
        index, chosen = sample(labels, 40, 0.5)
        assert chosen.all() and (labels[0, index] >= 0).all()
        counts[index[0]] += 1
    of_class = {label: counts[labels[0] == label] / 300 for label in (-1, 0, 1)}
    assert of_class[-1].max() == 0
    for label, share in ((1, 20 / 80), (0, 20 / 100)):  # each with its chance, within five deviations
        assert (of_class[label] - share).abs().max() < 5 * (share * (1 - share) / 300) ** 0.5


def test_a_sample_of_nothing():
    index, chosen = sample(torch.zeros(1, 0, dtype=torch.int64), 8, 0.5)
    assert index.shape == chosen.shape == (1, 0)


def test_smooth_l1_by_hand():
    d, rows = torch.tensor([[0.5, 2.0], [7.0, 7.0]]), torch.tensor([True, False])
    assert float(smooth_l1(d, torch.zeros(2, 2), 1.0, rows)) == pytest.approx(0.5 * 0.25 + 1.5)
    assert float(smooth_l1(d, torch.zeros(2, 2), 0.0, rows)) == pytest.approx(2.5)


def test_rows_that_do_not_count_have_no_part_in_the_gradient():
    prediction = torch.ones(2, 4, requires_grad=True)
    smooth_l1(prediction, torch.tensor([[0.0] * 4, [-math.inf] * 4]), 0.1, torch.tensor([True, False])).backward()
    assert prediction.grad.tolist() == [[1.0] * 4, [0.0] * 4]
