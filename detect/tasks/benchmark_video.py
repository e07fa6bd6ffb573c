"""What `tools/benchmark.py video` does: speed and, with trained weights, frame-mAP of the watch presets."""

import statistics
import tempfile
from collections.abc import Sequence
from typing import Any

from tabulate import tabulate

from detect.api import ActionDetector
from detect.benchmarks.video import PARTS, Watched, moving_frames, random_detector, watch
from detect.config import ActionCfgNode, check_values
from detect.data.catalog import set_datasets_root
from detect.engine.checkpoint import load_cfg_and_checkpoint
from detect.speed import SPEEDS
from detect.tasks.detection import DETECTION
from detect.tasks.runner import load_evaluated
from detect.utils.errors import UserError
from detect.utils.files import write_json
from detect.utils.provenance import code_version

VIDEO_SIZE = (240, 320)  # height, width of UCF-101's


def benchmark_video(
    config_file: str = "",
    opts: Sequence[Any] = (),
    *,
    weights: str = "",
    frames: int = 96,
    rounds: int = 3,
    settings: Sequence[str] = (),
    evaluate: bool = False,
    json_file: str = "",
) -> None:
    """Print a row for each of `SPEEDS` and of `settings`, "KEY VALUE ..." over the config; see tools/benchmark.py."""
    cfg, contents = load_cfg_and_checkpoint(config_file, opts, weights)
    if evaluate and not weights:
        raise UserError("--evaluate needs trained weights: give --weights FILE")
    set_datasets_root(cfg.DATASETS.ROOT)
    rows = {**{name: list(lines) for name, lines in SPEEDS.items()}, **{text: text.split() for text in settings}}
    configs = {name: cfg.changed(lines) for name, lines in rows.items()}
    for one in configs.values():
        check_values(one)
    video = moving_frames(frames, VIDEO_SIZE)
    models = {}
    for name, one in configs.items():
        overrides = [*opts, *rows[name]]
        detector = ActionDetector.load(weights, config_file=config_file, overrides=overrides) if weights else None
        models[name] = detector.model if detector else random_detector(one)
    found: dict[str, list[Watched]] = {name: [] for name in configs}
    for _ in range(rounds):  # in turn, so that a ratio is of the same minutes
        for name, one in configs.items():
            found[name].append(watch(models[name], one, video))
    scores = {name: frame_map(one, contents) for name, one in configs.items()} if evaluate else {}
    report = {name: summary(runs, found["exact"]) for name, runs in found.items()}
    for name, score in scores.items():
        report[name]["frame_map"] = score
    print(f"{frames} frames of {VIDEO_SIZE[1]} x {VIDEO_SIZE[0]}, input {cfg.INPUT.SIZE}, median of {rounds} rounds")
    print(table(report))
    if json_file:
        write_json(json_file, {"rows": report, "config": cfg.dump(), **code_version()})


def frame_map(cfg: ActionCfgNode, contents: dict[str, Any] | None) -> float:
    """Frame-mAP on the first set of DATASETS.TEST."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        model, dataset, classes = load_evaluated(DETECTION, cfg, contents)
        cfg = cfg.changed(["OUTPUT_DIR", folder, "TEST.PICTURES", 0])
        result = DETECTION.evaluate(cfg, model, dataset, classes, None)
    return result["frame_ap"]["mAP"]


def summary(runs: Sequence[Watched], exact: Sequence[Watched]) -> dict[str, Any]:
    middle = sorted(runs, key=lambda run: run.seconds)[len(runs) // 2]
    ratios = [run.fps / other.fps for run, other in zip(runs, exact, strict=True)]
    return {
        "fps": statistics.median(run.fps for run in runs),
        "times_exact": statistics.median(ratios),
        "regions": middle.regions / max(middle.keyframes, 1),
        "ms_a_frame": {part: 1000 * seconds / middle.frames for part, seconds in middle.parts.items()}
        | {"rest": 1000 * middle.rest / middle.frames},
    }


def table(report: dict[str, dict[str, Any]]) -> str:
    """A row for each setting; milliseconds are for each frame of the video, keyframe or not."""
    scored = any("frame_map" in row for row in report.values())
    rows = [
        (
            name,
            f"{row['fps']:.2f}",
            f"{row['times_exact']:.1f}",
            f"{row['regions']:.0f}",
            *(f"{row['ms_a_frame'][part]:.1f}" for part in (*PARTS, "rest")),
            *([f"{100 * row['frame_map']:.2f}"] if scored else []),
        )
        for name, row in report.items()
    ]
    heads = ("setting", "frames/s", "x exact", "regions", *(f"{part}, ms" for part in (*PARTS, "rest")))
    return tabulate(rows, (*heads, *(["frame-mAP"] if scored else [])), tablefmt="pipe", disable_numparse=True)
