"""Ground truth from any known form of file, and into any: `FORMATS` is the table, a row for each form.

A reader gives an `ActionDataset`, frames from 0, boxes x0 y0 x1 y1 in pixels; a writer takes one. What other counts and
conventions there are is known to the form's own module.
"""

import inspect
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detect.data.checks import AnnotationError
from detect.data.dialects.act import is_act, read_act, write_act
from detect.data.dialects.ava_csv import is_ava_csv, read_ava_csv, write_ava_csv
from detect.data.dialects.coco_json import is_coco_json, read_coco_json, write_coco_json
from detect.data.dialects.cvat import is_cvat, read_cvat
from detect.data.dialects.final_annots import is_final_annots, read_final_annots, write_final_annots
from detect.data.dialects.gkioxari import is_gkioxari, read_gkioxari
from detect.data.dialects.glimpse import Glimpse
from detect.data.dialects.jhmdb_folder import is_jhmdb_folder, read_jhmdb_folder
from detect.data.dialects.labelme import is_labelme, read_labelme
from detect.data.dialects.pyannot import is_pyannot, read_pyannot, write_pyannot
from detect.data.dialects.via import is_via, read_via
from detect.data.dialects.yowo_text import is_yowo_text, read_yowo_text, write_yowo_text
from detect.data.own_json import is_own_json, read_own_json, write_own_json
from detect.data.records import ActionDataset
from detect.utils.errors import UserError


@dataclass(frozen=True)
class Format:
    """A form of ground-truth file.

    `read(path, **options)` gives a dataset; its keyword parameters are the options that the form knows. `write(dataset,
    path)` gives notes of what the form cannot hold, or None; None in its place where the form is only read.
    `recognise(glimpse)` says whether a file looks like it; the first row of `FORMATS` that says so is taken.
    """

    read: Callable[..., ActionDataset]
    write: Callable[[ActionDataset, Path], Iterable[str] | None] | None
    what: str
    recognise: Callable[[Glimpse], bool] = lambda glimpse: False


FORMATS: dict[str, Format] = {
    "pyannot": Format(read_pyannot, write_pyannot, "pyannot.pkl of UCF101-24 (Singh et al.)", is_pyannot),
    "final_annots": Format(
        read_final_annots, write_final_annots, "finalAnnots.mat of UCF101-24 (Singh et al.)", is_final_annots
    ),
    "act": Format(read_act, write_act, "*-GT.pkl of ACT, MOC, MultiSports", is_act),
    "jhmdb": Format(read_jhmdb_folder, None, "JHMDB's folders puppet_mask and splits", is_jhmdb_folder),
    "gkioxari": Format(read_gkioxari, None, "jhmdb_annot.mat of Gkioxari & Malik", is_gkioxari),
    "yowo": Format(read_yowo_text, write_yowo_text, "text files of YOWO, in a folder, tar or zip", is_yowo_text),
    "ava": Format(read_ava_csv, write_ava_csv, "CSV of AVA, and of MultiSports in MMAction2", is_ava_csv),
    "coco": Format(read_coco_json, write_coco_json, "COCO-style JSON of images, COCO-VID", is_coco_json),
    "own": Format(read_own_json, write_own_json, "own JSON, see detect/data/own_json.py", is_own_json),
    "cvat": Format(read_cvat, None, "CVAT XML 1.1, for video or for images; a file or a folder of them", is_cvat),
    "via": Format(read_via, None, "CSV of the VGG Image Annotator 2", is_via),
    "labelme": Format(read_labelme, None, "LabelMe's JSON files, a folder of them", is_labelme),
}


def read_annotations(path: str | Path, format: str | None = None, **options: Any) -> ActionDataset:
    """The ground truth in a file or folder of the named format, or of the one that its content shows.

    `options` go to the reader; those that are None are left out. UserError for an unknown format or option, and the
    reader's errors.
    """
    chosen = format or recognise(path)
    read = known(chosen).read
    given = {name: value for name, value in options.items() if value is not None}
    legal = [name for name in inspect.signature(read).parameters][1:]
    if unknown := [name for name in given if name not in legal]:
        raise UserError(
            f"{path}: the format {chosen} has no option {unknown[0]!r}; it has {', '.join(legal) or 'none'}"
        )
    return read(Path(path), **given)


def write_annotations(dataset: ActionDataset, path: str | Path, format: str | None = None) -> tuple[str, ...]:
    """Write the dataset; returns notes of what the format cannot hold. Without `format`: the one whose file is there
    already, else own JSON.
    """
    chosen = format or (recognise(path) if os.path.exists(path) else "own")
    write = known(chosen).write
    if write is None:
        writable = ", ".join(name for name, row in FORMATS.items() if row.write)
        raise UserError(f"the format {chosen} is only read; formats that can be written: {writable}")
    return tuple(write(dataset, Path(path)) or ())


def known(format: str) -> Format:
    """The row of `FORMATS`. UserError for an unknown name."""
    if format not in FORMATS:
        raise UserError(f"the format is {format!r}; legal values are {', '.join(FORMATS)}")
    return FORMATS[format]


def recognise(path: str | Path) -> str:
    """The name of the format that the content of a file or folder shows. AnnotationError where it shows none."""
    if not os.path.exists(path):
        raise AnnotationError(f"{path}: there is no such file or folder")
    glimpse = Glimpse(Path(path))
    for name, row in FORMATS.items():
        if row.recognise(glimpse):
            return name
    raise AnnotationError(
        f"{path}: the format cannot be told from the content. Name it; legal values are {', '.join(FORMATS)}"
    )
