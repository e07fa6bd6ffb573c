"""Training videos held back, so that a checkpoint can be chosen without the test list; and folds, to test on each in
turn where there is no test list."""

import re
from collections import defaultdict
from collections.abc import Callable

from detect.data.records import ActionDataset, VideoRecord
from detect.utils.errors import UserError

EVERY = 5  # of the groups of a class, one in so many is held back


def hold_out(dataset: ActionDataset, name: str, part: str) -> ActionDataset:
    """Of a training set the videos to "fit" a model to, or those "held" back: every fifth group of each class.

    The videos of a group were cut from one recording (`group_of`), so none of them is on both sides. UserError where
    the videos of no class are of two groups.
    """
    groups: dict[str, list[str]] = defaultdict(list)  # class -> its groups, in order of their names
    for video in sorted(dataset.videos, key=lambda video: video.name):
        if group_of(video) not in groups[class_of(video)]:
            groups[class_of(video)].append(group_of(video))
    held = {(label, group) for label, found in groups.items() for group in found[EVERY // 2 :: EVERY] if len(found) > 1}
    if not held:
        raise UserError(f"{name}: nothing can be held back: no class of {dataset.name} has videos of two recordings")
    return _part(dataset, name, part, lambda video: (class_of(video), group_of(video)) in held)


def fold_of(dataset: ActionDataset, name: str, part: str, fold: int, count: int) -> ActionDataset:
    """Of fold number `fold`, from 1, of `count` the videos "held" back to test on, or the others, to "fit" a model to.

    Every `count`-th group (`group_of`), in order of their names, is in one fold. UserError for less than two folds,
    more folds than groups, and a fold that there is not.
    """
    groups = sorted({group_of(video) for video in dataset.videos})
    if not 1 <= fold <= count or not 2 <= count <= len(groups):
        raise UserError(
            f"{name}: fold {fold} of {count}; it has {len(groups)} groups of videos, which make 2 to "
            f"{len(groups)} folds, counted from 1"
        )
    held = set(groups[fold - 1 :: count])
    return _part(dataset, name, part, lambda video: group_of(video) in held)


def _part(dataset: ActionDataset, name: str, part: str, is_held: Callable[[VideoRecord], bool]) -> ActionDataset:
    videos = tuple(video for video in dataset.videos if is_held(video) == (part == "held"))
    return ActionDataset(name, dataset.classes, videos, dataset.annotation_hash, dataset.notes)


def class_of(video: VideoRecord) -> str:
    """The class's folder, or the class of its first tube."""
    folder, _, _ = video.name.rpartition("/")
    return folder or str(min((tube.label for tube in video.tubes), default=-1))


def group_of(video: VideoRecord) -> str:
    """The video's group. Where it says none, the recording: g07 of UCF-101's v_Fencing_g07_c02, a JHMDB clip's name up
    to its properties (catch_f_cm_np1_...); else a video is a recording of its own.
    """
    if video.group:
        return video.group
    name = video.name.rpartition("/")[2]
    match = re.search(r"_(g\d+)_c\d+", name) or re.match(r"(.+)_[a-z]_[cn]m_np\d", name)
    return match[1] if match else name
