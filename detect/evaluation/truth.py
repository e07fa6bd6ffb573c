"""Ground truth to evaluate against, from a registered set or a file in any known format."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from detect.data.annotation_files import read_annotations, recognise
from detect.data.catalog import load_action_dataset
from detect.data.dialects.glimpse import Glimpse
from detect.data.records import ActionDataset
from detect.evaluation.files.formats import read_columns
from detect.evaluation.files.table_annotations import EVERY_FORMAT, is_table
from detect.evaluation.files.tube_files import TubeList, is_tube_list, read_tubes
from detect.evaluation.files.typed_tables import Columns
from detect.evaluation.tables import GroundTruth, TableError
from detect.evaluation.tubes import Tubes, truth_tubes
from detect.evaluation.video_names import matched_names
from detect.utils.files import hash_files
from detect.utils.names import safe_name


@dataclass(frozen=True, eq=False)
class Truth:
    """Ground truth. columns: the table of its boxes.  dataset, tubes: None if the source has none; their videos and
    classes are numbered as in `columns`.  facts: where it comes from.
    """

    columns: Columns
    dataset: ActionDataset | None = None
    tubes: Tubes | None = None
    facts: dict[str, Any] = field(default_factory=dict)


def read_truth(
    dataset: str | None = None,
    path: str | None = None,
    format: str | None = None,
    options: dict[str, Any] | None = None,
) -> Truth:
    """The ground truth of a registered set (or json:FILE), or of the file `path`. format, options: of that file, see
    `read_annotations`.
    """
    if dataset:
        try:
            known = load_action_dataset(dataset)
        except KeyError as error:
            raise TableError(str(error.args[0])) from None
        return truth_of(known, {"dataset": dataset})
    facts = {"file": path}
    if format is None and Path(path).is_file():
        if is_table(Glimpse(Path(path))):
            columns = read_columns(path, GroundTruth)
            return Truth(columns, facts={**facts, "sha256": hash_files(path), "rows": len(columns.columns["label"])})
        if is_tube_list(path):
            return _of_tubes(read_tubes(path, scored=False), {**facts, "sha256": hash_files(path)})
    chosen = format or recognise(path, EVERY_FORMAT)
    known = read_annotations(path, chosen, formats=EVERY_FORMAT, **(options or {}))
    return truth_of(known, {**facts, "format": chosen})


def truth_of(dataset: ActionDataset, facts: dict[str, Any]) -> Truth:
    """The ground truth of a dataset. facts: where it comes from."""
    names = [video.name for video in dataset.videos]
    columns = Columns(dataset.ground_truth_table(), names, list(dataset.classes))
    tubes = truth_tubes(dataset.videos, {name: index for index, name in enumerate(names)})
    facts = {**facts, "sha256": dataset.annotation_hash, "rows": len(columns.columns["label"])}
    return Truth(columns, dataset, tubes, {**facts, "notes": list(dataset.notes)})


def _of_tubes(listed: TubeList, facts: dict[str, Any]) -> Truth:
    """Annotated tubes, and their boxes sorted by video and frame."""
    tubes = listed.tubes
    if len(tubes) and tubes.start.min() < 0:
        name = listed.videos[int(tubes.video[tubes.start.argmin()])]
        raise TableError(f"{facts['file']}: a tube of {name!r} starts before frame 0")
    of, frame = tubes.places
    there = np.flatnonzero(~np.isnan(tubes.boxes[:, 0]))
    there = there[np.lexsort((frame[there], tubes.video[of[there]]))]
    columns = {"video": tubes.video[of[there]], "frame": frame[there], "label": tubes.label[of[there]]}
    columns = Columns({**columns, "boxes": tubes.boxes[there]}, listed.videos, listed.labels)
    return Truth(columns, tubes=tubes, facts={**facts, "rows": len(there)})


def named_as_truth(names: Sequence[str], truth: Truth) -> tuple[list[str], list[str]]:
    """The names that the ground truth has for the videos of another file, and notes; see `matched_names`."""
    if truth.dataset:
        names = list(map(safe_name, names))  # as those of the dataset are
    return matched_names(names, truth.columns.videos)


def source(truth: Truth) -> str:
    """The file or the set, for messages."""
    return str(truth.facts.get("file") or truth.facts.get("dataset"))
