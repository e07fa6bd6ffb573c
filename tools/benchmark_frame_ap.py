"""Time frame-AP on synthetic tables of the size of UCF101-24's test split.

At --scale 1: 910 videos, 170,170 frames, 100 detections a frame (17 million), about 136,000 ground-truth
boxes, 24 classes. First checks the value against a naive implementation at a small scale.
    python tools/benchmark_frame_ap.py --scale 1 --preset voc
"""

import argparse
import resource
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "evaluation")]

from naive_frame_ap import naive_frame_ap  # noqa: E402

from detect.evaluation import PRESETS, Detections, GroundTruth, evaluate_frame_ap, preset  # noqa: E402

VIDEOS, FRAMES, PER_FRAME, CLASSES = 910, 187, 100, 24
ANNOTATED = 0.8  # share of frames with a box, one each
CHECK_SCALE = 0.002


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


def check_against_naive(options, same_class: float) -> None:
    gt, det = synthetic_tables(CHECK_SCALE, same_class)
    gts = list(zip(gt.video.tolist(), gt.frame.tolist(), gt.label.tolist(), gt.boxes.tolist(), strict=True))
    dets = list(
        zip(
            det.video.tolist(),
            det.frame.tolist(),
            det.label.tolist(),
            det.score.tolist(),
            det.boxes.tolist(),
            strict=True,
        )
    )
    slow = naive_frame_ap(gts, dets, CLASSES, options)[1]
    fast = evaluate_frame_ap(gt, det, CLASSES, options).mean
    print(f"check on {len(dets):,} detections: naive {slow:.10f}, here {fast:.10f}")
    if abs(slow - fast) > 1e-9:
        sys.exit("the values differ")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=0.05, help="1 is 17 million detections (default %(default)s)")
    parser.add_argument("--preset", choices=PRESETS, default="voc")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument(
        "--same-class",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="share of detections forced to the video's class; 1 is the worst case (default 0)",
    )
    args = parser.parse_args()
    options = preset(args.preset)
    check_against_naive(options, args.same_class)
    gt, det = synthetic_tables(args.scale, args.same_class)
    loaded = _peak_gib()
    print(f"{len(det):,} detections, {len(np.unique(det.video)) * FRAMES:,} frames, {len(gt):,} true boxes")
    for attempt in range(args.repeat):
        wall, cpu = time.perf_counter(), time.process_time()
        result = evaluate_frame_ap(gt, det, CLASSES, options)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        print(
            f"run {attempt + 1}: {wall:.2f} s wall, {cpu:.2f} s CPU, {len(det) / wall / 1e6:.1f} M a second, "
            f"mAP {result.mean:.6f}"
        )
    print(f"peak memory {_peak_gib():.2f} GiB (tables and their generation {loaded:.2f} GiB)")


def _peak_gib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


if __name__ == "__main__":
    main()
