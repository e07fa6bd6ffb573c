"""Videos of a moving picture, coded in all the ways that matter to a seek."""

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

SIZE = (48, 64)
OPEN_GOP = {"x264-params": "open-gop=1:bframes=3:keyint=24:scenecut=0"}
CODINGS = {  # name of the file: codec, GOP, B frames, frames at irregular times, options
    "one_keyframe.avi": ("mpeg4", 1000, 0, False, {}),
    "gop12.avi": ("mpeg4", 12, 0, False, {}),
    "b_frames.mp4": ("mpeg4", 12, 2, False, {}),
    "h264.mp4": ("libx264", 12, 3, False, {}),
    "h264_open_gop.mkv": ("libx264", 24, 3, False, OPEN_GOP),
    "h264_irregular.mp4": ("libx264", 24, 3, True, {}),
    "h264_irregular.mkv": ("libx264", 24, 3, True, {}),
    "program_stream.mpg": ("mpeg2video", 12, 2, False, {}),
}


def write_video(folder: Path, name: str, count: int = 300, seed: int = 0) -> Path:
    """The video of that row. Skips where PyAV is not there or lacks the encoder."""
    av = pytest.importorskip("av", reason="videos are made with PyAV")
    codec, gop, between, irregular, options = CODINGS[name]
    if codec not in av.codecs_available:
        pytest.skip(f"PyAV has no {codec}")
    step = Fraction(1, 1000) if irregular else Fraction(1, 25)
    times = np.random.default_rng(seed).integers(10, 120, count).cumsum() if irregular else np.arange(count)
    with av.open(str(folder / name), "w") as file:
        stream = file.add_stream(codec, rate=25, options={"threads": "1", **options})
        (stream.height, stream.width), stream.pix_fmt = SIZE, "yuv420p"
        stream.gop_size, stream.max_b_frames, stream.codec_context.time_base = gop, between, step
        for time, picture in zip(times.tolist(), moving_pictures(count, seed), strict=True):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = time, step
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return folder / name


def moving_pictures(count: int, seed: int = 0):
    h, w = SIZE
    noise = np.random.default_rng(seed).integers(0, 256, (h, 4 * w, 3), np.uint8)
    scene = cv2.GaussianBlur(noise, (0, 0), 2)
    for k in range(count):
        picture = scene[:, 2 * k % (3 * w) :][:, :w].copy()
        yield cv2.circle(picture, (3 * k % w, h // 2), 8, (k % 256, 40, 200), -1)
