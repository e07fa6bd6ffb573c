"""The format of one's own videos: what is read, what is written, and what is said of bad files."""


import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from own_set import content, same, write_own

from detect.data.annotation_files import read_annotations, recognise
from detect.data.checks import AnnotationError
from detect.data.own_json import problems_of, read_own_json, write_own_json
from detect.data.records import ActionDataset, KeyframeDataset, Tube, VideoRecord


def test_a_file_is_read_as_it_says(tmp_path):
    dataset = read_own_json(write_own(tmp_path, content()))
    assert dataset.name == "train" and dataset.classes == ("wave", "walk") and dataset.notes == ()
    a, b = dataset.videos
    assert (a.name, a.path, a.num_frames, a.height, a.width) == ("videos/a", str(tmp_path / "videos/a.avi"), 6, 24, 32)
    assert a.fps == 25.0 and b.fps == 0.0 and a.labelled is None and b.name == "frames/b"
    (tube,) = a.tubes
    assert tube.label == 1 and tube.frames.tolist() == [1, 2, 3] and tube.boxes.tolist() == [[2, 3, 12, 15]] * 3
    assert b.tubes[0].frames.tolist() == [0, 1, 2, 3, 4, 5]
    samples = KeyframeDataset(dataset, "annotated")
    assert len(samples) == 9
    assert samples[0]["annotations"] == [{"bbox": [2, 3, 12, 15], "bbox_mode": 0, "category_id": 1}]
    assert problems_of(tmp_path / "train.json") == ([], []) and recognise(tmp_path / "train.json") == "own"


def test_what_the_file_does_not_say_is_taken_from_the_videos(tmp_path):
    written = content()
    written["videos"] = [{"id": v["id"], "file_name": v["file_name"]} for v in written["videos"]]
    dataset = read_own_json(write_own(tmp_path, written))
    assert [(v.num_frames, v.height, v.width) for v in dataset.videos] == [(6, 24, 32)] * 2
    assert [v.fps for v in dataset.videos] == [16.0, 0.0]  # images have none
    assert dataset.notes[0].startswith("2 videos decoded for num_frames, width or height")


def test_a_video_that_is_not_there_is_noted_and_an_error_where_it_is_needed(tmp_path):
    path = write_own(tmp_path, content(), media=False)
    assert read_own_json(path).notes[0].startswith("2 videos without media")
    errors, _ = problems_of(path)
    assert len(errors) == 2 and "there is no " in errors[0] and "a.avi" in errors[0]
    errors, warnings = problems_of(path, decode=False)
    assert errors == [] and "2 videos without media" in warnings[-1]
    written = content()
    del written["videos"][1]["num_frames"], written["videos"][1]["width"]
    with pytest.raises(AnnotationError, match=r"train.json: video 'frames/b': there is no .*, and its num_frames, w"):
        read_own_json(write_own(tmp_path, written, media=False))


def test_which_frames_count(tmp_path):
    def labelled(**tube):
        written = content()
        written["annotations"][0] = {"video_id": 1, "category_id": 2, "bboxes": [[2, 3, 9, 9]] * 2, **tube}
        return written, lambda: read_own_json(write_own(tmp_path, written, media=False))

    written, read = labelled(frames=[1, 2])
    assert [v.labelled for v in read().videos] == [None, None]
    written, read = labelled(frames=[1, 4])  # a gap: annotators looked at some frames only, of all videos of the file
    assert [v.labelled.tolist() for v in read().videos] == [[1, 4], [0, 1, 2, 3, 4, 5]]
    assert any("1 tubes with gaps" in note and "annotations[0]" in note for note in read().notes)
    for given_, expected in (("all", None), ("boxes", [1, 4]), ([0, 1, 4], [0, 1, 4])):
        written["videos"][0]["labelled_frames"] = given_
        found = read().videos[0].labelled
        assert (found if expected is None else found.tolist()) == expected


def test_names_of_videos(tmp_path):
    written = content()
    files = ["a.mp4", "a.avi", "/data/x/b.mp4", "../c.v2", "d.mp4"]
    size = {"width": 32, "height": 24, "num_frames": 6}
    written["videos"] = [{"id": i, "file_name": f, **size} for i, f in enumerate(files)]
    written["videos"][4]["name"] = "the door"
    written["annotations"] = []
    dataset = read_own_json(write_own(tmp_path, written, media=False))
    assert [v.name for v in dataset.videos] == ["a.mp4", "a.avi", "data/x/b", "c.v2", "the door"]
    assert dataset.videos[2].path == "/data/x/b.mp4"  # an absolute path stays


