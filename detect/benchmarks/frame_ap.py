"""Time frame-AP on synthetic tables of the size of UCF101-24's test split.

At scale 1: 910 videos, 170,170 frames, 100 detections a frame (17 million), about 136,000 ground-truth boxes, 24
classes.
"""

import resource
import time

import numpy as np

from detect.evaluation import Detections, GroundTruth, evaluate_frame_ap, preset

VIDEOS, FRAMES, PER_FRAME, CLASSES = 910, 187, 100, 24
ANNOTATED = 0.8  # share of frames with a box, one each


def synthetic_tables(scale: float, same_class: float, seed: int = 0) -> tuple[GroundTruth, Detections]:
    """One action a video; 100 random boxes a frame, a share of the video's class, two near the truth."""
    rng = np.random.default_rng(seed)
    videos = max(1, round(VIDEOS * scale))
    frames = videos * FRAMES
    corner = rng.uniform(0, 160, (frames, 2))
    truth = np.hstack([corner, corner + rng.uniform(20, 80, (frames, 2))])
    video, frame = np.divmod(np.arange(frames), FRAMES)
    action = rng.integers(0, CLASSES, videos)[video]
    shown = np.flatnonzero(rng.random(frames) < ANNOTATED)
    gt = GroundTruth(video[shown], frame[shown], action[shown], truth[shown])

    boxes = np.empty((frames, PER_FRAME, 4))
    boxes[..., :2] = rng.random((frames, PER_FRAME, 2), dtype=np.float32) * 200
    boxes[..., 2:] = boxes[..., :2] + rng.random((frames, PER_FRAME, 2), dtype=np.float32) * 100
    boxes[:, :2] = truth[:, None] + rng.normal(0, 8, (frames, 2, 4))
    label = rng.integers(0, CLASSES, (frames, PER_FRAME))
    of_video = rng.random((frames, PER_FRAME), dtype=np.float32) < same_class
    of_video[:, :2] = True
    label = np.where(of_video, action[:, None], label)
    score = rng.random(label.size, dtype=np.float32).astype(np.float64)  # float32, as networks give: some ties
    det = Detections(
        np.repeat(video, PER_FRAME), np.repeat(frame, PER_FRAME), label.ravel(), score, boxes.reshape(-1, 4)
    )
    return gt, det


def benchmark_frame_ap(scale: float, preset_name: str, repeat: int, same_class: float) -> None:
    """Print the time of `repeat` evaluations of the same tables."""
    gt, det = synthetic_tables(scale, same_class)
    loaded = _peak_gib()
    print(f"{len(det):,} detections, {len(np.unique(det.video)) * FRAMES:,} frames, {len(gt):,} true boxes")
    for attempt in range(repeat):
        wall, cpu = time.perf_counter(), time.process_time()
        result = evaluate_frame_ap(gt, det, CLASSES, preset(preset_name))
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        rate = len(det) / wall / 1e6
        print(f"run {attempt + 1}: {wall:.2f} s wall, {cpu:.2f} s CPU, {rate:.1f} M a second, mAP {result.mean:.6f}")
    print(f"peak memory {_peak_gib():.2f} GiB (tables and their generation {loaded:.2f} GiB)")


def _peak_gib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
