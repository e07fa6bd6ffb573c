"""`finalAnnots.mat`, the corrected annotation of UCF101-24 (Singh et al., ICCV 2017) for MATLAB.

`annot` (1, videos) has the fields `num_imgs`, `name` ("Class/video") and `tubes`, (1, n) with `sf`, `ef`, `class` and
`boxes` (ef - sf + 1, 4) x y w h. Frames count from 1 and `ef` is the last one; classes count from 1. It holds what
pyannot.pkl holds, and x, y, w, h are read in the same way.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io

from detect.data import ucf24
from detect.data.checks import AnnotationError, Notes, checked_tube, whole
from detect.data.dialects.companions import check_class_names, class_names, write_class_names
from detect.data.dialects.glimpse import Glimpse
from detect.data.dialects.video_facts import KnownFacts, check_video_facts, known_facts, write_video_facts
from detect.data.dialects.writing import corner_and_size, note_losses, other_sizes, without_gaps
from detect.data.records import ActionDataset, VideoRecord
from detect.utils.files import atomic_file, hash_files
from detect.utils.safe_mat import has_words, load_mat

FIELDS = ("num_imgs", "name", "tubes")
_TUBE = np.dtype([(name, object) for name in ("ef", "sf", "class", "boxes")])


def is_final_annots(glimpse: Glimpse) -> bool:
    return has_words(glimpse.head, b"num_imgs", b"tubes")


def read_final_annots(
    path: Path,
    *,
    classes: str | Path | None = None,
    sizes: str | Path | None = None,
) -> ActionDataset:
    """All videos of the file. `classes` and `sizes`: files, else classes.txt and videos.csv beside it, else the 24
    classes and 320 x 240 of UCF101-24.

    Raises AnnotationError for a file that contradicts itself, MatError for one that is not such a file.
    """
    path, notes = Path(path), Notes()
    names_of_classes = class_names(path, classes, ucf24.CLASSES)
    facts = known_facts(path, sizes, ucf24.SIZE)
    entries = _entries(path)
    records = tuple(_record(v, entries[v], facts, names_of_classes, notes) for v in entries)
    return ActionDataset(path.stem, names_of_classes, records, hash_files(path), notes.lines())


def _entries(path: Path) -> dict[str, np.void]:
    annot = load_mat(path, "annot")
    if any(name not in (annot.dtype.names or ()) for name in FIELDS):
        raise AnnotationError(f"{path}: annot has the fields {annot.dtype.names}; expected {', '.join(FIELDS)}")
    found: dict[str, np.void] = {}
    for number, entry in enumerate(annot.ravel(), 1):
        name = np.ravel(entry["name"])
        if len(name) != 1 or name.dtype.kind != "U":
            raise AnnotationError(f"{path}: the video {number} has no name but {str(entry['name'])[:80]}")
        if str(name[0]) in found:
            raise AnnotationError(f"{path}: the video {name[0]} occurs twice")
        found[str(name[0])] = entry
    return found


def _record(video: str, entry: np.void, facts: KnownFacts, classes: Sequence[str], notes: Notes) -> VideoRecord:
    try:
        num_frames = _number(entry["num_imgs"], 0)
        tubes = [_tube(tube) for tube in np.ravel(entry["tubes"])]
    except AnnotationError as error:
        raise AnnotationError(f"{video}: {error}") from None
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise AnnotationError(f"cannot read {video} ({type(error).__name__}: {error})") from error
    known = facts.of(video)
    common = dict(video=video, num_frames=num_frames, size=(known.height, known.width), classes=classes, notes=notes)
    kept = tuple(filter(None, (checked_tube(*tube, **common) for tube in tubes)))
    return VideoRecord(video, video, num_frames, known.height, known.width, kept, fps=known.fps)


def _tube(tube: np.void) -> tuple[int, np.ndarray, np.ndarray]:
    boxes = np.asarray(tube["boxes"]).astype(np.float64).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    label, start, end = (_number(tube[key]) for key in ("class", "sf", "ef"))
    if label < 1 or start < 1:
        raise AnnotationError(f"class {label}, first frame {start}; both count from 1 in this file")
    return label - 1, np.arange(start - 1, end), boxes


def _number(value: Any, low: int | None = None) -> int:
    (number,) = np.ravel(value)
    return whole(number) if low is None else whole(number, low)


def write_final_annots(dataset: ActionDataset, path: Path) -> tuple[str, ...]:
    """Numbers are doubles, MATLAB's own. Classes other than the 24 go into classes.txt, sizes other than 320 x 240 into
    videos.csv, beside the file. Returns notes of what the form cannot hold.
    """
    notes = Notes()
    check_class_names(path, dataset.classes)
    check_video_facts(path)
    annot = np.empty((1, len(dataset.videos)), [(name, object) for name in FIELDS])
    for place, video in enumerate(dataset.videos):
        tubes = without_gaps(video, notes)
        rows = np.empty((1, len(tubes)), _TUBE)
        for column, tube in enumerate(tubes):
            boxes = corner_and_size(tube.boxes)
            rows[0, column] = (float(tube.frames[-1] + 1), float(tube.frames[0] + 1), float(tube.label + 1), boxes)
        annot[0, place] = (float(video.num_frames), video.name, rows)
    with atomic_file(path) as stream:
        scipy.io.savemat(stream, {"annot": annot}, do_compression=True)
    write_class_names(path, dataset.classes, ucf24.CLASSES)
    if other_sizes(dataset, ucf24.SIZE):
        write_video_facts(path, dataset)
    else:
        note_losses(dataset, notes, "fps")
    note_losses(dataset, notes, "labelled")
    return notes.lines()
