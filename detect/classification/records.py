"""What every reader of a classification set produces: videos with one label each."""

from dataclasses import dataclass

from detect.utils.errors import UserError


@dataclass(frozen=True)
class VideoItem:
    """One video. `name` is unique within its set, as the list names it. `path` is a video file, or a folder of RGB
    frames or of flow images. `label` is an index into the set's classes, None in a test list without labels.
    """

    name: str
    path: str
    label: int | None


@dataclass(frozen=True)
class VideoSet:
    """The train or test videos of a dataset, in the order of its list.

    `modality` is "rgb" or "flow"; `missing` names the videos that are listed but cannot be used, for want of the
    media or of a label, and are not in `items`; `notes` say what a reader left out or took for something else;
    `annotation_hash` is the sha256 of the annotation files read.
    """

    name: str
    items: tuple[VideoItem, ...]
    classes: tuple[str, ...]
    modality: str = "rgb"
    missing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    annotation_hash: str = ""

    def __post_init__(self):
        names = set()
        for item in self.items:
            if item.name in names:
                raise UserError(f"{self.name}: the video {item.name} is there twice")
            if item.label is not None and not 0 <= item.label < len(self.classes):
                raise UserError(f"{self.name}: {item.name} has label {item.label} of {len(self.classes)} classes")
            if not item.path:
                raise UserError(f"{self.name}: {item.name} has no path; list it in `missing` instead")
            names.add(item.name)
