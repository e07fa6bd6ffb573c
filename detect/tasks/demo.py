"""What `tools/demo.py` does: a video or a camera in; a drawn video, lists and tables of what was found out."""

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from detect.api import ActionDetector
from detect.evaluation.linking.actors import TrackOptions
from detect.evaluation.operating_point import evaluated_threshold
from detect.tasks.demo_input import LIVE_LINES, CameraInput, FileInput, open_input
from detect.tasks.demo_many import MANY, ManyVideos
from detect.tasks.demo_output import (
    Listing,
    Outputs,
    Painter,
    codec_note,
    detections_table,
    json_listing,
    listed_on_the_way,
)
from detect.tracking import Tracking
from detect.utils.cli import finishing_on_signals
from detect.utils.comm import take_own_gpu
from detect.utils.errors import UserError
from detect.utils.files import refuse_to_overwrite
from detect.utils.shards import this_shard
from detect.video.live import is_live
from detect.video.readers import FrameReadError, printable
from detect.video.writer import VideoWriter
from detect.visualization.window import Window

# Of the config.
READ_SECTIONS = ("MODEL.", "INPUT.", "TEST.DETECTIONS_PER_", "TEST.KEYFRAME_STRIDE", "TEST.SPAN_PHASES")
DEFAULT_THRESHOLD = 0.4
LEAST_THRESHOLD = 0.2  # unless told; below it a weak detector draws boxes everywhere


def run_demo(
    weights: str,
    video: str,
    *,
    config_file: str = "",
    opts: Sequence[Any] = (),
    threshold: float | None = None,
    speed: str = "exact",
    every: int | None = None,
    flow: str = "dis",
    batch_size: int = 1,
    shard: str | None = None,
    engine: str | None = None,
    **outputs: Any,
) -> None:
    """See the docstring of tools/demo.py; outputs: the fields of `Outputs`. UserError for bad input."""
    wanted = Outputs(**outputs)
    _check(wanted, video, opts, threshold, every, batch_size)
    many = ManyVideos(video, wanted, this_shard(shard)) if wanted.of_many() else None
    if many is None and (share := this_shard(shard)).count > 1:
        raise UserError(f"shard {share.index}/{share.count} of one video; for many give {MANY}")
    with ExitStack() as stack:
        if wanted.show:
            wanted.window = stack.enter_context(Window(video))
        source = None if many else stack.enter_context(open_input(video))
        lines = [*(LIVE_LINES if source and source.live and speed != "exact" else ()), *opts]
        take_own_gpu()
        detector = ActionDetector.load(weights, config_file=config_file, overrides=lines, speed=speed, engine=engine)
        threshold = suited_threshold(weights, detector.weights_hash) if threshold is None else threshold

        def look(source: FileInput | CameraInput, wanted: Outputs) -> FrameReadError | None:
            step = source.every(detector, every, flow)
            options = {"every": step, "batch_size": batch_size, "flow": flow}
            return watch(detector, source, options, TrackOptions.for_stream(threshold, step, source.live), wanted)

        if many:
            made_with = {
                "weights": detector.weights_hash,
                "threshold": threshold,
                "speed": speed,
                "every": every,
                "engine": engine,
            }
            many.look_at_all(
                look, {**made_with, "flow": flow, "trail": wanted.trail, "overrides": list(map(str, opts))}
            )
            return
        failure = look(source, wanted)
    for path in wanted.files().values():
        print(printable(path))
    if failure:
        print(f"error: {failure}; what comes before was drawn", file=sys.stderr)
        raise SystemExit(1)


def _check(
    wanted: Outputs, video: str, opts: Sequence[Any], threshold: float | None, every: int | None, batch_size: int
) -> None:
    if not (wanted.files() or wanted.show):
        raise UserError("nothing to write: give --output VIDEO, --json FILE, --detections FILE, --show or several")
    if (every is not None and every < 1) or batch_size < 1:
        raise UserError(f"--every {every} --batch-size {batch_size}: both must be at least 1")
    if threshold is not None and not 0 <= threshold <= 1:
        raise UserError(f"--threshold {threshold}: it must be 0 to 1")
    refuse_to_overwrite({"--input": "" if is_live(video) else video, **wanted.files()})
    for key in opts[0::2]:
        if not str(key).startswith(READ_SECTIONS):
            raise UserError(f"{key}: tools/demo.py does not read it; it reads {'*, '.join(READ_SECTIONS)}*")


def watch(
    detector: ActionDetector,
    source: FileInput | CameraInput,
    options: dict[str, Any],
    tracked: TrackOptions,
    wanted: Outputs,
) -> FrameReadError | None:
    """Look at the whole input; returns why it ended early. A camera ends at the first signal, with what there is."""
    facts = {"video": source.video, "name": source.name, "fps": source.fps, "classes": detector.classes}
    facts["threshold"] = tracked.threshold
    with ExitStack() as stack:
        film = stack.enter_context(VideoWriter(wanted.output, source.fps)) if wanted.output else None
        listing = stack.enter_context(json_listing(wanted.json_file, facts)) if wanted.json_file else None
        table = None
        if path := wanted.detections:
            opened = detections_table(path, source.name, detector.classes, live=source.live)
            table = stack.enter_context(opened)
        if source.live:
            stack.enter_context(finishing_on_signals(source.stop))
        results = detector.detect_with_frames(source.frames(), fps=source.fps, **options)
        tracking = Tracking(listed_on_the_way(results, table), detector.classes, tracked)
        failure = _give_out(tracking, source, wanted, film, listing)
        for tube in tracking.tubes if listing else ():
            listing.tube(tube)
    notes = [source.summary(), codec_note(wanted.output, film.codec) if film else ""]
    for note in filter(None, notes):
        print(f"note: {printable(note)}", file=sys.stderr)
    return failure


def _give_out(
    tracking: Tracking,
    source: FileInput | CameraInput,
    wanted: Outputs,
    film: VideoWriter | None,
    listing: Listing | None,
) -> FrameReadError | None:
    painter, given = Painter(wanted.trail), False
    try:
        for frame, found in tracking.with_frames():
            seconds, note = source.time_of(found.frame)
            if listing:
                listing.frame(replace(found, time=seconds))
                for tube in tracking.tubes:
                    listing.tube(tube)
            tracking.tubes.clear()
            picture = painter(frame, found, note) if film or wanted.window else None
            if film:
                film.write(picture, seconds if source.live else None)
            if wanted.window and not wanted.window.show(picture):
                source.stop()
            given = True
    except FrameReadError as error:  # cut off or damaged: what comes before it is kept
        if not given or wanted.whole:
            raise
        return error
    return None


def suited_threshold(weights: str, weights_hash: str) -> float:
    """The one that suits the weights, of an evaluation of them; which one it is is said."""
    threshold, why = DEFAULT_THRESHOLD, "the default; beside the weights is no evaluation of them that tells another"
    if found := evaluated_threshold(weights, weights_hash):
        threshold = max(found.threshold, LEAST_THRESHOLD)
        instead = f"at least that, in place of {found.threshold:.3g}, " if threshold > found.threshold else ""
        why = f"{instead}the best F1 of these weights on {found.dataset}, in {found.path}"
    print(f"threshold {threshold:.3g}: {printable(why)}", file=sys.stderr)
    return threshold
