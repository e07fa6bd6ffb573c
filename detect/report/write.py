"""Writes the report of an evaluation: one self-contained HTML file."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from detect.data.records import ActionDataset
from detect.evaluation.frame_ap import FrameAPOptions
from detect.evaluation.tables import Detections
from detect.report.data import gather
from detect.report.page import report_page
from detect.report.training import read_training
from detect.utils.errors import UserError
from detect.utils.files import make_folder, read_text, write_text
from detect.utils.provenance import code_version

logger = logging.getLogger(__name__)


def write_report(
    folder: str | Path,
    dataset: ActionDataset,
    det: Detections,
    options: FrameAPOptions,
    *,
    proposals: Detections | Mapping[str, float] | None = None,
    video_results: Mapping[str, Any] | None = None,
    run_folder: str | Path | None = None,
    provenance: Mapping[str, Any] | None = None,
    max_strips: int = 24,
) -> Path:
    """Write `folder`/index.html and return its path.

    Args:
        det: detections; `video` holds positions in `dataset.videos`, see `numbered_as`.
        options: the protocol of the main number; other protocols are shown beside it.
        proposals: class-agnostic boxes with `label` 0, numbered like `det`; or the result of `proposal_recall`.
        video_results: name -> share for the head of the page, name -> (C,) shares for the table of classes.
        run_folder: OUTPUT_DIR of the training; its metrics.json and config.yaml are shown if they exist.
        provenance: further facts, such as files, hashes and seed. Nested mappings and texts of several lines are shown
            folded.
        max_strips: greatest number of error pictures, about 20 to 40 KB each.
    Raises:
        UserError: a video or class that the data set does not have; the folder cannot be written.
    """
    _check(dataset, det, "detection")
    if isinstance(proposals, Detections):
        _check(replace(dataset, classes=("actor",)), proposals, "proposal")
    config = Path(run_folder) / "config.yaml" if run_folder else None
    facts = {**code_version(), **(provenance or {})}
    if config and config.is_file():
        facts["config of the run"] = read_text(config)
    data = gather(
        dataset,
        det,
        options,
        proposals=proposals,
        max_strips=max_strips,
        video_results=video_results or {},
        training=read_training(run_folder) if run_folder else None,
        provenance=facts,
    )
    path = make_folder(folder) / "index.html"
    write_text(path, report_page(data))
    logger.info("report: %s", path)
    return path


def numbered_as(dataset: ActionDataset, det: Detections, names: Sequence[str]) -> Detections:
    """The table with positions in `dataset.videos` instead of `names` as `video`. UserError for an unknown video."""
    number = {video.name: i for i, video in enumerate(dataset.videos)}
    unknown = [name for name in {names[code] for code in np.unique(det.video).tolist()} if name not in number]
    if unknown:
        known = ", ".join(list(number)[:3])
        raise UserError(
            f"detections for {len(unknown)} videos that {dataset.name} does not have, such as {min(unknown)!r}; "
            f"its {len(number)} videos are named like {known}"
        )
    codes = np.array([number.get(name, -1) for name in names], np.int64)
    return replace(det, video=codes[det.video] if len(det) else det.video)


def _check(dataset: ActionDataset, table: Detections, what: str) -> None:
    for column, names, kind in ((table.video, dataset.videos, "video"), (table.label, dataset.classes, "class")):
        if len(table) and int(column.max()) >= len(names):
            raise UserError(
                f"{what} row {int(column.argmax())} is of {kind} {int(column.max())}; {dataset.name} has {len(names)}, "
                f"0 to {len(names) - 1}"
            )
