"""Time the reading of clips in one process with one thread, which is what a loader's worker does.

Readers take turns within each round; medians are printed. On a shared machine trust the CPU time: a reader that is done
within one slice of the scheduler seems faster than it is by the clock.
"""

import functools
import json
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import cv2
import numpy as np
import torch

from detect.utils.errors import UserError
from detect.video.entry_points import NO_ENTRIES, EntryPoints, find_entry_points
from detect.video.readers import count_frames, iter_frames, read_frames
from detect.video.transforms import resize
from detect.video.writer import save_video

Reader = Callable[[Path, range], np.ndarray]
CLIP = 200  # frames of the generated clip
FPS = 25
VIDEO_SIZE = (240, 320)  # of UCF-101 and most of HMDB-51
JPEG_QUALITY = 90


class Seconds(NamedTuple):
    """For one clip: by the clock, and of the CPU, all threads together."""

    wall: float
    cpu: float


def from_start(path: Path, window: range) -> np.ndarray:
    return read_frames(path, window, entries=NO_ENTRIES)


@functools.cache
def places(path: Path) -> EntryPoints:
    """Found once, as a loader's worker does, and said."""
    start = time.process_time()
    points = find_entry_points(path)
    seconds = time.process_time() - start
    print(f"  {len(points.entries)} places where decoding may begin, found once in {seconds:.1f} s of CPU")
    return points


def from_places(path: Path, window: range) -> np.ndarray:
    return read_frames(path, window, entries=places(path))


def cv2_seek(path: Path, window: range) -> np.ndarray:
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    capture.set(cv2.CAP_PROP_POS_FRAMES, window.start)
    return np.stack([cv2.cvtColor(capture.read()[1], cv2.COLOR_BGR2RGB) for _ in window])


def whole_video(path: Path, window: range) -> np.ndarray:
    """As the evaluation reads: every frame once. The time is for the whole video."""
    return np.stack([frame for k, frame in enumerate(iter_frames(path)) if k in window])


def pyav_seek(path: Path, window: range) -> np.ndarray:
    import av

    frames = {}
    with av.open(str(path), metadata_errors="ignore") as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        start = stream.start_time or 0
        step = 1 / (stream.average_rate * stream.time_base)
        container.seek(start + int(window.start * step), stream=stream)
        for frame in container.decode(stream):
            number = round((frame.pts - start) / step)
            if number >= window.stop:
                break
            if number in window:
                frames[number] = frame.to_ndarray(format="rgb24")
    return np.stack([frames[number] for number in window])


def torchcodec_exact(path: Path, window: range) -> np.ndarray:
    from torchcodec.decoders import VideoDecoder

    decoder = VideoDecoder(str(path), dimension_order="NHWC", num_ffmpeg_threads=1)
    return decoder.get_frames_in_range(window.start, window.stop).data.numpy()


def decord_batch(path: Path, window: range) -> np.ndarray:
    from decord import VideoReader

    return VideoReader(str(path), num_threads=1).get_batch(list(window)).asnumpy()


VIDEO_READERS: dict[str, tuple[str | None, Reader]] = {  # name: the package it needs, the function; the first is ours
    "read_frames (cv2, grab up to it)": (None, from_start),
    "read_frames, from the nearest place": (None, from_places),
    "cv2 seek": (None, cv2_seek),
    "whole video once (cv2)": (None, whole_video),
    "PyAV seek": ("av", pyav_seek),
    "torchcodec, exact": ("torchcodec", torchcodec_exact),
    "decord": ("decord", decord_batch),
}


@functools.cache
def frame_paths(folder: Path) -> list[Path]:
    """Listed once: the pipelines that are compared with usually know the names."""
    return sorted(folder.glob("*.jp*g"))


def float_pipeline(size: tuple[int, int]) -> Reader:
    """The usual one, which the other is compared with: each frame read, resized, made float, then transposed."""

    def read(folder: Path, window: range) -> np.ndarray:
        clip = []
        for path in frame_paths(folder)[window.start : window.stop]:
            frame = cv2.resize(cv2.imread(str(path)), size[::-1])
            clip.append(frame[:, :, ::-1].astype(np.float32) / 127.5 - 1)
        return np.ascontiguousarray(np.stack(clip).transpose(3, 0, 1, 2))

    return read


def simplejpeg_resized(size: tuple[int, int]) -> Reader:
    def read(folder: Path, window: range) -> np.ndarray:
        import simplejpeg

        clip = np.empty((len(window), *size, 3), np.uint8)
        for row, path in enumerate(frame_paths(folder)[window.start : window.stop]):
            clip[row] = resize(simplejpeg.decode_jpeg(path.read_bytes(), "RGB"), size)
        return clip

    return read


def folder_readers(size: tuple[int, int]) -> dict[str, tuple[str | None, Reader]]:
    return {
        "cv2.imread, resize, float32, transpose": (None, float_pipeline(size)),
        "read_frames with uint8 resize": (None, lambda f, w: read_frames(f, w, lambda frame: resize(frame, size))),
        "read_frames, not resized": (None, read_frames),
        "simplejpeg, uint8 resize": ("simplejpeg", simplejpeg_resized(size)),
    }


