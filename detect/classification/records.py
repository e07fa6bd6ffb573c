"""What every reader of a classification set produces: videos with a label each."""

from dataclasses import dataclass


@dataclass(frozen=True)
class VideoItem:
    name: str            # unique within the set: as the list names it
    path: str            # video file, or folder of RGB frames or of flow images; "" never
    label: int | None    # index into classes; None in a test list without labels


@dataclass(frozen=True)
class VideoSet:
    name: str
    items: tuple[VideoItem, ...]
    classes: tuple[str, ...]
    modality: str = "rgb"                  # or "flow"
    missing: tuple[str, ...] = ()          # listed, but no media found; not in items
    notes: tuple[str, ...] = ()            # what a reader changed or left out
    source_hash: str = ""                  # sha256 of the annotation files read
