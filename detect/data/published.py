"""How many videos, frames, boxes and tubes the sets have, counted in the files that their authors published.

UCF101-24: pyannot.pkl with testlist01.txt, and its other keys for training (of 2290 names in the train list that goes
round, six have no annotation). JHMDB: JHMDB-GT.pkl, which has one tube over all frames of every clip. UCF-101 and
HMDB-51: the official split lists. Kinetics-400: the validation list; Mini-Kinetics-200: its authors' lists of ids.
"""

from typing import NamedTuple


class Counts(NamedTuple):
    """Of one set; None where nobody says. `annotated`: frames with a box."""

    videos: int | None = None
    frames: int | None = None
    annotated: int | None = None
    boxes: int | None = None
    tubes: int | None = None
    classes: int | None = None


def _clips(videos: int, frames: int) -> Counts:
    """JHMDB: a box on every frame, a tube a clip."""
    return Counts(videos, frames, frames, frames, videos, 21)


PUBLISHED = {
    "ucf24_train": Counts(2284, 395_868, 340_336, 403_282, 3143, 24),
    "ucf24_test": Counts(910, 159_289, 138_527, 170_580, 1315, 24),
    "jhmdb_split1_train": _clips(660, 22_713),  # of 31852 frames the others
    "jhmdb_split1_test": _clips(268, 9139),
    "jhmdb_split2_train": _clips(658, 22_895),
    "jhmdb_split2_test": _clips(270, 8957),
    "jhmdb_split3_train": _clips(663, 22_807),
    "jhmdb_split3_test": _clips(265, 9045),
    "synthetic_train": Counts(320, 10_240, classes=6),
    "synthetic_test": Counts(48, 1536, classes=6),
    "ucf101_split1_train": Counts(9537, classes=101),
    "ucf101_split1_test": Counts(3783, classes=101),
    "ucf101_split2_train": Counts(9586, classes=101),
    "ucf101_split2_test": Counts(3734, classes=101),
    "ucf101_split3_train": Counts(9624, classes=101),
    "ucf101_split3_test": Counts(3696, classes=101),
    **{f"hmdb51_split{k}_train": Counts(3570, classes=51) for k in (1, 2, 3)},
    **{f"hmdb51_split{k}_test": Counts(1530, classes=51) for k in (1, 2, 3)},
    "kinetics400_val": Counts(19_906, classes=400),
    "mini_kinetics200_train": Counts(80_000, classes=200),
    "mini_kinetics200_val": Counts(5000, classes=200),
}
