"""Bad files of one's own format: what is said of them."""

import copy
import json
import math

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings
from own_set import content, write_own

from detect.data.checks import AnnotationError
from detect.data.own_json import problems_of, read_own_json
from detect.utils.files import UnusableFileError


def change(section, index, **entries):
    written = copy.deepcopy(content())
    for key, value in entries.items():
        if value is None:
            del written[section][index][key]
        else:
            written[section][index][key] = value
    return written


A, TUBE = "video 'videos/a.avi': ", "video 'videos/a.avi', annotation 7: "
BAD = [
    (change("videos", 0, width="32"), A + "its width is '32'; expected a whole number, 1 or more, or leave it out"),
    (change("videos", 0, num_frames=3), TUBE + "1 of 3 boxes are on frames beyond the end of a video of 3; 0 is"),
    (change("videos", 0, fps=-1), A + "its fps is -1; expected frames a second"),
    (change("videos", 0, id="two"), "video 'frames/b': its id 'two' occurs twice"),
    (change("videos", 0, id=1.5), A + "its id is 1.5; expected a whole number or a text"),
    (change("videos", 0, file_name=3), "videos[0]: its file_name is 3; expected the path"),
    (change("videos", 1, name="videos/a"), "video 'frames/b': its name 'videos/a' occurs twice; give"),
    (change("videos", 0, name="../a"), A + "its name is '../a'; expected a text without / at its ends"),
    (change("videos", 0, labelled_frames="some"), A + "its labelled_frames are 'some'; expected 'all', 'boxes' or"),
    (change("videos", 0, labelled_frames=[3, 1]), A + "its labelled_frames are not in increasing order, 1 co"),
    (change("videos", 0, labelled_frames=[6]), A + "labelled_frames has frame 6 of a video of 6"),
    (change("videos", 0, labeled_frames="all"), A + "unknown key 'labeled_frames'; did you mean 'labelled_frames'?"),
    (change("categories", 1, name="wave"), "category 'wave': its name occurs twice; names must differ"),
    (change("categories", 1, name=" "), "category ' ': its name is ' '; expected a text that is not empty"),
    (change("categories", 1, id=1), "category 'walk': its id 1 occurs twice"),
    (change("annotations", 0, id=8), "video 'frames/b', annotation 8: its id 8 occurs twice; ids must differ"),
    (change("annotations", 0, video_id=3), "annotation 7: unknown video_id 3; there are 1, 'two'"),
    (change("annotations", 0, video_id="1"), "annotation 7: unknown video_id '1'; there are 1, 'two'"),
    (change("annotations", 0, category_id=0), TUBE + "unknown category_id 0; there are 1, 2"),
    (change("annotations", 0, frames=[1, 1, 2]), TUBE + "its frames are not in increasing order, 1 comes after 1"),
    (change("annotations", 0, frames=[-1, 1, 2]), TUBE + "its frames contain -1, which is not a frame number (fr"),
    (change("annotations", 0, frames=[1.5, 2, 3]), TUBE + "its frames contain 1.5, which is not a frame number"),
    (change("annotations", 0, frames=[1, 2]), TUBE + "has 2 frames and 3 bboxes; give one box for each frame"),
    (change("annotations", 0, start=1), TUBE + "has both frames and start; give the list"),
    (change("annotations", 0, frames=None), TUBE + "has neither frames nor start"),
    (change("annotations", 0, bboxes=None), TUBE + "has no 'bboxes'; it must have video_id, category_id, bboxes"),
    (change("annotations", 0, bboxes=[]), TUBE + "its bboxes is []; expected a list of one or more"),
    (change("annotations", 0, bboxes=[[1, 2, 3]] * 3), TUBE + "bboxes[0] is [1, 2, 3] (3 are like that); expected 4"),
    (change("annotations", 0, bboxes=[[1, 2, 3, "4"]] * 3), TUBE + "bboxes[0] is [1, 2, 3, '4']"),
    (change("annotations", 0, bboxes=[[1, 2, math.nan, 4]] * 3), TUBE + "3 of 3 boxes are not finite"),
    (change("annotations", 0, bboxes=[[1, 2, 10**400, 4]] * 3), TUBE + "bboxes[0] is [1, 2, 10000"),
    (change("annotations", 0, bboxes=[[1, 2, 0, 4]] * 3), TUBE + "3 of 3 boxes have no area; width and height must be"),
    (change("annotations", 0, bboxes=[[40, 2, 5, 4]] * 3), TUBE + "3 of 3 boxes lie outside an image of 32 x 24"),
    (change("annotations", 0, bboxes=[[9, 9, 30, 20]] * 3),
     "bboxes: 3 of 9 stick out far to the right or below, such as [9, 9, 30, 20] in 32 x 24, and all would fit as x0"),
    (content(videos=3), "the file: videos is 3; expected a list of objects"),
    (content(videos=[3], annotations=[]), "videos[0]: is 3; expected an object with id, file_name"),
    (content(categories=[], annotations=[]), "categories: there is none; give one {id, name} for each class"),
]  # fmt: skip


