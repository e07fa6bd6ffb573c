"""What `tools/demo.py` does: a video in, a drawn video and a list of detections out."""

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tqdm import tqdm

from detect.api import ActionDetector, FrameDetections
from detect.utils.errors import UserError
from detect.utils.files import atomic_file
from detect.video.readers import FrameReadError, container_facts, iter_frames, printable
from detect.video.writer import VideoWriter
from detect.visualization.drawing import draw_boxes

# Of the config.
READ_SECTIONS = ("MODEL.", "INPUT.", "TEST.DETECTIONS_PER_", "TEST.KEYFRAME_STRIDE", "TEST.SPAN_PHASES")


def run_demo(
    weights: str,
    video: str,
    *,
    config_file: str = "",
    opts: Sequence[Any] = (),
    output: str | None = None,
    json_file: str | None = None,
    threshold: float = 0.4,
    speed: str = "exact",
    every: int | None = None,
    flow: str = "dis",
    batch_size: int = 1,
) -> None:
    """See the docstring of tools/demo.py. UserError for bad input."""
    if not (output or json_file):
        raise UserError("nothing to write: give --output VIDEO, --json FILE or both")
    if (every is not None and every < 1) or batch_size < 1:
        raise UserError(f"--every {every} --batch-size {batch_size}: both must be at least 1")
    if not 0 <= threshold <= 1:
        raise UserError(f"--threshold {threshold}: it must be 0 to 1")
    refuse_to_overwrite(video, output, json_file)
    for key in opts[0::2]:
        if not str(key).startswith(READ_SECTIONS):
            raise UserError(f"{key}: tools/demo.py does not read it; it reads {'*, '.join(READ_SECTIONS)}*")
    detector = ActionDetector.load(weights, config_file=config_file, overrides=opts, speed=speed)
    fps, about = container_facts(video)
    frames = tqdm(iter_frames(video, threads=0), Path(video).name, about, unit="frame")
    options = {"every": every, "batch_size": batch_size, "threshold": threshold, "flow": flow}
    results = detector.detect_with_frames(frames, fps=fps, **options)
    failure, drawn = None, False
    with ExitStack() as stack:
        film = stack.enter_context(VideoWriter(output, fps)) if output else None
        listed = (json_file, video, fps, detector.classes)
        listing = stack.enter_context(json_listing(*listed)) if json_file else None
        try:
            for frame, found in results:
                if listing:
                    listing(found)
                if film:
                    film.write(draw_boxes(frame.copy(), found.boxes, found.labels, detector.classes, found.scores))
                drawn = True
        except FrameReadError as error:  # cut off or damaged: what comes before it is kept
            if not drawn:
                raise
            failure = error
    for path in filter(None, (output, json_file)):
        print(printable(path))
    if failure:
        print(f"error: {failure}; what comes before was drawn", file=sys.stderr)
        raise SystemExit(1)


def refuse_to_overwrite(video: str, output: str | None, json_file: str | None) -> None:
    """UserError if two of the three are one file."""
    names = {"--input": video, "--output": output, "--json": json_file}
    seen: dict[str, str] = {}
    for option, path in names.items():
        if path:
            real = os.path.realpath(path)
            if other := seen.get(real):
                raise UserError(f"{option} {path} is {other} too; give another file")
            seen[real] = option


@contextmanager
def json_listing(
    path: str, video: str, fps: float, classes: Sequence[str]
) -> Iterator[Callable[[FrameDetections], None]]:
    """Gives `add(found)`, called once a frame in order; the file appears when the block ends."""
    with atomic_file(path) as file:
        head = json.dumps({"video": str(video), "fps": fps, "classes": list(classes)})
        file.write(f'{head[:-1]}, "frames": ['.encode())
        separator = "\n"

        def add(found: FrameDetections) -> None:
            nonlocal separator
            columns = (found.boxes.tolist(), found.names, found.scores.tolist())
            detections = [
                {"box": [round(v, 2) for v in box], "label": name, "score": round(score, 4)}
                for box, name, score in zip(*columns, strict=True)
            ]
            item = {"frame": found.frame, "time": round(found.frame / fps, 3), "detections": detections}
            file.write((separator + json.dumps(item)).encode())
            separator = ",\n"

        yield add
        file.write(b"\n]}\n")
