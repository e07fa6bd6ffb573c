"""Classification sets by name: `list:PATH`, a file of `path label` lines."""

from pathlib import Path

from detect.classification.records import VideoItem, VideoSet
from detect.data.media import hash_files


def load_video_set(name: str, root: str | Path | None = None, modality: str = "rgb") -> VideoSet:
    """The set of that name. ValueError for another name than `list:PATH`."""
    kind, _, path = name.partition(":")
    if kind != "list" or not path:
        raise ValueError(f"unknown classification set {name!r}; known: list:PATH")
    rows = [line.rsplit(maxsplit=1) for line in Path(path).read_text().splitlines() if line.strip()]
    classes = tuple(sorted({label for _, label in rows}))
    here = Path(root) if root else Path(path).parent
    found = [(name, here / name, classes.index(label)) for name, label in rows]
    items = tuple(VideoItem(name, str(file), label) for name, file, label in found if file.exists())
    missing = tuple(name for name, file, _ in found if not file.exists())
    return VideoSet(name, items, classes, modality, missing, (), hash_files([Path(path)]))
