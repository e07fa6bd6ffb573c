"""Labels that cannot be learned."""

import numpy as np
import pytest

from detect.data.label_checks import only_class, same_clip, twice_labelled
from detect.data.records import ActionDataset, Tube, VideoRecord, meeting
from detect.video.writer import save_video

BOX = (8.0, 8.0, 40.0, 40.0)


def tube(label, frames=(3, 4, 5), box=BOX):
    return Tube(label, np.array(frames), np.tile(np.float32(box), (len(frames), 1)))


def video(name, *tubes, path=""):
    return VideoRecord(name, str(path), 12, 48, 64, tubes)


def dataset(*videos, classes=("a", "b", "c")):
    return ActionDataset("own", classes, videos, "hash")


def test_one_label_for_everything():
    assert only_class(dataset(video("v", tube(1)), video("w", tube(1), tube(1)))) == 1
    assert only_class(dataset(video("v", tube(1)), video("w", tube(0)))) is None
    assert only_class(dataset(video("v", tube(0)), classes=("a",))) is None  # there is no other class
    assert only_class(dataset(video("v"))) is None


def test_an_actor_with_two_labels():
    near = (9.0, 8.0, 40.0, 40.0)  # IoU 31 / 32
    found = twice_labelled(dataset(video("v", tube(0), tube(2, (5, 6), near), tube(0))))
    assert [clash.labels for clash in found] == [(0, 2), (2, 0)] and found[0].first == "v frame 5"
    assert twice_labelled(dataset(video("v", tube(0), tube(0)))) == []  # the same one
    assert twice_labelled(dataset(video("v", tube(0), tube(1, (6, 7))))) == []  # one after the other
    assert twice_labelled(dataset(video("v", tube(0), tube(1, box=(20.0, 8.0, 60.0, 40.0))))) == []  # beside it


@pytest.fixture
def films(tmp_path):
    """Paths of a film, its copy, another one, and one that shows the first one backwards."""
    rng = np.random.default_rng(0)
    first, other = rng.integers(0, 256, (2, 12, 6, 8, 3), np.uint8).repeat(8, 2).repeat(8, 3)
    paths = {}
    for name, frames in {"a": first, "copy": first, "other": other, "backwards": first[::-1]}.items():
        paths[name] = tmp_path / f"{name}.avi"
        save_video(paths[name], frames)
    return paths


def test_the_same_clip_with_two_labels(films):
    def found(one, label, two, other_label, keyframe=5):
        places = [
            (video("one", tube(label), path=films[one]), keyframe),
            (video("two", tube(other_label), path=films[two]), keyframe),
        ]
        return same_clip(places, 8)

    (clash,) = found("a", 0, "copy", 1)
    assert clash == ("one frame 5", "two frame 5", (0, 1))
    assert found("a", 1, "copy", 1) == [] and found("a", 0, "other", 1) == []
    assert found("a", 0, "backwards", 1) == []  # another action, though of the same pictures
    assert found("a", 0, "copy", 1, keyframe=9) == []  # no box there


def test_what_cannot_be_read_is_left_to_others(films):
    places = [(video("one", tube(0), path=films["a"]), 5), (video("two", tube(1), path="/gone.avi"), 5)]
    assert same_clip(places, 8) == []


def test_pairs_that_meet_are_all_pairs_in_one_stretch_of_time():
    tubes = [tube(0, frames) for frames in ((3, 9), (0, 2), (4, 5), (9, 11), ())]
    assert list(meeting(tubes)) == [(0, 2), (0, 3)]


def test_many_tubes_one_after_the_other_take_little_time():
    many = [tube(n % 3, (n,)) for n in range(20_000)]  # two hundred million pairs
    assert twice_labelled(dataset(video("v", *many))) == []
