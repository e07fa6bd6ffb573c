"""Pickles of the ACT detector and its descendants MOC and MultiSports.

    frame_detections.pkl   an array (n, 8): video, frame, label, score, x1, y1, x2, y2. MMAction2's tools write the same
                           for MultiSports.
    <video>/00001.pkl      the tubelets that start in that frame. ACT: a pair, the first an array (n, 2 + 4K) of label,
                           score, K boxes. MOC: {label + 1: array (n, 4K + 1) of K boxes, score}.

Videos are numbers, positions in a list; frames count from 1, labels in the array and in ACT from 0; boxes are pixels.
Tubelets become detections as those two programs make them: the boxes of all tubelets in a frame, of which ACT drops
those with an IoU over 0.3 with a better one of the class, and MOC multiplies the score of those over 0.6 by 1 - IoU.
"""

from pathlib import Path

import numpy as np

from detect.data.act_pickle import load_act, split_list
from detect.data.checks import Notes, whole
from detect.data.dialects.companions import read_names
from detect.data.dialects.glimpse import Glimpse
from detect.data.records import ActionDataset
from detect.evaluation.files.dialects.found_rows import FoundRows, no_rows
from detect.evaluation.frame_ap import FrameIndex, joined, overlapping
from detect.evaluation.linking.linker import LinkOptions, suppress
from detect.evaluation.tables import Detections, TableError
from detect.utils.safe_pickle import load_pickle

COLUMNS = ("video", "frame", "label", "score", "x1", "y1", "x2", "y2")
ACT_NMS, MOC_NMS = 0.3, 0.6
PICKLES = (b"\x80", b"(", b"c")  # the first byte, protocols 2 to 5, 0 and 1


def is_act_array(glimpse: Glimpse) -> bool:
    return glimpse.head[:1] in PICKLES and glimpse.has(b"numpy") and not glimpse.has(b"video_id")


def is_act_tubelets(glimpse: Glimpse) -> bool:
    return any(name.endswith("/00001.pkl") for name in glimpse.names)


def read_act_array(
    path: Path,
    dataset: ActionDataset | None,
    notes: Notes,
    *,
    videos: str | Path | None = None,
    split: int = 1,
) -> FoundRows:
    """videos: the list that videos are positions in: a `*-GT.pkl`, of which the test videos of the split, counted from
    1, are taken, or a text file of names. Without it: the videos of the dataset in its order.
    """
    table = load_pickle(path, encoding="latin1")
    if not isinstance(table, np.ndarray) or (table.size and (table.ndim != 2 or table.shape[1] != len(COLUMNS))):
        found = f"an array of {table.shape}" if isinstance(table, np.ndarray) else f"a {type(table).__name__}"
        raise TableError(f"{path}: holds {found}; expected an array (n, 8) of {', '.join(COLUMNS)}")
    names = _video_list(path, dataset, videos, split)
    if videos is None:
        notes.add("files whose videos are taken to be numbered in the order of the dataset", path.name)
    if not table.size:
        return no_rows(names)
    if table.dtype.kind not in "fiu":
        raise TableError(f"{path}: an array of {table.dtype}; expected numbers")
    table = table.astype(np.float64)
    whole_ones = table[:, :3]
    if (bad := ~((whole_ones == np.rint(whole_ones)) & (abs(whole_ones) < 2**31)).all(1)).any():
        row = int(np.argmax(bad))
        raise TableError(f"{path}: row {row}: video, frame, label {whole_ones[row].tolist()} are not whole numbers")
    video, frame, label = whole_ones.astype(np.int64).T
    if (bad := (video < 0) | (video >= len(names))).any():
        row = int(np.argmax(bad))
        raise TableError(f"{path}: row {row}: video {video[row]}; the list has {len(names)}, 0 to {len(names) - 1}")
    return FoundRows(names, video, frame - 1, label, table[:, 3], table[:, 4:], lambda row: f"row {row}")


def _video_list(path: Path, dataset: ActionDataset | None, videos: str | Path | None, split: int) -> list[str]:
    if videos is None and dataset is None:
        raise TableError(
            f"{path}: videos are numbers in it; give `videos`, the *-GT.pkl or a list of their names, or a dataset"
        )
    if videos is None:
        return [video.name for video in dataset.videos]
    if Path(videos).suffix == ".pkl":
        return split_list(Path(videos), load_act(Path(videos), "test_videos"), "test", split - 1)
    return list(read_names(Path(videos), "video"))


