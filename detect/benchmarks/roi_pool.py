"""Time 3D RoI pooling against torchvision's `roi_align` of every time step, in one process, in turn."""

import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torchvision.ops import roi_align

from detect.modeling.roi_pool3d import roi_pool3d

CHANNELS, STEPS, HEIGHT, WIDTH, STRIDE = 528, 5, 20, 25, 16  # mixed_4e of 20 x 320 x 400


def roi_align_per_step(features: Tensor, boxes: list[Tensor], size: int, scale: float, ratio: int) -> Tensor:
    """The reference, (R, C, T, size, size)."""
    steps = [roi_align(features[:, :, t], boxes, size, scale, ratio, aligned=True) for t in range(features.shape[2])]
    return torch.stack(steps, 2)


def benchmark_roi_pool(counts: tuple[int, ...] = (10, 64, 300), rounds: int = 9) -> None:
    """Print medians and ratios for 7 x 7 cells of 2 x 2 samples and 14 x 14 of one, in inference, on this machine."""
    generator = torch.Generator().manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    features = torch.randn(1, CHANNELS, STEPS, HEIGHT, WIDTH, generator=generator)
    features = features.to(device).contiguous(memory_format=torch.channels_last_3d)
    print(f"{CHANNELS} channels x {STEPS} steps x {HEIGHT} x {WIDTH}, {device}, {torch.get_num_threads()} threads")
    for count in counts:
        corner = torch.rand(count, 2, generator=generator) * torch.tensor([300.0, 220.0])
        side = 20 + torch.rand(count, 2, generator=generator) * 100
        boxes = [torch.cat([corner, corner + side], 1).to(device)]
        for size, ratio in ((7, 2), (14, 1)):
            call = (features, boxes, size, 1 / STRIDE, ratio)
            with torch.no_grad():
                ours = _seconds(lambda call=call: roi_pool3d(*call), rounds)
                theirs = _seconds(lambda call=call: roi_align_per_step(*call), max(rounds // 3, 2))
                error = (roi_pool3d(*call) - roi_align_per_step(*call)).abs().max()
            print(
                f"{count:4d} boxes, {size:2d} x {size:2d}, sampling {ratio}: {ours * 1e3:7.1f} ms, roi_align "
                f"{theirs * 1e3:7.1f} ms, {theirs / ours:5.1f} x, largest difference {float(error):.1e}"
            )


def _seconds(run: Callable, rounds: int) -> float:
    """Median time of a call, after one to warm up."""
    times = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        run()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])