def benchmark_data(
    video: str | None = None,
    frames: str | None = None,
    length: int = 20,
    size: tuple[int, int] = (320, 400),
    rounds: int = 15,
    seconds: int = 0,
) -> dict[str, dict[str, Seconds]]:
    """Print, and return, the median seconds of each reader for a window of `length` frames, video and frame folder.

    `video`, `frames`: a file and a folder of JPEG frames to read; a clip of 200 frames of 240 x 320 is made where not
    given. `seconds`: of the video that is made, instead of 8; then also as .mp4 (H.264 where it can be had). `size`
    (height, width): what frames of a folder are resized to. A reader that fails, as its package is not there, is named
    and left out; one whose pixels are not those of `read_frames` too. ValueError for a clip with fewer frames than
    `length`.
    """
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    with TemporaryDirectory() as folder:
        made = None if video and frames else make_clip(Path(folder))
        long = make_long_videos(Path(folder), seconds) if seconds and not video else {}
        found = {}
        for kind, path, readers in (
            *((kind, path, VIDEO_READERS) for kind, path in (long or {"video": Path(video or made[0])}).items()),
            ("frame folder", Path(frames) if frames else made[1], folder_readers(size)),
        ):
            count = count_frames(path)
            if not (1 <= length <= count and rounds >= 1):
                raise UserError(f"{path}: clips of {length} of {count} frames, {rounds} rounds; at least one of each")
            print(f"{kind} {path.name}, {count} frames; clips of {length}, one thread, median of {rounds}")
            found[kind] = time_readers(path, readers, count, length, rounds)
            _print_table(found[kind])
    return found


def time_readers(
    path: Path, readers: Mapping[str, tuple[str | None, Reader]], count: int, length: int, rounds: int
) -> dict[str, Seconds]:
    """Median seconds of each reader that works over the same random windows; one call before them is not counted."""
    window = range(count - length, count)
    usable = {name: read for name, (package, read) in readers.items() if _works(name, package, read, path, window)}
    rng, times = np.random.default_rng(0), {name: [] for name in usable}
    for _ in range(rounds):
        start = int(rng.integers(0, count - length + 1))
        for name, read in usable.items():
            wall, cpu = time.perf_counter(), time.process_time()
            read(path, range(start, start + length))
            times[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    return {name: Seconds(*map(statistics.median, zip(*values, strict=True))) for name, values in times.items()}


def make_clip(folder: Path) -> tuple[Path, Path]:
    """A textured scene that pans and a disc that crosses it: an MPEG-4 file and a folder of JPEG frames."""
    video, images = folder / "clip.avi", folder / "frames"
    images.mkdir()
    _write_mpeg4(video, _scenes(CLIP))
    for k, frame in enumerate(_scenes(CLIP), 1):
        cv2.imwrite(str(images / f"{k:05d}.jpg"), frame, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return video, images


def make_long_videos(folder: Path, seconds: int) -> dict[str, Path]:
    """The same scene, there and back again and again: MPEG-4 with a keyframe every 12 frames, as UCF-101 has, and MP4
    with the encoder's own distance (H.264: 250).
    """
    _write_mpeg4(folder / "long.avi", _scenes(seconds * FPS))
    save_video(folder / "long.mp4", (frame[:, :, ::-1] for frame in _scenes(seconds * FPS)), FPS)
    return {f"video of {seconds} s": folder / "long.avi", f"video of {seconds} s, .mp4": folder / "long.mp4"}


def _scenes(count: int) -> Iterator[np.ndarray]:
    """(height, width, 3) uint8 BGR."""
    height, width = VIDEO_SIZE
    noise = np.random.default_rng(0).integers(0, 256, (height, width + 2 * CLIP, 3), np.uint8)
    scene = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 3), None, 0, 255, cv2.NORM_MINMAX)
    for k in range(count):
        there = CLIP - abs(k % (2 * CLIP) - CLIP)
        frame = scene[:, 2 * there : 2 * there + width].copy()
        cv2.circle(frame, (width * there // CLIP, height // 2), 30, (40, 40, 220), -1)
        yield frame


def _write_mpeg4(path: Path, frames: Iterator[np.ndarray]) -> None:
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*"XVID"), FPS, VIDEO_SIZE[::-1])
    for frame in frames:
        writer.write(frame)
    writer.release()


def waiting_share(metrics: str | Path) -> float:
    """The share of a training run's time that it waited for data, from its metrics.json."""
    rows = [json.loads(line) for line in Path(metrics).read_text().splitlines()]
    timed = [row for row in rows if "data_time" in row and "time" in row]
    if not timed:
        raise UserError(f"{metrics}: no row has time and data_time; give metrics.json of a training run")
    return sum(row["data_time"] for row in timed) / sum(row["time"] for row in timed)


def _works(name: str, package: str | None, read: Reader, path: Path, window: range) -> bool:
    try:
        clip, reference = read(path, window), read_frames(path, window, entries=NO_ENTRIES)
    except Exception as error:
        if package is None:
            raise
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        print(f"  left out: {name}: {reason}")  # not installed, or without FFmpeg, or cannot read this file
        return False
    if clip.shape == reference.shape and (difference := np.abs(clip.astype(int) - reference).max()):
        print(f"  left out: {name}: pixels differ by up to {difference}")
        return False
    return True


def _print_table(seconds: Mapping[str, Seconds]) -> None:
    first = next(iter(seconds.values()))
    print(f"  {'':40s} {'clock':>9s} {'CPU':>10s} {'clips/s of CPU':>15s}")
    for name, value in seconds.items():
        print(
            f"  {name:40s} {value.wall * 1e3:6.1f} ms {value.cpu * 1e3:7.1f} ms {1 / value.cpu:15.1f} "
            f"{first.cpu / value.cpu:8.2f} x"
        )