def read_act_tubelets(path: Path, dataset: ActionDataset | None, notes: Notes) -> FoundRows:
    """All tubelets below the folder; a video's name is that of its folder below it."""
    files = sorted(path.rglob("[0-9][0-9][0-9][0-9][0-9].pkl"))
    if not files:
        raise TableError(f"{path}: no file <video>/00001.pkl below this folder")
    numbers: dict[str, int] = {}
    parts, forms = [], {}
    for file in files:
        video = numbers.setdefault(file.parent.relative_to(path).as_posix(), len(numbers))
        form, label, score, boxes = _tubelets(file)
        forms.setdefault(form, file)
        count = boxes.shape[1]  # (n, K, 4)
        frame = np.tile(int(file.stem) - 1 + np.arange(count), len(boxes))
        columns = (np.full(len(frame), video), frame, np.repeat(label, count), np.repeat(score, count))
        parts.append(np.column_stack([*columns, boxes.reshape(-1, 4)]))
    if len(forms) > 1:
        raise TableError(f"{path}: tubelets of ACT ({forms['ACT']}) and of MOC ({forms['MOC']}); expected one of them")
    table, place = np.concatenate(parts), np.cumsum([len(part) for part in parts])
    order, score = _suppressed(table, next(iter(forms)))

    def where(row: int) -> str:
        return str(files[int(np.searchsorted(place, order[row], side="right"))].relative_to(path))

    video, frame, label = table[order, :3].astype(np.int64).T
    return FoundRows(list(numbers), video, frame, label, score[order], table[order, 4:], where)


def _suppressed(table: np.ndarray, form: str) -> tuple[np.ndarray, np.ndarray]:
    """Rows that stay, by video and frame, in a frame by the tubelet's start; and the scores of all rows."""
    if not np.isfinite(table).all():
        return np.arange(len(table)), table[:, 3]  # the check that follows names the row
    video, frame, label = table[:, :3].astype(np.int64).T
    group = (video * (frame.max(initial=0) + 1) + frame) * (label.max(initial=0) + 1) + label
    score, boxes = table[:, 3], table[:, 4:]
    nms = ACT_NMS if form == "ACT" else MOC_NMS
    kept = suppress(group, boxes, score, LinkOptions(nms=nms, keep=0, min_score=-np.inf))
    if form == "MOC":
        rest = np.setdiff1d(np.arange(len(table)), kept)
        kept, score = np.arange(len(table)), _lowered(Detections(video, frame, label, score, boxes), kept, rest)
    return kept[np.lexsort((kept, frame[kept], video[kept]))], score


def _lowered(det: Detections, leaders: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """The scores, those of the rows `rest` times 1 - IoU with the leader that suppresses them."""
    columns = [det.video, det.frame, det.label, det.score, det.boxes]
    better, worse = (Detections(*(column[rows] for column in columns)) for rows in (leaders, rest))
    every, frames, classes = np.arange(len(rest)), FrameIndex(better, worse), int(det.label.max(initial=0)) + 1
    row, _, overlap = joined(overlapping(better, worse, every, frames, MOC_NMS, True, classes))
    row, overlap = row[overlap > MOC_NMS], overlap[overlap > MOC_NMS]
    row, first = np.unique(row, return_index=True)  # leaders stand by falling score in their groups
    score = det.score.copy()
    score[rest[row]] *= 1 - overlap[first]
    return score


def _tubelets(file: Path) -> tuple[str, np.ndarray, np.ndarray, np.ndarray]:
    """Whose they are, label from 0 (n,), score (n,), boxes (n, K, 4)."""
    content = load_pickle(file, encoding="latin1")
    try:
        if isinstance(content, dict):
            tables = {whole(label, 1): np.asarray(table, np.float64) for label, table in content.items()}
            width = {table.shape[1] for table in tables.values()}
            label = np.concatenate([np.zeros(0), *(np.full(len(table), n - 1) for n, table in tables.items())])
            table = np.concatenate([np.zeros((0, max(width, default=5))), *tables.values()])
            return "MOC", label, table[:, -1], _boxes(table[:, :-1])
        table = np.asarray(content[0], np.float64)
        return "ACT", table[:, 0], table[:, 1], _boxes(table[:, 2:])
    except (IndexError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise TableError(
            f"{file}: neither ACT's (array (n, 2 + 4K), ...) nor MOC's {{label: array (n, 4K + 1)}} "
            f"({type(error).__name__}: {error})"
        ) from error


def _boxes(table: np.ndarray) -> np.ndarray:
    if table.shape[1] % 4 or not table.shape[1]:
        raise ValueError(f"{table.shape[1]} columns of boxes, expected a multiple of 4")
    return table.reshape(len(table), table.shape[1] // 4, 4)
