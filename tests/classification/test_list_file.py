import pytest
from video_tree import listed, touch, write

from detect.classification.catalog import load_video_set
from detect.data.checks import AnnotationError
from detect.data.media import MissingDataError


def load(path, root, modality="rgb"):
    return load_video_set(f"list:{path}", root, modality)


def test_indices_and_paths_with_spaces(tmp_path):
    touch(tmp_path / "lists", "my videos/a b.mp4", "frames/", "gone/")
    touch(tmp_path, "below root.avi", "lists/absolute.mkv")
    absolute = str(tmp_path / "lists" / "absolute.mkv")
    rows = ("my videos/a b.mp4 2", "", "frames\t0", "below root.avi   3", f"{absolute} 1", "not there.mp4 0")
    path = write(tmp_path / "lists" / "train.txt", *rows, end="\r\n")
    own = load(path, tmp_path)
    assert own.classes == ("0", "1", "2", "3") and [video.label for video in own.items] == [2, 0, 3, 1]
    assert [video.name for video in own.items] == ["my videos/a b.mp4", "frames", "below root.avi", absolute]
    assert own.items[2].path == str(tmp_path / "below root.avi") and own.items[3].path == absolute
    assert own.missing == ("not there.mp4",) and own.name == f"list:{path}" and len(own.annotation_hash) == 64
    assert own.notes[0].startswith(f"1 videos listed but not found relative to {tmp_path}/lists and {tmp_path}")


def test_the_lists_own_folder_comes_before_the_root(tmp_path):
    touch(tmp_path, "lists/a.mp4", "a.mp4")
    own = load(write(tmp_path / "lists" / "train.txt", "a.mp4 0"), tmp_path)
    assert own.items[0].path == str(tmp_path / "lists" / "a.mp4")


def test_the_list_may_be_named_relative_to_the_root(tmp_path):
    touch(tmp_path, "a.mp4")
    write(tmp_path / "train.txt", "a.mp4 0")
    assert len(load("train.txt", tmp_path).items) == 1
    with pytest.raises(MissingDataError, match=f"list:val.txt: the list not found(.|\n)*{tmp_path}/val.txt"):
        load("val.txt", tmp_path)


def test_names_of_classes(tmp_path):
    touch(tmp_path, "a.mp4", "b.mp4")
    path = write(tmp_path / "train.txt", "a.mp4 wave", "b.mp4 jump")
    assert listed(load(path, tmp_path)) == {"a.mp4": ("a.mp4", "wave"), "b.mp4": ("b.mp4", "jump")}
    assert load(path, tmp_path).classes == ("jump", "wave")


def test_classes_file_takes_names_and_indices(tmp_path):
    touch(tmp_path, "a.mp4", "b.mp4", "c.mp4")
    path = write(tmp_path / "train.txt", "a.mp4 wave", "b.mp4 0", "c.mp4 1")
    write(tmp_path / "classes.txt", "1", "riding a bike", "wave")
    own = load(path, tmp_path)
    assert own.classes == ("1", "riding a bike", "wave")
    assert [video.label for video in own.items] == [2, 0, 0]  # a class is called "1", so 1 is its name


@pytest.mark.parametrize(
    "rows, classes, message",
    [
        (["a.mp4"], None, "line 1: expected 'path label', found 'a.mp4'"),
        (["a.mp4 0", "a.mp4 1"], None, "line 2: a.mp4 is listed already, at .*train.txt line 1"),
        (["a.mp4 0", "b.mp4 wave"], None, "line 2: the label 'wave' is a name, the first one of the list a number;"),
        (["a.mp4 wave", "b.mp4 0"], None, "line 2: the label '0' is a number, the first one of the list a name;"),
        (["a.mp4 0", "b.mp4 3"], ["x", "y", "z"], "line 2: the label 3 is not one of the 3 classes, 0 to 2"),
        (["a.mp4 wafe"], ["wave", "jump"], r"line 1: 'wafe' is not one of the 2 classes; did you mean 'wave'\?"),
        (["a.mp4 -1"], ["wave", "jump"], "line 1: '-1' is not one of the 2 classes; they are wave, jump"),
        (["a.mp4 1700000000"], None, "line 1: the label 1700000000 is no index of a class, 100000 at most"),
        (["a.mp4 " + "9" * 5000], None, "line 1: the label 9{5000} is no index of a class"),
        (["a.mp4 " + "9" * 5000], ["wave", "jump"], "line 1: the label 9{5000} is not one of the 2 classes, 0 to 1"),
        ([], None, "the file is empty"),
    ],
)
def test_bad_lists(tmp_path, rows, classes, message):
    path = write(tmp_path / "train.txt", *rows)
    if classes:
        write(tmp_path / "classes.txt", *classes)
    with pytest.raises(AnnotationError, match="train.txt:? " + message):
        load(path, tmp_path)


def test_a_byte_order_mark_and_a_file_that_is_no_text(tmp_path):
    touch(tmp_path, "a.mp4", "b.mp4")
    path = tmp_path / "train.txt"
    path.write_bytes(b"\xef\xbb\xbfa.mp4 0\r\nb.mp4 1\r\n" + b"x" * 5000 + b" 0\n")
    assert [video.name for video in load(path, tmp_path).items] == ["a.mp4", "b.mp4"]
    path.write_bytes(b"caf\xe9.mp4 0\n")
    with pytest.raises(AnnotationError, match="train.txt: not a text file in UTF-8, or damaged"):
        load(path, tmp_path)


def test_two_names_of_one_file(tmp_path):
    touch(tmp_path, "a.mp4")
    with pytest.raises(AnnotationError, match="the videos a.mp4 and ./a.mp4 would both be .*/a.mp4"):
        load(write(tmp_path / "train.txt", "a.mp4 0", "./a.mp4 0"), tmp_path)


@pytest.mark.parametrize("place", ["flow/videos/x/a.b", "flow/x/a.b", "flow/a.b"])
@pytest.mark.parametrize("base", ["lists", "."])
def test_flow(tmp_path, base, place):
    touch(tmp_path / "lists", "videos/x/a.b.mp4")
    touch(tmp_path / base, place + "/")
    path = write(tmp_path / "lists" / "train.txt", "videos/x/a.b.mp4 0", "gone.mp4 0")
    own = load(path, tmp_path, "flow")
    assert [video.path for video in own.items] == [str(tmp_path / base / place)] and own.missing == ("gone.mp4",)


def test_listed_flow_folders(tmp_path):
    touch(tmp_path, "u v/clip.1/", "w.mp4")
    own = load(write(tmp_path / "train.txt", "u v/clip.1 0", "w.mp4 0"), tmp_path, "flow")
    assert [video.path for video in own.items] == [str(tmp_path / "u v" / "clip.1")] and own.missing == ("w.mp4",)
