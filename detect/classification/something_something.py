"""Something-something v1 and v2 (Goyal et al., ICCV 2017).

    ssv1/something-something-v1-{labels,train,validation}.csv     lines `label`; `id;label`
    ssv1/20bn-something-something-v1/<id>/00001.jpg ...
    ssv2/something-something-v2-{labels,train,validation}.json    {label: "index"}; [{id, template, ...}]
    ssv2/20bn-something-something-v2/<id>.webm

Index trap: public v1 models differ in the order of the classes. mmaction2 keeps the order of the labels file, as here
`ssv1_train`; TSM and TRN sort the labels, as here `ssv1_sorted_train`. Version 2 numbers its labels itself.
"""

import json
from pathlib import Path

from detect.classification.annotations import Listing, read_rows, read_text
from detect.classification.labels import read_label_map
from detect.classification.locate import finder, make_set, under
from detect.classification.records import VideoSet
from detect.data.checks import AnnotationError
from detect.data.media import require
from detect.utils.errors import UserError

HOW_TO_GET = (
    "Set the environment variable DETECT_DATASETS to the folder that holds ssv1/ and ssv2/; the data are given out by "
    "their owner after registration"
)
FILE_WORDS = {"train": "train", "val": "validation", "labels": "labels"}


def load_ssv1(root: Path, subset: str, *, name: str, modality: str = "rgb", label_order: str = "file") -> VideoSet:
    """The "train" or "val" videos of `root`/ssv1. `label_order`: "file" or "sorted", see above.

    Raises MissingDataError, AnnotationError.
    """
    if label_order not in ("file", "sorted"):
        raise UserError(f"label_order is {label_order!r}; legal values are 'file' and 'sorted'")
    folder = root / "ssv1"
    labels_file, path = (_annotation(folder, f"v1-{FILE_WORDS[file]}.csv", name) for file in ("labels", subset))
    classes = read_label_map(labels_file)
    listing = Listing(classes if label_order == "file" else sorted(classes))
    for line, row in read_rows(path, ";"):
        if len(row) != 2 or not all(row):
            raise AnnotationError(
                f"{path} line {line}: {len(row)} columns, expected 'id;label', found {';'.join(row)!r}"
            )
        listing.add(*row, f"{path} line {line}")
    return _build(folder, "20bn-something-something-v1", listing, [labels_file, path], name, modality)


def load_ssv2(root: Path, subset: str, *, name: str, modality: str = "rgb") -> VideoSet:
    """The "train" or "val" videos of `root`/ssv2; the label of a video is its template without the brackets.

    Raises MissingDataError, AnnotationError.
    """
    folder = root / "ssv2"
    labels_file, path = (_annotation(folder, f"v2-{FILE_WORDS[file]}.json", name) for file in ("labels", subset))
    listing = Listing(read_label_map(labels_file))
    for number, entry in enumerate(_entries(path), 1):
        try:
            video, label = str(entry["id"]), entry["template"].replace("[", "").replace("]", "")
        except (TypeError, KeyError, AttributeError):
            raise AnnotationError(
                f'{path} entry {number}: expected {{"id": "1", "template": "Moving [something]", ...}}, found {entry!r}'
            ) from None
        listing.add(video, label, f"{path} entry {number}")
    return _build(folder, "20bn-something-something-v2", listing, [labels_file, path], name, modality)


def _annotation(folder: Path, ending: str, name: str) -> Path:
    candidates = [folder / place / f"something-something-{ending}" for place in (".", "annotations", "labels")]
    return require(candidates, f"{name}: the annotation", HOW_TO_GET)


def _entries(path: Path) -> list:
    try:
        content = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise AnnotationError(f"{path} line {error.lineno}: not JSON ({error.msg})") from error
    except (ValueError, RecursionError) as error:
        raise AnnotationError(f"{path}: not a list of videos as JSON ({error})") from error
    if not isinstance(content, list) or not content:
        raise AnnotationError(f"{path}: expected a list of videos, found {type(content).__name__} without any")
    return content


def _build(folder: Path, official: str, listing: Listing, files: list[Path], name: str, modality: str) -> VideoSet:
    places = (official, "videos", "rawframes", "frames") if modality == "rgb" else ("flow",)
    find = finder([folder / place for place in places], (), modality)
    return make_set(name, listing, find, modality=modality, files=files, looked=under([folder], places))
