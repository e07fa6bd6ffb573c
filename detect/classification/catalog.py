"""Classification sets by name, below the datasets' folder (DETECT_DATASETS, DATASETS.ROOT, by default ./datasets).

    names                              annotation, and videos or folders of frames
    kinetics400_{train,val,test}       kinetics400/{train,val,test}.csv
                                       kinetics400/videos_{train,val,test}/
    mini_kinetics200_{train,val}       mini_kinetics200/{train,val}_k200.csv[.gz],
                                       or {train,val}_ytid_list.txt there with kinetics400/{train,val}.csv
                                       mini_kinetics200/videos_{train,val}/, kinetics400/videos_{train,val}/
    ssv1_{train,val}                   ssv1/something-something-v1-{labels,train,validation}.csv
    ssv1_sorted_{train,val}            ssv1/20bn-something-something-v1/
    ssv2_{train,val}                   ssv2/something-something-v2-{labels,train,validation}.json
                                       ssv2/20bn-something-something-v2/
    ucf101_split{1,2,3}_{train,test}   ucf101/ucfTrainTestlist/{classInd,trainlist01,testlist01,...}.txt
                                       ucf101/UCF-101/
    hmdb51_split{1,2,3}_{train,test}   hmdb51/testTrainMulti_7030_splits/<class>_test_split{1,2,3}.txt
                                       hmdb51/<class>/, hmdb51/videos/<class>/
    synthetic_cls_{train,test}         synthetic_cls/, drawn on first use
    list:PATH                          the text file PATH with lines `path label`
    json:FILE                          a detection set of one's own, see `own_set`, and the parts that it has there

Each reader's module names the other places and spellings that it takes, and an annotation that is not there gives an
error with all that were tried. Optical flow (modality "flow") is a folder of images per video,
`<set>/flow/<Class>/<video>/` or `<set>/flow/<video>/`, for Kinetics also `flow_{train,...}/`.
"""

import difflib
from collections.abc import Callable
from functools import partial
from itertools import product
from pathlib import Path

from detect.classification.hmdb51 import load_hmdb51
from detect.classification.kinetics import load_kinetics400, load_mini_kinetics200
from detect.classification.list_file import load_list
from detect.classification.own_set import load_own
from detect.classification.records import VideoSet
from detect.classification.something_something import load_ssv1, load_ssv2
from detect.classification.synthetic import load_synthetic_videos
from detect.classification.ucf101 import load_ucf101
from detect.data.catalog import OWN, datasets_root, is_own
from detect.utils.errors import UserError

MODALITIES = ("rgb", "flow")
LIST = "list:"
_TRAIN_VAL = {"subset": ("train", "val")}
_SPLITS = {"split": (1, 2, 3), "subset": ("train", "test")}
_TABLE = (  # name, what its fields may be, reader that takes them
    ("kinetics400_{subset}", {"subset": ("train", "val", "test")}, load_kinetics400),
    ("mini_kinetics200_{subset}", _TRAIN_VAL, load_mini_kinetics200),
    ("ssv1_{subset}", _TRAIN_VAL, load_ssv1),
    ("ssv1_sorted_{subset}", _TRAIN_VAL, partial(load_ssv1, label_order="sorted")),
    ("ssv2_{subset}", _TRAIN_VAL, load_ssv2),
    ("ucf101_split{split}_{subset}", _SPLITS, load_ucf101),
    ("hmdb51_split{split}_{subset}", _SPLITS, load_hmdb51),
    ("synthetic_cls_{subset}", {"subset": ("train", "test")}, load_synthetic_videos),
)


def _readers() -> dict[str, Callable[..., VideoSet]]:
    readers = {}
    for pattern, fields, reader in _TABLE:
        for values in product(*fields.values()):
            chosen = dict(zip(fields, values, strict=True))
            readers[pattern.format(**chosen)] = partial(reader, **chosen)
    return readers


_READERS = _readers()


def video_set_names() -> tuple[str, ...]:
    """The names of the sets that have one; "list:PATH" and "json:FILE" name one's own."""
    return tuple(_READERS)


def load_video_set(name: str, root: str | Path | None = None, modality: str = "rgb") -> VideoSet:
    """The set of that name below `root`, by default the datasets' folder, where json:FILE is always looked for. Nothing
    of a video is read, but for what a json:FILE does not say of it.

    Listed videos that are not there are `missing`, and `items` can be empty. Raises UserError for an unknown name,
    MissingDataError for a missing annotation with the places tried, AnnotationError for one that contradicts itself.
    """
    if modality not in MODALITIES:
        raise UserError(f"modality is {modality!r}; legal values are {' and '.join(map(repr, MODALITIES))}")
    root = datasets_root() if root is None else Path(root)
    if name.startswith(LIST):
        return load_list(root, name.removeprefix(LIST), name=name, modality=modality)
    if is_own(name):
        return load_own(name, modality=modality)
    if name not in _READERS:
        close = difflib.get_close_matches(name, _READERS, n=3)
        hint = f"did you mean {' or '.join(close)}? " if close else ""
        legal = ", ".join([*_patterns(), f"{LIST}PATH", f"{OWN}FILE"])
        raise UserError(f"there is no classification set {name!r}; {hint}names are {legal}")
    return _READERS[name](root, name=name, modality=modality)


def _patterns() -> list[str]:
    """The names as "ucf101_split{1,2,3}_{train,test}"."""
    return [
        pattern.format(**{key: "{" + ",".join(map(str, values)) + "}" for key, values in fields.items()})
        for pattern, fields, _ in _TABLE
    ]
