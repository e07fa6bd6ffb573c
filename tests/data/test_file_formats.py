"""Options of readers, class names, and names of videos as they cross the border."""

import json
from pathlib import Path

import hypothesis.strategies as st
import pytest
from dialect_set import dataset, tube, video
from hypothesis import HealthCheck, given, settings
from tool_files import box as cvat_box
from tool_files import cvat, track

from detect.data.annotation_files import FORMATS, read_annotations, recognise, write_annotations
from detect.data.file_formats import fitted, options_of
from detect.data.own_json import read_own_json, write_own_json
from detect.utils.cli import key_values
from detect.utils.errors import UserError
from detect.utils.names import repeated, safe_name


def read_example(path: Path, *, first: int | None = None, fps: float = 1.0, sizes: str | Path | None = None):
    """A reader with an option of each type."""


@pytest.mark.parametrize(
    "given, expected",
    [
        ({"first": "1", "fps": "25", "sizes": "7"}, {"first": 1, "fps": 25.0, "sizes": "7"}),
        ({"first": 0, "fps": 25, "sizes": Path("x")}, {"first": 0, "fps": 25.0, "sizes": Path("x")}),
        ({"first": None}, {}),
    ],
)
def test_options_get_the_type_that_the_reader_wants(given, expected):
    assert fitted("x", given, options_of(read_example)) == expected


@pytest.mark.parametrize(
    "given, message",
    [
        ({"first": "1.5"}, "x: the option first is '1.5'; expected a whole number"),
        ({"first": True}, "x: the option first is True; expected a whole number"),
        ({"fps": "fast"}, "x: the option fps is 'fast'; expected a number"),
        ({"fps": 10**400}, "x: the option fps is 1000.*; expected a number"),
        ({"sizes": 7}, "x: the option sizes is 7; expected text"),
        ({"size": "7"}, "x has no option 'size'; it has first, fps, sizes"),
    ],
)
def test_options_of_a_wrong_type_are_named(given, message):
    with pytest.raises(UserError, match=message):
        fitted("x", given, options_of(read_example))


@pytest.mark.parametrize("format", FORMATS)
def test_every_option_of_every_reader_refuses_a_wrong_type(tmp_path, format):
    (tmp_path / "x").write_text("x")
    for name in options_of(FORMATS[format].read):
        with pytest.raises(UserError, match=f"x: the format {format}: the option {name} is \\[\\]; expected "):
            read_annotations(tmp_path / "x", format, **{name: []})


def test_key_values_of_a_command_line():
    assert key_values(["fps=25", "name=a=b"]) == {"fps": "25", "name": "a=b"}
    for text, message in (("fps", "expected NAME=VALUE"), ("=1", "expected NAME=VALUE"), ("format=x", "not an option")):
        with pytest.raises(UserError, match=f"the option is '{text}'; .*{message}"):
            key_values([text])


@pytest.mark.parametrize(
    "name, safe",
    [("a/b", "a/b"), ("/abs/v", "abs/v"), ("//abs//v/", "abs/v"), ("../../v", "v"), ("..", "video"), (" ", "video")],
)
def test_safe_names(name, safe):
    assert safe_name(name) == safe == safe_name(safe)


def test_repeated():
    assert repeated(["a", "b", "a", "b"]) == "a" and repeated(["a", "b"]) is None and repeated([]) is None


NAMES = st.text(st.sampled_from("/.\\ ax\n\0\ud800é\"'<"), max_size=8) | st.text(max_size=5)


def coco(path, name):
    image = {"id": 1, "video": name, "frame_index": 0, "width": 64, "height": 48}
    entry = {"image_id": 1, "category_id": 1, "bbox": [1, 2, 10, 20]}
    path.write_text(
        json.dumps({"images": [image], "annotations": [entry], "categories": [{"id": 1, "name": "wave"}]})
    )


def cvat_task(path, name):
    path.write_bytes(cvat(track(cvat_box(1))).replace("a.mp4", name).encode("utf-8", "replace"))


def act(path, name):
    write_annotations(dataset(video(name, tubes=[tube()])), path, "act")


@pytest.mark.parametrize("format, write", [("coco", coco), ("cvat", cvat_task), ("act", act)])
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(name=NAMES)
def test_whatever_a_video_is_called_own_json_of_it_can_be_read(tmp_path, format, write, name):
    write(tmp_path / "x", name)
    try:
        read = read_annotations(tmp_path / "x", format)
    except UserError:
        return
    write_own_json(read, tmp_path / "own.json")
    assert [v.name for v in read_own_json(tmp_path / "own.json").videos] == [v.name for v in read.videos]


def test_changed_names_are_noted_and_two_of_one_name_refused(tmp_path):
    act(tmp_path / "x", "/abs/v")
    read = read_annotations(tmp_path / "x", "act")
    assert [(v.name, v.path) for v in read.videos] == [("abs/v", "abs/v")]
    assert read.notes == ("1 video names changed, to be names of files below a folder: '/abs/v' to 'abs/v'",)
    write_annotations(dataset(video("/v", tubes=[tube()]), video("v", tubes=[tube()])), tmp_path / "x", "act")
    with pytest.raises(UserError, match="the video v occurs twice"):
        read_annotations(tmp_path / "x", "act")


@pytest.mark.parametrize(
    "classes, message", [(("a", "a"), "x: the class 'a' occurs twice"), (("a", " "), "x: the class 1 has no name")]
)
def test_classes_that_own_json_would_refuse(tmp_path, classes, message):
    write_annotations(dataset(video(tubes=[tube()]), classes=classes), tmp_path / "x", "act")
    with pytest.raises(UserError, match=message):
        read_annotations(tmp_path / "x", "act")


def test_an_empty_file_is_said_to_be_empty(tmp_path):
    (tmp_path / "x").write_text(" \n")
    with pytest.raises(UserError, match="x: the file is empty. Name it; legal values are own"):
        recognise(tmp_path / "x")


def test_a_bad_companion_leaves_the_file_as_it_was(tmp_path):
    """The other classes or facts beside it are found before the file is written."""
    other = dataset(video(tubes=[tube()], size=(24, 32)), classes=("one", "two"))
    (tmp_path / "classes.txt").write_text("wave\n")
    (tmp_path / "action_list.pbtxt").write_text('item { name: "wave" id: 1 }')
    for format, name in (("pyannot", "x.pkl"), ("final_annots", "x.mat"), ("ava", "x.csv"), ("yowo", "x.tar")):
        (tmp_path / name).write_text("before")
        with pytest.raises(UserError, match="names other classes than the annotation does; write into another folder"):
            write_annotations(other, tmp_path / name, format)
        assert (tmp_path / name).read_text() == "before"
    (tmp_path / "classes.txt").unlink()
    (tmp_path / "action_list.pbtxt").unlink()
    (tmp_path / "videos.csv").write_text("name\n")
    for format, name in (("final_annots", "x.mat"), ("ava", "x.csv"), ("yowo", "x.tar")):
        with pytest.raises(UserError, match="videos.csv: no column video, width, height"):
            write_annotations(other, tmp_path / name, format)
        assert (tmp_path / name).read_text() == "before"
