"""What the demo leaves: a drawn film, a window, a list of what was drawn, a table of all detections."""

import json
import shutil
import tempfile
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from detect.evaluation.files.csv_tables import csv_table
from detect.evaluation.files.formats import SUFFIXES, write_table
from detect.evaluation.files.typed_tables import require_pyarrow
from detect.evaluation.linking.actors import ActorTube
from detect.evaluation.tables import Detections, concatenated
from detect.tracking import FrameDetections
from detect.utils.errors import UserError
from detect.utils.files import atomic_file
from detect.video.encoders import MPEG4
from detect.visualization.drawing import class_colour, draw_actors, enlarged, readable
from detect.visualization.tags import draw_note, draw_trail
from detect.visualization.window import Window

CSV_SUFFIXES = (".csv", ".csv.gz")
TRAIL = 30  # frames
PLACE = "{}"  # of a video's name, in what is written of many
READABLE = 240  # rows: letters on fewer cover what they name, so smaller frames are drawn enlarged


@dataclass
class Outputs:
    """What the demo is to leave; None: not. whole: nothing of a video that cannot be read to its end."""

    output: str | None = None
    json_file: str | None = None
    detections: str | None = None
    show: bool = False
    trail: bool = False
    whole: bool = False
    window: Window | None = field(default=None, init=False)

    def files(self) -> dict[str, str]:
        options = ("--output", "--json", "--detections")
        return {option: path for option, path in zip(options, self._paths().values(), strict=True) if path}

    def of_many(self) -> bool:
        return any(PLACE in path for path in self.files().values())

    def of(self, name: str) -> "Outputs":
        """Of one of many videos: its name in the place of {}."""
        names = {key: path and path.replace(PLACE, name) for key, path in self._paths().items()}
        return replace(self, **names, whole=True)

    def _paths(self) -> dict[str, str | None]:
        return {"output": self.output, "json_file": self.json_file, "detections": self.detections}


class Painter:
    """Draws what was found on frame after frame, of a stream of one size.

    trail: also the way that each actor's feet took.
    """

    def __init__(self, trail: bool = False):
        self._ways: dict[int, deque[np.ndarray]] | None = None
        if trail:
            self._ways = defaultdict(lambda: deque(maxlen=TRAIL))
        self._factor = 0

    def __call__(self, frame: np.ndarray, found: FrameDetections, note: str = "") -> np.ndarray:
        """A drawn copy of the frame."""
        self._factor = self._factor or int(readable(frame, READABLE)[1])
        picture = enlarged(frame, self._factor)
        if self._ways is not None:
            self._draw_trails(picture, found)
        if note:
            draw_note(picture, note)
        return draw_actors(picture, found.boxes, found.names, found.scores, found.tubes, self._factor)

    def _draw_trails(self, picture: np.ndarray, found: FrameDetections) -> None:
        for number in set(self._ways) - set(found.tubes.tolist()):
            del self._ways[number]  # a way without its actor would say that somebody is there
        for number, (x0, _, x1, y1) in zip(found.tubes.tolist(), found.boxes, strict=True):
            self._ways[number].append(np.array([(x0 + x1) / 2, y1]) * self._factor)
        for number, way in self._ways.items():
            draw_trail(picture, np.array(way), class_colour(number))


class Listing:
    """The JSON file of the demo; see the docstring of tools/demo.py."""

    def __init__(self, stream, head: dict[str, Any], later):
        self._stream, self._later, self._video = stream, later, head["name"]
        text = json.dumps({key: value for key, value in head.items() if key != "name"})
        stream.write(f'{text[:-1]}, "frames": ['.encode())
        self._between, self._before = "\n", "\n"

    def frame(self, found: FrameDetections) -> None:
        """Once a frame, in order."""
        columns = (found.boxes.tolist(), found.names, found.scores.tolist(), found.tubes.tolist())
        detections = [
            {"box": [round(v, 2) for v in box], "label": name, "score": round(score, 4), "tube": number}
            for box, name, score, number in zip(*columns, strict=True)
        ]
        item = {"frame": found.frame, "time": round(found.time, 3), "detections": detections}
        self._stream.write((self._between + json.dumps(item)).encode())
        self._between = ",\n"

    def tube(self, tube: ActorTube) -> None:
        """Once a tube, when it has ended; it waits in a file of its own, since frames may follow."""
        item = {"video": self._video, "id": tube.id, "label": tube.name, "score": round(tube.score, 4)}
        boxes = [[round(v, 2) for v in box] for box in tube.boxes.tolist()]
        item |= {"start": tube.start, "end": tube.end, "boxes": boxes}
        self._later.write((self._before + json.dumps(item)).encode())
        self._before = ",\n"

    def finish(self) -> None:
        self._stream.write(b'\n], "tubes": [')
        self._later.seek(0)
        shutil.copyfileobj(self._later, self._stream)
        self._stream.write(b"\n]}\n")


@contextmanager
def json_listing(path: str, head: dict[str, Any]) -> Iterator[Listing]:
    """head: what stands before the frames; its "name" is the video's in the tubes. The file appears when the block
    ends.
    """
    with atomic_file(path) as stream, tempfile.TemporaryFile() as later:
        listing = Listing(stream, head, later)
        yield listing
        listing.finish()


@contextmanager
def detections_table(
    path: str, name: str, classes: Sequence[str], *, live: bool = False
) -> Iterator[Callable[[FrameDetections], None]]:
    """Gives `add(found)`, called once a frame; `name`: of the video.

    A CSV is written as it comes. Typed columns are collected in memory, 32 bytes a row, so not those of a camera
    (`live`), which may run for days.
    """
    as_it_comes = path.endswith(CSV_SUFFIXES)
    if not as_it_comes and (live or not path.endswith(SUFFIXES)):
        legal = f"{', '.join(CSV_SUFFIXES)} of a camera, as it comes" if live else ", ".join(SUFFIXES)
        raise UserError(f"--detections {path}: the name of the table must end in {legal}")
    with csv_table(path, Detections) if as_it_comes else _collected(path, name, classes) as add:

        def add_frame(found: FrameDetections) -> None:
            zeros, labels = np.zeros(len(found), np.int32), found.labels.astype(np.int32)
            add(Detections(zeros, zeros + found.frame, labels, found.scores, found.boxes), [name])

        yield add_frame


@contextmanager
def _collected(path: str, name: str, classes: Sequence[str]) -> Iterator[Callable[[Detections, Sequence[str]], None]]:
    """As `csv_table`, for typed columns of one video."""
    if path.endswith(".parquet"):
        require_pyarrow()  # before the work, not after
    parts = []
    yield lambda table, _: parts.append(table) if len(table) else None
    parts = parts or [Detections(*(np.zeros(0, np.int32),) * 3, np.zeros(0, np.float32), np.zeros((0, 4), np.float32))]
    write_table(path, concatenated(parts), [name], classes)


def listed_on_the_way(
    results: Iterator[tuple[np.ndarray, FrameDetections]], add: Callable[[FrameDetections], None] | None
) -> Iterator[tuple[np.ndarray, FrameDetections]]:
    """The same results, each given to `add` first."""
    for frame, found in results:
        if add:
            add(found)
        yield frame, found


def codec_note(path: str, codec: str) -> str:
    """What to say of a film that browsers do not play, "" of others."""
    if codec != MPEG4:
        return ""
    return f"{path} is {codec}, which browsers do not play; for H.264: pip install av"
