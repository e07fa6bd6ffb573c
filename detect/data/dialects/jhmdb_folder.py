"""The official folders of JHMDB, `splits` and `puppet_mask`, as one annotation; see `detect.data.jhmdb`."""

from pathlib import Path

from detect.data.dialects.glimpse import Glimpse
from detect.data.jhmdb import check_split, load_masks
from detect.data.records import ActionDataset


def is_jhmdb_folder(glimpse: Glimpse) -> bool:
    return glimpse.is_folder and all((glimpse.path / name).is_dir() for name in ("puppet_mask", "splits"))


def read_jhmdb_folder(
    path: Path, *, subset: str | None = None, split: int = 1, media_root: str | Path | None = None
) -> ActionDataset:
    """All videos of a split, or its "train" or "test" ones, from the masks. Their lengths are those of the masks unless
    the videos are found below `media_root`.

    Raises MissingDataError for a missing file, AnnotationError for one that contradicts itself.
    """
    path = Path(path)
    check_split(split, subset)
    root = None if media_root is None else Path(media_root)
    return load_masks(path, split, subset, root, path.name)
