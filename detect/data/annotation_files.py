"""Ground truth from any known form of file, and into any: `FORMATS` is the table, a row for each form.

A reader gives an `ActionDataset`, frames from 0, boxes x0 y0 x1 y1 in pixels; a writer takes one. What other counts and
conventions there are is known to the form's own module. `detect.evaluation.files.table_annotations` has the
table with a row for tables of boxes.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from detect.data import jhmdb, ucf24
from detect.data.checks import AnnotationError, Notes, with_annotation
from detect.data.dialects.act import is_act, read_act, write_act
from detect.data.dialects.ava_csv import is_ava_csv, read_ava_csv, write_ava_csv
from detect.data.dialects.boxes_json import is_boxes_json, read_boxes_json
from detect.data.dialects.coco_json import is_coco_json, read_coco_json, write_coco_json
from detect.data.dialects.cvat import is_cvat, read_cvat
from detect.data.dialects.final_annots import is_final_annots, read_final_annots, write_final_annots
from detect.data.dialects.gkioxari import is_gkioxari, read_gkioxari
from detect.data.dialects.jhmdb_folder import is_jhmdb_folder, read_jhmdb_folder
from detect.data.dialects.labelme import is_labelme, read_labelme
from detect.data.dialects.pyannot import is_pyannot, read_pyannot, write_pyannot
from detect.data.dialects.via import is_via, read_via
from detect.data.dialects.yowo_text import is_yowo_text, read_yowo_text, write_yowo_text
from detect.data.file_formats import Format, fitted, format_of, known, options_of
from detect.data.media import media_and_flow
from detect.data.own_json import is_own_json, read_own_json, write_own_json
from detect.data.records import ActionDataset
from detect.utils.errors import UserError
from detect.utils.files import hash_files
from detect.utils.names import repeated, safe_name

MEDIA = (
    *ucf24.MEDIA, *jhmdb.MEDIA, "trainval/{name}.mp4", "frames/{name}", "rawframes/{name}", "images/{name}",
    "{name}.mkv", "{name}.webm",
)  # fmt: skip
FORMATS: dict[str, Format] = {
    "own": Format(read_own_json, write_own_json, "own JSON, see detect/data/own_json.py", is_own_json, (".json",)),
    "pyannot": Format(read_pyannot, write_pyannot, "pyannot.pkl of UCF101-24 (Singh et al.)", is_pyannot),
    "final_annots": Format(
        read_final_annots, write_final_annots, "finalAnnots.mat of UCF101-24 (Singh et al.)", is_final_annots, (".mat",)
    ),
    "act": Format(read_act, write_act, "*-GT.pkl of ACT, MOC and MultiSports", is_act, ("-GT.pkl", "_GT.pkl")),
    "jhmdb": Format(read_jhmdb_folder, None, "JHMDB's folders puppet_mask and splits", is_jhmdb_folder),
    "gkioxari": Format(read_gkioxari, None, "jhmdb_annot.mat of Gkioxari & Malik", is_gkioxari),
    "yowo": Format(read_yowo_text, write_yowo_text, "text files of YOWO: a folder, tar or zip", is_yowo_text),
    "ava": Format(read_ava_csv, write_ava_csv, "CSV of AVA, and of MultiSports in MMAction2", is_ava_csv),
    "coco": Format(read_coco_json, write_coco_json, "COCO-style JSON of images, COCO-VID", is_coco_json),
    "cvat": Format(read_cvat, None, "CVAT XML 1.1, for video or for images; a file or a folder of them", is_cvat),
    "via": Format(read_via, None, "CSV of the VGG Image Annotator 2", is_via),
    "boxes_json": Format(
        read_boxes_json, None, "boxes.json of clips of one action each, or a folder that has some", is_boxes_json
    ),
    "labelme": Format(read_labelme, None, "LabelMe's JSON files, a folder of them", is_labelme),
}


def read_annotations(
    path: str | Path,
    format: str | None = None,
    videos: str | Path | None = None,
    *,
    formats: Mapping[str, Format] = FORMATS,
    **options: Any,
) -> ActionDataset:
    """The ground truth in a file or folder of the named format, or of the one of `formats` that its content shows.

    `videos`: a file with the names of those that are wanted, one a line. `options` go to the reader; those that are
    None are left out, and text becomes a number where the reader wants one. Of a format without them, `subset` and
    `split` mean the list beside the file, such as testlist01.txt, and `media_root` the folder that has the videos in
    one of the places of `MEDIA`. Names of videos are made safe, see `safe_name`. UserError for an unknown format or
    option and a value of a wrong type, and the reader's errors.
    """
    path = Path(path)
    chosen = format_of(path, format, formats)
    read = formats[chosen].read
    of_reader = options_of(read)
    by_list = {} if "subset" in of_reader or videos or options.get("subset") is None else {"subset": str, "split": int}
    legal = {"videos": str | Path, "media_root": str | Path, **by_list, **of_reader}
    given = fitted(f"{path}: the format {chosen}", options, legal)
    if by_list:
        videos = _list_beside(path, given.pop("subset"), given.pop("split", 1))
    media_root = None if "media_root" in of_reader else given.pop("media_root", None)
    try:
        dataset = _with_safe_names(read(path, **given))
    except AnnotationError as error:  # a reader need not name the file
        raise error if str(path) in str(error) else AnnotationError(f"{path}: {error}") from None
    dataset = dataset if videos is None else only(dataset, Path(videos))
    return dataset if media_root is None else _with_media(dataset, Path(media_root))


def _with_safe_names(dataset: ActionDataset) -> ActionDataset:
    """AnnotationError for classes that own JSON could not hold: without a name, or two of one name."""
    if any(not name.strip() for name in dataset.classes):
        raise AnnotationError(f"the class {[name.strip() for name in dataset.classes].index('')} has no name")
    if (name := repeated(dataset.classes)) is not None:
        raise AnnotationError(f"the class {name!r} occurs twice")
    notes = Notes()
    videos = []
    for video in dataset.videos:
        name = safe_name(video.name)
        if name != video.name:
            notes.add("video names changed, to be names of files below a folder", f"{video.name!r} to {name!r}")
        path = name if video.path == video.name else video.path
        videos.append(video if name == video.name else replace(video, name=name, path=path))
    return replace(dataset, videos=tuple(videos), notes=(*dataset.notes, *notes.lines()))


def _list_beside(path: Path, subset: str, split: int) -> Path:
    found = (path if path.is_dir() else path.parent) / f"{subset}list{split:02d}.txt"
    if not found.exists():
        raise UserError(f"{path}: it names no subsets, and there is no {found}; give a list of the videos")
    return found


def only(dataset: ActionDataset, videos: Path) -> ActionDataset:
    """The videos that the list names, in its order; those without annotation are noted. The list is in the hash."""
    notes = Notes()
    records = {video.name: video for video in dataset.videos}
    names = with_annotation(ucf24.listed(videos, notes), records, notes)
    digest = hashlib.sha256((dataset.annotation_hash + hash_files(videos)).encode()).hexdigest()
    chosen = tuple(records[name] for name in names)
    return replace(dataset, videos=chosen, annotation_hash=digest, notes=(*dataset.notes, *notes.lines()))


def _with_media(dataset: ActionDataset, root: Path) -> ActionDataset:
    notes = Notes()
    places = media_and_flow(root, [video.name for video in dataset.videos], MEDIA, notes)
    videos = (replace(v, path=places[v.name][0], flow=places[v.name][1]) for v in dataset.videos)
    return replace(dataset, videos=tuple(videos), notes=(*dataset.notes, *notes.lines()))


def write_annotations(
    dataset: ActionDataset, path: str | Path, format: str | None = None, formats: Mapping[str, Format] = FORMATS
) -> tuple[str, ...]:
    """Write the dataset; returns notes of what the format cannot hold. Without `format` the name's end says it."""
    format = format or format_to_write(path, formats)
    write = known(format, formats).write
    if write is None:
        legal = ", ".join(_writable(formats))
        raise UserError(f"the format {format} is only read; formats that can be written: {legal}")
    return tuple(write(dataset, Path(path)) or ())


def format_to_write(path: str | Path, formats: Mapping[str, Format] = FORMATS) -> str:
    """The format that the end of a name means. UserError where it may mean several."""
    for name, row in formats.items():
        if row.write and str(path).endswith(row.suffixes):
            return name
    raise UserError(f"{path}: the name does not say the format; name one of {', '.join(_writable(formats))}")


def _writable(formats: Mapping[str, Format]) -> list[str]:
    return [name for name, row in formats.items() if row.write]


def recognise(path: str | Path, formats: Mapping[str, Format] = FORMATS) -> str:
    """The name of the format that the content of a file or folder shows. AnnotationError where it shows none."""
    return format_of(path, None, formats)
