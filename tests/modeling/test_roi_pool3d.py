"""3D RoI pooling against torchvision's roi_align of every time step."""

import pytest
import torch
from torchvision.ops import roi_align

from detect.modeling.roi_pool3d import roi_pool3d
from detect.modeling.roi_pool_matrix import matrix_roi_pool3d


def reference(features, boxes, size, scale, ratio):
    steps = [roi_align(features[:, :, t], boxes, size, scale, ratio, aligned=True) for t in range(features.shape[2])]
    return torch.stack(steps, 2)


def random_boxes(count, generator):
    """Small, large, thin, partly and wholly outside a 400 x 320 image."""
    corners = torch.rand(count, 2, 2, generator=generator, dtype=torch.float64) * torch.tensor([520.0, 440.0]) - 60
    return torch.cat([corners.min(1).values, corners.max(1).values], 1)


@pytest.mark.parametrize("pool", [roi_pool3d, matrix_roi_pool3d])
@pytest.mark.parametrize("size, ratio", [(7, 2), (14, 1), (3, 3), (1, 1)])
def test_equals_roi_align_of_each_step_forward_and_gradient(pool, size, ratio):
    generator = torch.Generator().manual_seed(0)
    shape = (2, 6, 5, 20, 25)
    features = torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_()
    boxes = [random_boxes(40, generator), random_boxes(3, generator)]
    ours = pool(features.contiguous(memory_format=torch.channels_last_3d), boxes, size, 1 / 16, ratio)
    theirs = reference(features, boxes, size, 1 / 16, ratio)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)
    upstream = torch.randn(theirs.shape, generator=generator, dtype=torch.float64)
    gradients = [torch.autograd.grad((y * upstream).sum(), features)[0] for y in (ours, theirs)]
    torch.testing.assert_close(*gradients, rtol=0, atol=1e-10)


@pytest.mark.parametrize("pool", [roi_pool3d, matrix_roi_pool3d])
def test_max_pool_of_twice_the_size(pool):
    generator = torch.Generator().manual_seed(2)
    features = torch.randn((2, 3, 4, 20, 25), generator=generator, dtype=torch.float64)
    boxes = [random_boxes(5, generator), random_boxes(3, generator)]
    expected = torch.nn.functional.max_pool3d(reference(features, boxes, 14, 1 / 16, 2), (1, 2, 2))
    torch.testing.assert_close(pool(features, boxes, 7, 1 / 16, 2, max_pool=True), expected, rtol=0, atol=1e-10)


def test_float32_agrees_to_1e_5():
    generator = torch.Generator().manual_seed(1)
    features = torch.randn(1, 16, 5, 20, 25, generator=generator)
    boxes = [random_boxes(300, generator).float()]
    torch.testing.assert_close(
        roi_pool3d(features, boxes, 7, 1 / 16, 2), reference(features, boxes, 7, 1 / 16, 2), rtol=0, atol=1e-5
    )


def test_by_hand():
    # one channel, one step, f(y, x) = x; a box of columns 1 .. 3 at scale 1; one sample in the middle of 2 cells:
    # cell centres at 1.5 and 2.5, minus the half-pixel shift of `aligned`: 1 and 2
    features = torch.arange(4.0).expand(1, 1, 1, 4, 4)
    pooled = roi_pool3d(features, [torch.tensor([[1.0, 1.0, 3.0, 3.0]])], 2, 1.0, 1)
    torch.testing.assert_close(pooled[0, 0, 0], torch.tensor([[1.0, 2.0], [1.0, 2.0]]))


def test_same_place_at_every_step():
    still = torch.randn(1, 3, 1, 8, 8).expand(1, 3, 6, 8, 8)
    pooled = roi_pool3d(still, [torch.tensor([[3.0, 5.0, 90.0, 77.0]])], 7, 1 / 16, 2)
    torch.testing.assert_close(pooled, pooled[:, :, :1].expand_as(pooled))


@pytest.mark.parametrize("counts", [(0, 0), (0, 2), (2, 0)])
def test_images_without_boxes(counts):
    features = torch.randn(2, 3, 4, 5, 6, requires_grad=True)
    boxes = [torch.tensor([[0.0, 0.0, 40.0, 40.0]]).repeat(n, 1) for n in counts]
    pooled = roi_pool3d(features, boxes, 7, 1 / 16, 2)
    assert pooled.shape == (sum(counts), 3, 4, 7, 7)
    for image in range(2):  # the regions of each image as if it were alone
        alone = roi_pool3d(features[image : image + 1], boxes[image : image + 1], 7, 1 / 16, 2)
        torch.testing.assert_close(pooled.split(counts)[image], alone)
    pooled.sum().backward()
    # the weights of a cell add up to 1, and all cells are inside: 3 channels x 4 steps x 49 cells a region
    sums = features.grad.sum((1, 2, 3, 4))
    torch.testing.assert_close(sums, torch.tensor(counts, dtype=torch.float32) * 3 * 4 * 49)


@pytest.mark.parametrize("h, w", [(1, 1), (1, 7), (6, 1)])
def test_maps_of_one_row_or_column(h, w):
    features = torch.randn(1, 2, 3, h, w, dtype=torch.float64)
    boxes = [torch.tensor([[0.0, 0.0, 16.0 * w, 16.0 * h], [2.0, 1.0, 9.0, 9.0]], dtype=torch.float64)]
    torch.testing.assert_close(roi_pool3d(features, boxes, 3, 1 / 16, 2), reference(features, boxes, 3, 1 / 16, 2))


def test_output_is_channels_last_so_that_the_tail_needs_no_copy():
    pooled = roi_pool3d(torch.randn(1, 8, 4, 5, 6), [torch.tensor([[0.0, 0.0, 40.0, 40.0]])], 7, 1 / 16, 2)
    assert pooled.is_contiguous(memory_format=torch.channels_last_3d)


def test_adaptive_sampling_is_refused():
    with pytest.raises(ValueError, match="sampling_ratio is 0"):
        roi_pool3d(torch.zeros(1, 1, 1, 2, 2), [torch.zeros(1, 4)], 7, 1.0, 0)


def test_half_precision_features_are_pooled_in_single():
    features, box = torch.randn(1, 4, 3, 20, 25).bfloat16(), [torch.tensor([[101.3, 77.7, 203.9, 188.1]])]
    pooled = roi_pool3d(features, box, 7, 1 / 16, 2)
    torch.testing.assert_close(pooled, reference(features.float(), box, 7, 1 / 16, 2), rtol=0, atol=1e-5)