@pytest.mark.parametrize("written, message", BAD, ids=[message[:70] for _, message in BAD])
def test_bad_values_are_named_with_what_is_legal(tmp_path, written, message):
    path = write_own(tmp_path, written, media=False)
    errors, _ = problems_of(path, decode=False)
    assert any(error.startswith(message) for error in errors), errors
    with pytest.raises(AnnotationError) as raised:
        read_own_json(path)
    assert str(raised.value).startswith(f"{path}: ")


@pytest.mark.parametrize("text, message", [
    ("{", "not JSON, .* at line 1 column 2, near '{'; is the file complete?"),
    ("[]", "holds a list; expected an object with categories, videos, annotations"),
    ('{"images": [], "annotations": []}', "has images and no videos, as COCO's files of images have"),
    ("[" * 100_000, "nested too deep"),
])  # fmt: skip
def test_a_file_that_is_something_else(tmp_path, text, message):
    path = tmp_path / "train.json"
    path.write_text(text)
    with pytest.raises(AnnotationError, match=message):
        read_own_json(path)
    assert len(problems_of(path)[0]) == 1
    with pytest.raises(UnusableFileError, match="absent.json"):
        read_own_json(tmp_path / "absent.json")


def test_all_problems_are_listed_and_the_first_are_in_the_message(tmp_path):
    written = content()
    written["annotations"] = [
        {"id": i, "video_id": 1, "category_id": 5, "start": 0, "bboxes": [[1, 1, 4, 4]]} for i in range(8)
    ]
    path = write_own(tmp_path, written, media=False)
    assert len(problems_of(path, decode=False)[0]) == 8
    with pytest.raises(AnnotationError) as raised:
        read_own_json(path)
    lines = str(raised.value).splitlines()
    assert lines[0] == f"{path}: 8 errors:" and lines[-2] == "  ... and 3 more"
    assert lines[-1] == f"Next: tools/check_dataset.py json:{path} lists all of them"


def test_one_mistake_does_not_hide_another_nor_make_one(tmp_path):
    written = change("videos", 0, labeled_frames="all")
    written["annotations"][0]["bboxes"][1] = [40, 2, 5, 5]
    written["annotations"][1] |= {"video_id": "too", "start": -1, "bboxes": [[1, 2]]}
    errors, warnings = problems_of(write_own(tmp_path, written))
    parts = ("did you mean 'labelled_frames'", "unknown video_id 'too'", "[[1, 2]]"[1:-1], "start is -1", "lie outside")
    assert len(errors) == len(parts) and all(part in error for part, error in zip(parts, errors, strict=True))
    assert warnings == []  # that a class has no tube is not said where one could not be read


def test_what_looks_wrong_is_a_warning_and_read(tmp_path):
    written = content()
    written["categories"].append({"id": 3, "name": "jump"})
    written["annotations"][1] = {**written["annotations"][0], "id": 8, "bboxes": [[2.5, 3, 10, 12]] * 3, "area": 120}
    written["annotations"].append({"video_id": 1, "category_id": 1, "start": 0, "bboxes": [[20, 3, 13, 9]]})
    path = write_own(tmp_path, written)
    errors, warnings = problems_of(path)
    assert errors == [] and warnings == [
        "video 'videos/a.avi', annotations[2]: 1 of 1 boxes stick out of an image of 32 x 24 and are cut off at its "
        "edge (the first on frame 0: [20, 3, 13, 9])",
        "category 'jump': no tube has this class; it cannot be learned or scored",
        "video 'videos/a.avi', annotation 8: its boxes coincide with those of annotation 7 on all 3 frames that "
        "both have",
        "video 'frames/b': has no tube; nothing is trained on it, every detection in it is wrong",
        "1 entries of annotations have the key 'area', which is not read: video 'videos/a.avi', annotation 8",
    ]
    dataset = read_own_json(path)
    assert dataset.videos[0].tubes[2].boxes.tolist() == [[20, 3, 32, 12]]
    assert dataset.notes[1].startswith("1 boxes clamped to the image: videos/a frame 0")
    one = content()
    one["annotations"] = [{"video_id": 1, "category_id": 1, "start": 3, "bboxes": [[2, 2, 9, 9]]}]
    assert any("every tube is of one frame" in line for line in problems_of(write_own(tmp_path / "one", one))[1])


