"""UCF-101 (Soomro et al., 2012).

    ucf101/ucfTrainTestlist/classInd.txt                      `1 ApplyEyeMakeup`, numbered from 1
    ucf101/ucfTrainTestlist/{trainlist,testlist}0{1,2,3}.txt  `Class/video.avi 1`; in a test list without the number
    ucf101/UCF-101/<Class>/<video>.avi

The label is the folder of the listed path, never read from the file's name: the videos of HandstandPushups are called
v_HandStandPushups_*.
"""

from pathlib import Path

from detect.classification.annotations import Listing, read_lines
from detect.classification.locate import finder, make_set, stem_of, under
from detect.classification.records import VideoSet
from detect.data.checks import AnnotationError
from detect.data.media import require

HOW_TO_GET = (
    "Set the environment variable DETECT_DATASETS to the folder that holds ucf101/. Videos and split lists: "
    "https://www.crcv.ucf.edu/data/UCF101.php"
)
PLACES = {"rgb": ("UCF-101", "videos", "rawframes", "rgb-images", "."), "flow": ("flow",)}


def load_ucf101(root: Path, subset: str, split: int, *, name: str, modality: str = "rgb") -> VideoSet:
    """The "train" or "test" videos of split 1, 2 or 3 of `root`/ucf101. A video's name is `Class/video`, no suffix.

    Raises MissingDataError, AnnotationError.
    """
    folder = root / "ucf101"
    classes_file, path = (_annotation(folder, file, name) for file in ("classInd.txt", f"{subset}list0{split}.txt"))
    listing = Listing(_classes(classes_file))
    for line, text in read_lines(path):
        where = f"{path} line {line}"
        file, *number = text.rsplit(maxsplit=1)
        label, _, video = file.rpartition("/")
        if not label or not video:
            raise AnnotationError(f"{where}: expected 'Class/video.avi' or 'Class/video.avi 1', found {text!r}")
        key = f"{label}/{stem_of(video)}"
        listing.add(key, label, where)
        expected = listing.labels[key] + 1
        if number and number[0] != str(expected):
            raise AnnotationError(f"{where}: {label} has number {expected} in {classes_file}, found {text!r}")
    find = finder([folder / place for place in PLACES[modality]], listing.classes, modality)
    looked = under([folder], PLACES[modality])
    return make_set(name, listing, find, modality=modality, files=[classes_file, path], looked=looked)


def _annotation(folder: Path, file: str, name: str) -> Path:
    candidates = [folder / place / file for place in ("ucfTrainTestlist", "annotations", ".")]
    return require(candidates, f"{name}: the annotation", HOW_TO_GET)


def _classes(path: Path) -> tuple[str, ...]:
    classes = []
    for number, (line, text) in enumerate(read_lines(path), 1):
        match text.split():
            case [found, label] if found == str(number) and label not in classes:
                classes.append(label)
            case _:
                raise AnnotationError(f"{path} line {line}: expected '{number} ClassName', a new one, found {text!r}")
    return tuple(classes)
