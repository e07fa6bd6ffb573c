"""What is wrong with a copy of a set, from its annotation, its files and what decoding told."""

from dataclasses import replace

import numpy as np
import pytest

from detect.data.catalog import load_action_dataset, set_datasets_root
from detect.data.completeness import (
    Problem,
    annotation_problems,
    count_problems,
    counts_of,
    flow_problems,
    harmless_notes,
    video_problems,
)
from detect.data.published import PUBLISHED, Counts
from detect.data.records import ActionDataset, Tube, VideoRecord
from detect.video.flow import write_flow
from detect.video.media_facts import MediaFacts


def video(path, length=8):
    tube = Tube(0, np.arange(2, 5), np.tile(np.float32([1, 1, 9, 9]), (3, 1)))
    return VideoRecord(path.name, str(path), length, 24, 32, (tube, tube), str(path / "flow"))


def dataset(*videos, notes=()):
    return ActionDataset("own", ("a", "b"), videos, "hash", notes)


def lines(problems):
    return [str(problem) for problem in problems]


def test_counts(tmp_path):
    counts = counts_of(dataset(video(tmp_path / "a"), video(tmp_path / "b", 6)))
    assert counts == Counts(videos=2, frames=14, annotated=6, boxes=12, tubes=4, classes=2)
    assert lines(count_problems("own", counts, Counts(videos=3, frames=14))) == [
        "own: videos 2, expected 3, as published"
    ]


def test_videos(tmp_path):
    there, gone = video(tmp_path), video(tmp_path / "gone.avi")
    assert lines(video_problems(gone, None)) == [f"{tmp_path}/gone.avi: media missing, expected 8 frames"]
    assert lines(video_problems(there, None)) == []  # not decoded
    assert lines(video_problems(there, MediaFacts(8, 24, 32))) == []
    assert lines(video_problems(there, MediaFacts(7, 48, 64))) == [
        f"{tmp_path}: frames 7, expected 8", f"{tmp_path}: size 64 x 48, expected 32 x 24",
    ]  # fmt: skip
    (line,) = lines(video_problems(there, MediaFacts(3, 24, 32, "frame 3 does not decode")))
    assert line == f"{tmp_path}: media unreadable after 3 frames (frame 3 does not decode), expected 8 frames"


def test_flow_where_any_video_has_it(tmp_path):
    videos = [video(tmp_path / name) for name in "abcd"]
    single = replace(video(tmp_path / "e", 1), tubes=())
    assert lines(flow_problems(dataset(*videos))) == []
    for one, count in zip(videos, (7, 8, 5, 0), strict=True):
        if count:
            write_flow(one.flow, [np.zeros((8, 8, 2))] * count, {})
    assert lines(flow_problems(dataset(*videos, single))) == [
        f"{tmp_path}/c/flow: flow 5 images, expected 7 or 8 images",
        f"{tmp_path}/d/flow: flow missing, expected 7 or 8 images",
    ]
    (tmp_path / "c" / "flow" / "flow_x_00002.jpg").unlink()
    assert "flow unusable" in lines(flow_problems(dataset(*videos)))[0]


def test_notes_of_boxes_are_problems_and_others_are_not():
    notes = ("2 boxes clamped to the image: v frame 3", "1 listed videos skipped, they have no annotation: x",
             "4 videos without media (looked under ...): v", "1 boxes dropped, not finite: v")  # fmt: skip
    data = dataset(notes=notes)
    assert list(annotation_problems(data)) == [
        Problem("own", "annotation", notes[0]), Problem("own", "annotation", notes[3]),
    ]  # fmt: skip
    assert harmless_notes(data) == [notes[1]]
    assert str(Problem("own", "annotation:", notes[0])) == f"own: annotation: {notes[0]}"


def test_published_counts_add_up():
    """JHMDB: 928 clips of 31852 frames in every split. UCF101-24: pyannot.pkl has 3194 videos and 4458 tubes."""
    for split in (1, 2, 3):
        train, test = PUBLISHED[f"jhmdb_split{split}_train"], PUBLISHED[f"jhmdb_split{split}_test"]
        assert train.videos + test.videos == 928 and train.frames + test.frames == 31_852
    train, test = PUBLISHED["ucf24_train"], PUBLISHED["ucf24_test"]
    sums = [a + b for a, b in zip(train, test, strict=True)]
    assert sums[:5] == [3194, 555_157, 478_863, 573_862, 4458]
    for split in (1, 2, 3):
        assert PUBLISHED[f"ucf101_split{split}_train"].videos + PUBLISHED[f"ucf101_split{split}_test"].videos == 13_320


@pytest.mark.parametrize("name", [f"jhmdb_split{k}_{s}" for k in (1, 2, 3) for s in ("train", "test")])
def test_published_counts_of_jhmdb_are_those_of_the_real_file(name, real_data):
    set_datasets_root(real_data)
    try:
        assert counts_of(load_action_dataset(name)) == PUBLISHED[name]
    finally:
        set_datasets_root(None)