def test_the_file_is_compared_with_what_decodes(tmp_path):
    written = content()
    written["videos"][0] |= {"num_frames": 9}
    written["videos"][1] |= {"width": 64, "height": 48}
    path = write_own(tmp_path, written)
    errors, warnings = problems_of(path)
    assert errors == [
        "video 'frames/b': width and height are given as 64 x 48, its frames are 32 x 24; are the boxes in pixels of "
        "the frames? Then leave both out"
    ]
    assert warnings[0] == (
        "video 'videos/a.avi': num_frames is 9, 6 frames decode; give the number that decodes, or leave it out"
    )
    written["annotations"][0] |= {"frames": [1, 2, 8]}
    (tmp_path / "train.json").write_text(json.dumps(written))
    assert "and there is a box on frame 8; is this the annotated file?" in problems_of(path)[0][0]
    (tmp_path / "videos" / "a.avi").write_bytes(b"nothing")
    assert "does not open as a video" in problems_of(path)[0][0]


plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
anything = st.recursive(plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_whatever_stands_in_a_file_ends_in_a_message(tmp_path_factory, data):
    written, folder = content(), tmp_path_factory.mktemp("own")
    for _ in range(data.draw(st.integers(1, 3))):
        section = data.draw(st.sampled_from(sorted(written)))
        entries = written[section] if isinstance(written[section], list) else []
        target = data.draw(st.sampled_from([written, *(entry for entry in entries if isinstance(entry, dict))]))
        target[data.draw(st.sampled_from([*sorted(target), "id"]) | st.text(max_size=5))] = data.draw(anything)
    path = write_own(folder, written, media=False)
    errors, _ = problems_of(path, decode=False)
    try:
        read_own_json(path)
        assert errors == []
    except AnnotationError:
        assert errors


def test_many_videos_classes_and_tubes_take_little_time(tmp_path):
    """20,000 of each; lists that were searched for each entry took minutes."""
    count, size = 20_000, {"width": 32, "height": 24, "num_frames": 30_000}
    written = {
        "categories": [{"id": n, "name": f"c{n}"} for n in range(count)],
        "videos": [{"id": n, "file_name": f"v{n}.mp4", **size} for n in range(count)],
        "annotations": [
            {"video_id": 0, "category_id": n % 2, "start": n, "bboxes": [[1, 1, 9, 9]]} for n in range(count)
        ],
    }
    errors, warnings = problems_of(write_own(tmp_path, written, media=False), decode=False)
    assert errors == [] and len(warnings) == 2 * count - 1


@pytest.mark.parametrize("labelled, fate", [
    ([], "no frame of it was looked at"), ("boxes", "no frame of it was looked at"),
    ([2], "every detection in it is wrong"), ("all", "every detection in it is wrong"),
])  # fmt: skip
def test_a_video_without_tubes_that_nobody_looked_at(tmp_path, labelled, fate):
    written = change("videos", 1, labelled_frames=labelled)
    del written["annotations"][1]
    _, warnings = problems_of(write_own(tmp_path, written))
    assert any("'frames/b': has no tube" in line and fate in line for line in warnings)


def test_frames_that_count_from_1_are_recognised(tmp_path):
    """Of 6 frames, the tubes begin on 1 or later and one ends on 6, which is the last one where 1 is the first."""
    written = change("annotations", 1, start=1)
    path = write_own(tmp_path, written)
    hint = "frames: do they count from 1? They must count from 0 (1 tubes end one too late)"
    assert problems_of(path)[0][0] == hint and len(problems_of(path)[0]) == 2
    with pytest.raises(AnnotationError, match="do they count from 1"):
        read_own_json(path)
    written["annotations"][0]["frames"] = [0, 1, 2]
    assert hint not in problems_of(write_own(tmp_path, written, media=False))[0]


def test_a_crowd_on_one_frame_takes_little_time(tmp_path):
    """4,500 tubes on a frame, each four pixels from the next, and one of them twice."""
    boxes = [[4 * (n % 75), 4 * (n // 75), 9, 9] for n in range(4500)]
    written = content(
        videos=[{"id": 1, "file_name": "v.mp4", "width": 320, "height": 300, "num_frames": 1}],
        annotations=[{"video_id": 1, "category_id": 1, "start": 0, "bboxes": [box]} for box in [*boxes, boxes[7]]],
    )
    _, warnings = problems_of(write_own(tmp_path, written, media=False), decode=False)
    (line,) = [line for line in warnings if "coincide" in line]
    assert "annotations[4500]: its boxes coincide with those of annotations[7] on all 1 frames" in line
