"""What `tools/extract_flow.py` does: the optical flow of many videos, by several processes, to be stopped and gone on
with at any time."""

import fcntl
import json
import shutil
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

import cv2
from tqdm import tqdm

from detect.tasks.many_videos import leave_with_status, report_videos
from detect.utils.errors import UserError
from detect.utils.files import UnusableFileError, make_folder
from detect.utils.processes import WorkerKilledError, in_processes
from detect.utils.shards import WHOLE, Shard, this_shard
from detect.video.flow import META, temporary_folder
from detect.video.flow_extraction import FlowSettings, extract_video, flow_algorithm
from detect.video.inputs import find_videos
from detect.video.readers import FrameReadError, printable


def run_extract_flow(
    source: str,
    output: str,
    settings: FlowSettings,
    *,
    root: str | None = None,
    workers: int = 1,
    shard: str | None = None,
) -> None:
    """See tools/extract_flow.py. Exit status 1 if an input is bad, 130 if stopped; UserError for wrong arguments."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        bad = extract_flow(source, output, settings, root=root, workers=workers, shard=this_shard(shard))
    except KeyboardInterrupt:
        print("stopped; the same command goes on from here", file=sys.stderr)
        raise SystemExit(130) from None
    leave_with_status(bad)


def extract_flow(
    source: str | Path,
    output: str | Path,
    settings: FlowSettings,
    *,
    root: str | Path | None = None,
    workers: int = 1,
    shard: Shard = WHOLE,
) -> dict[str, str]:
    """The flow of every video below `source` (see `find_videos`) into `output`/<same relative path, no extension>.

    Only the videos of the shard. Finished ones are left as they are. Returns the bad inputs, path -> reason, which also
    stand in `output`/bad_inputs.txt (one `path<tab>reason` a line; with shards bad_inputs_<i>_of_<n>.txt). Raises
    UserError where finished videos were made with other settings or another run is writing there.
    """
    if workers < 1:
        raise UserError(f"--workers {workers}: at least 1 worker is needed")
    flow_algorithm(settings.method)  # fails here, once, where OpenCV lacks it
    output = Path(output)
    videos = dict(shard.of(list(find_videos(source, root, skip=[output]).items())))
    with _only_run(output, shard):
        todo = {name: path for name, path in videos.items() if not _finished(output / name, settings)}
        _clear_leftovers(output, todo)
        try:
            bad = _extract_in_processes(todo, output, settings, workers)
        finally:
            _clear_leftovers(output, todo)
        report_videos(output, shard, len(videos), len(todo), bad)
    return bad


def _extract_in_processes(
    todo: Mapping[str, Path], output: Path, settings: FlowSettings, workers: int
) -> dict[str, str]:
    bad: dict[str, str] = {}
    if not todo:
        return bad
    jobs = ((source, output / name, settings) for name, source in todo.items())
    bar = tqdm(total=len(todo), unit="video", desc=f"flow ({settings.method})")
    with bar, closing(in_processes(_extract_or_explain, jobs, min(workers, len(todo)))) as results:
        try:
            for (source, *_), message in results:
                bar.update()
                if message:
                    bad[str(source)] = message
        except WorkerKilledError as error:
            raise WorkerKilledError(f"{error}; run again, with fewer --workers: what is finished is kept") from None
    return bad


def _extract_or_explain(source: Path, destination: Path, settings: FlowSettings) -> str | None:
    """Why the video is bad, or None. An OSError is no fault of the video (reading turns those into FrameReadError): the
    disk is full, for instance.
    """
    try:
        extract_video(source, destination, settings)
    except UnusableFileError:
        raise
    except (FrameReadError, ValueError, cv2.error) as error:
        return printable(str(error))
    return None


def _finished(destination: Path, settings: FlowSettings) -> bool:
    try:
        meta = dict(json.loads((destination / META).read_bytes()))
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (ValueError, TypeError) as error:
        raise UserError(f"{destination / META}: damaged ({error}); remove {destination}, to make it anew") from error
    if not settings.made(meta):
        raise UserError(
            f"{destination} holds flow of method {meta.get('method')}, short side {meta.get('short_side')}, quality "
            f"{meta.get('jpeg_quality')}; now asked for: {settings.method}, {settings.short_side}, {settings.quality}. "
            "Give another --output, or the same settings"
        )
    return True


def _clear_leftovers(output: Path, names: Mapping[str, Path]) -> None:
    for name in names:
        shutil.rmtree(temporary_folder(output / name), ignore_errors=True)


@contextmanager
def _only_run(output: Path, shard: Shard) -> Iterator[None]:
    """Two runs of the same shard would clear each other's temporary folders. The lock ends with the process."""
    make_folder(output)
    with open(output / shard.name(".extract_flow.lock"), "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"another run is writing to {output}; wait for it, or give each its own --shard") from None
        yield
