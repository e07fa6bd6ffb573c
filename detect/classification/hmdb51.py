"""HMDB-51 (Kuehne et al., ICCV 2011).

    hmdb51/testTrainMulti_7030_splits/<class>_test_split{1,2,3}.txt   `video.avi 1`: 1 train, 2 test, 0 in neither
    hmdb51/<class>/<video>.avi   or   hmdb51/videos/<class>/<video>.avi

Classes are the names before `_test_split` in order; sorting the files instead would put climb_stairs before climb.
"""

from pathlib import Path

from detect.classification.annotations import Listing, read_lines
from detect.classification.locate import finder, make_set, stem_of, under
from detect.classification.records import VideoSet
from detect.data.checks import AnnotationError, Notes
from detect.data.media import require

HOW_TO_GET = (
    "Set the environment variable DETECT_DATASETS to the folder that holds hmdb51/. Videos and test_train_splits: "
    "https://serre-lab.clps.brown.edu/resource/hmdb-a-large-human-motion-database/"
)
LISTS = "*_test_split[123].txt"
SUBSETS = {"0": None, "1": "train", "2": "test"}
NUM_CLASSES = 51
PLACES = {"rgb": ("videos", "rawframes", "."), "flow": ("flow",)}


def load_hmdb51(root: Path, subset: str, split: int, *, name: str, modality: str = "rgb") -> VideoSet:
    """The "train" or "test" videos of split 1, 2 or 3 of `root`/hmdb51. A video's name is `class/video`, no suffix.

    A class needs its file for this split. Raises MissingDataError, AnnotationError.
    """
    folder, notes = root / "hmdb51", Notes()
    lists = _lists_folder(folder, split, name)
    classes = sorted({file.name.split("_test_split")[0] for file in lists.glob(LISTS)})
    if len(classes) != NUM_CLASSES:
        notes.add(f"set of split files is of {len(classes)} classes, HMDB-51 has {NUM_CLASSES}", ", ".join(classes))
    files = [lists / f"{label}_test_split{split}.txt" for label in classes]
    listing = Listing(classes)
    for label, path in zip(classes, files, strict=True):
        for line, video in _videos_in(require([path], f"{name}: a split file", HOW_TO_GET), subset):
            listing.add(f"{label}/{stem_of(video)}", label, f"{path} line {line}")
    places = PLACES[modality]
    find = finder([folder / place for place in places], classes, modality)
    looked = under([folder], places)
    return make_set(name, listing, find, modality=modality, files=files, looked=looked, notes=notes)


def _lists_folder(folder: Path, split: int, name: str) -> Path:
    places = [folder / place for place in ("testTrainMulti_7030_splits", "splits", "annotations", ".")]
    for place in places:
        if any(place.glob(LISTS)):
            return place
    candidates = [place / f"<class>_test_split{split}.txt" for place in places]
    return require(candidates, f"{name}: the annotation", HOW_TO_GET)


def _videos_in(path: Path, subset: str) -> list[tuple[int, str]]:
    videos, seen = [], set()
    for line, text in read_lines(path):
        video, *code = text.rsplit(maxsplit=1)
        if not code or code[0] not in SUBSETS:
            legal = "'video.avi 1' (train), 2 (test) or 0 (in neither)"
            raise AnnotationError(f"{path} line {line}: expected {legal}, found {text!r}")
        if video in seen:
            raise AnnotationError(f"{path} line {line}: {video} is listed already; list a video once")
        seen.add(video)
        if SUBSETS[code[0]] == subset:
            videos.append((line, video))
    return videos
