"""What an annotation may not say of its videos: size, length, frame rate. A table beside it does, `videos.csv`:

    video,width,height,num_frames,fps,labelled
    Diving/v_Diving_g01_c01,320,240,113,25,all

`num_frames`, `fps` and `labelled` may be missing or empty. `labelled` is "all" where annotators looked at every frame,
"boxes" where they did at those that the annotation lists.
"""

import csv
import io
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from detect.data.checks import AnnotationError
from detect.data.records import ActionDataset
from detect.utils.files import read_text, write_csv
from detect.video.readers import MAX_SAID_FRAMES

FACTS_FILE = "videos.csv"
COLUMNS = ("video", "width", "height", "num_frames", "fps", "labelled")
LABELLED = ("", "all", "boxes")


@dataclass(frozen=True)
class VideoFacts:
    """Of one video; `num_frames` and `fps` are 0 and `labelled` is "" where they are not known."""

    width: int
    height: int
    num_frames: int = 0
    fps: float = 0.0
    labelled: str = ""


class KnownFacts:
    """The facts of each video that something is known of, and those of all others."""

    def __init__(self, source: str, listed: Mapping[str, VideoFacts], default: VideoFacts | None = None):
        self._source, self._listed, self._default = source, listed, default

    def of(self, video: str) -> VideoFacts:
        """AnnotationError where nothing is known of the video."""
        facts = self._listed.get(video, self._default)
        if facts is None:
            raise AnnotationError(
                f"{video}: its width and height are not known ({self._source}); give sizes, as 320x240 for all videos "
                f"or as a CSV file with the columns {','.join(COLUMNS)}"
            )
        return facts


def known_facts(path: Path, sizes: str | Path | None, size: tuple[int, int] | None = None) -> KnownFacts:
    """What is known of the videos of the annotation at `path`: from `sizes`, "320x240" or a CSV file, else from
    videos.csv in its folder; `size` (height, width) is that of videos that no file names.
    """
    default = VideoFacts(size[1], size[0]) if size else None
    if match := re.fullmatch(r"([1-9]\d{0,5})x([1-9]\d{0,5})", str(sizes)):
        return KnownFacts("sizes", {}, VideoFacts(int(match[1]), int(match[2])))
    beside = (path if path.is_dir() else path.parent) / FACTS_FILE
    if sizes is None and not beside.exists():
        return KnownFacts("no sizes were given", {}, default)
    file = beside if sizes is None else Path(sizes)
    return KnownFacts(f"not in {file}", read_video_facts(file), default)


def read_video_facts(path: Path) -> dict[str, VideoFacts]:
    """The table by video. AnnotationError, naming line and value."""
    reader = csv.DictReader(io.StringIO(read_text(path)))
    missing = [name for name in COLUMNS[:3] if name not in (reader.fieldnames or ())]
    if missing:
        raise AnnotationError(f"{path}: no column {', '.join(missing)}; expected {','.join(COLUMNS)}")
    found: dict[str, VideoFacts] = {}
    for row in reader:
        try:
            name, facts = row["video"], _facts(row)
        except ValueError as error:
            raise AnnotationError(f"{path} line {reader.line_num}: {error}") from None
        if name in found:
            raise AnnotationError(f"{path} line {reader.line_num}: the video {name!r} occurs twice")
        found[name] = facts
    return found


def _facts(row: Mapping[str, str | None]) -> VideoFacts:
    sides = []
    for column, low in (("width", 1), ("height", 1), ("num_frames", 0)):
        text = row.get(column) or "0"
        if not (text.isascii() and text.isdigit() and low <= int(text) <= MAX_SAID_FRAMES):
            raise ValueError(f"{column} is {text!r}; expected a whole number from {low} on")
        sides.append(int(text))
    fps, labelled = float(row.get("fps") or 0), row.get("labelled") or ""
    if not (math.isfinite(fps) and fps >= 0) or labelled not in LABELLED or not row["video"]:
        raise ValueError(f"expected a video, fps from 0 on and labelled 'all' or 'boxes', found {dict(row)}")
    return VideoFacts(*sides, fps, labelled)


def check_video_facts(path: Path) -> None:
    """AnnotationError where the videos.csv beside the annotation at `path` cannot be added to."""
    _listed_beside(path)


def _listed_beside(path: Path) -> tuple[Path, dict[str, VideoFacts]]:
    target = (path if path.is_dir() else path.parent) / FACTS_FILE
    return target, read_video_facts(target) if target.exists() else {}


def write_video_facts(path: Path, dataset: ActionDataset) -> None:
    """videos.csv beside the annotation at `path`, or in it where that is a folder. What one says already of other
    videos stays there: two annotations may lie in a folder.
    """
    target, facts = _listed_beside(path)
    for video in dataset.videos:
        labelled = "all" if video.labelled is None else "boxes"
        facts[video.name] = VideoFacts(video.width, video.height, video.num_frames, video.fps, labelled)
    rows = ({"video": name, **asdict(known), "fps": f"{known.fps:.12g}"} for name, known in facts.items())
    write_csv(target, COLUMNS, rows)