def test_float32_sides_at_the_edge_are_not_cut(tmp_path):
    written = content()
    written["annotations"][0]["bboxes"] = [[0.1, 0.1, 31.9, 23.9]] * 3  # 0.1 + 31.9 is 32.000000000000004 in float64
    dataset = read_own_json(write_own(tmp_path, written, media=False))
    assert dataset.videos[0].tubes[0].boxes[0].tolist() == [np.float32(0.1), np.float32(0.1), 32, 24]
    assert not any("clamped" in note for note in dataset.notes)


coordinate = st.floats(0, 1, width=32)


@st.composite
def datasets(draw, root="/data"):
    classes = draw(st.lists(st.text(min_size=1).filter(str.strip), min_size=1, max_size=4, unique=True))
    names = draw(st.lists(st.from_regex(r"[a-zé_ 0-9]{1,6}x(/[A-Z]{2})?", fullmatch=True), max_size=3, unique=True))
    videos = []
    for name in names:
        height, width = draw(st.integers(1, 2000)), draw(st.integers(1, 2000))
        count = draw(st.integers(1, 40))
        tubes = []
        for _ in range(draw(st.integers(0, 3))):
            frames = sorted(draw(st.sets(st.integers(0, count - 1), min_size=1, max_size=5)))
            corners = np.array([draw(st.tuples(*[coordinate] * 4)) for _ in frames], np.float32)
            boxes = np.sort(corners.reshape(-1, 2, 2), axis=1).reshape(-1, 4) * np.float32([width, height] * 2)
            keep = (boxes[:, 2:] > boxes[:, :2]).all(1)
            if keep.any():
                label = draw(st.integers(0, len(classes) - 1))
                tubes.append(Tube(label, np.array(frames, np.int64)[keep], boxes[keep]))
        some = st.sets(st.integers(0, count - 1)).map(lambda s: np.array(sorted(s), np.int64))
        labelled = draw(st.none() | some)
        path = draw(st.sampled_from(["/elsewhere", root, f"{root}/videos"])) + f"/{name}.mp4"
        flow = draw(st.sampled_from([f"{root}/flow/{name}", f"{root}/brox/{name}", "/f"]))
        fps = draw(st.floats(0, 240))
        videos.append(VideoRecord(name, path, count, height, width, tuple(tubes), flow, fps, labelled))
    return ActionDataset("any", tuple(classes), tuple(videos), "")


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_writing_and_reading_is_the_identity(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("own")
    dataset = data.draw(datasets(str(folder)))
    write_own_json(dataset, folder / "train.json")
    found = read_own_json(folder / "train.json")
    assert same(found, dataset)
    assert not [note for note in found.notes if "without media" not in note]


def test_the_real_annotation_of_ucf101_24_survives(real_data, tmp_path):
    dataset = read_annotations(real_data / "ucf101_24" / "pyannot.pkl")
    part = ActionDataset("part", dataset.classes, dataset.videos[:300], "")
    write_own_json(part, tmp_path / "ucf.json")
    found = read_own_json(tmp_path / "ucf.json")
    for a, b in zip(part.videos, found.videos, strict=True):
        assert (a.name, a.num_frames) == (b.name, b.num_frames)
        for x, y in zip(a.tubes, b.tubes, strict=True):
            assert x.label == y.label and np.array_equal(x.frames, y.frames) and np.array_equal(x.boxes, y.boxes)


def test_groups_of_videos(tmp_path):
    written = content()
    for number, video in enumerate(written["videos"]):
        video["group"] = f"day {number}"
    dataset = read_own_json(write_own(tmp_path, written, media=False))
    assert [video.group for video in dataset.videos] == ["day 0", "day 1"]
    write_own_json(dataset, tmp_path / "again.json")
    assert [video.group for video in read_own_json(tmp_path / "again.json").videos] == ["day 0", "day 1"]
    written["videos"][0]["group"] = 3
    with pytest.raises(AnnotationError, match="its group is 3; expected a text"):
        read_own_json(write_own(tmp_path, written, media=False))
