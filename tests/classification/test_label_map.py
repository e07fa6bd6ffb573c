import pytest
from hypothesis import given
from hypothesis import strategies as st
from video_tree import write

from detect.classification.labels import check_label_map, read_label_map, save_label_map, with_classes
from detect.classification.records import VideoItem, VideoSet
from detect.data.checks import AnnotationError

ABC = ("riding a bike", "wave", "massaging person's head")
SET = VideoSet("toy", (VideoItem("u", "u.mp4", 0), VideoItem("v", "v.mp4", 2), VideoItem("w", "w.mp4", None)), ABC)


def test_what_is_saved_is_read(tmp_path):
    save_label_map(tmp_path / "new" / "label_map.txt", ABC)
    assert read_label_map(tmp_path / "new" / "label_map.txt") == ABC
    assert (tmp_path / "new" / "label_map.txt").read_text() == "riding a bike\nwave\nmassaging person's head\n"


def test_json_map_is_in_the_order_of_its_indices(tmp_path):
    path = write(tmp_path / "labels.json", '{"wave": "1", "jump": 0, "sit": "2"}')
    assert read_label_map(path) == ("jump", "wave", "sit")


@pytest.mark.parametrize("classes", [("",), (" a",), ("a\nb",), ("a", "b", "a")])
def test_maps_that_a_file_cannot_hold(tmp_path, classes):
    with pytest.raises(ValueError):
        save_label_map(tmp_path / "label_map.txt", classes)
    assert list(tmp_path.iterdir()) == []


def test_bad_maps(tmp_path):
    path = write(tmp_path / "label_map.txt", "wave", "jump", "wave")
    with pytest.raises(AnnotationError, match="label_map.txt: the class 'wave' is there twice, as 0 and 2"):
        read_label_map(path)
    with pytest.raises(AnnotationError, match="label_map.txt: the file is empty"):
        read_label_map(write(path, ""))


def test_check():
    check_label_map(list(ABC), ABC, "model.pth")
    for found, expected, message in (
        ("abc", "acb", r"^model.pth: class 1 is 'b', expected 'c' \(3 classes, expected 3\). .*in another order"),
        ("ab", "abc", "class 2 is absent, expected 'c' .*2 classes, expected 3.* All of its classes are among"),
        ("abc", "ab", "class 2 is 'c', expected absent .* train a new head"),
        ("abx", "abc", "class 2 is 'x', expected 'c' .* train a new head"),
        ("", "a", "class 0 is absent, expected 'a'"),
    ):
        with pytest.raises(AnnotationError, match=message):
            check_label_map(found, expected, "model.pth")


def test_remapped_labels_name_the_same_class():
    new = with_classes(SET, ("jump", *ABC[::-1]))
    assert [video.label for video in new.items] == [3, 1, None] and new.classes == ("jump", *ABC[::-1])
    assert [video.path for video in new.items] == ["u.mp4", "v.mp4", "w.mp4"]
    assert with_classes(SET, ("riding a bike", "massaging person's head")).items[1].label == 1  # nobody waves


def test_remapping_needs_every_class_that_a_video_has():
    message = "toy: v: \"massaging person's head\" is not one of the 2 classes; did you mean 'massaging persons head'?"
    with pytest.raises(AnnotationError) as error:
        with_classes(SET, ("riding a bike", "massaging persons head"))
    assert str(error.value) == message
    with pytest.raises(AnnotationError, match="'wave' is there twice"):
        with_classes(SET, (*ABC, "wave"))


@given(st.permutations(range(6)), st.lists(st.integers(0, 5), max_size=9))
def test_remapping_there_and_back_is_the_identity(order, labels):
    classes = tuple("abcdef")
    items = tuple(VideoItem(f"v{i}", f"v{i}.mp4", label) for i, label in enumerate(labels))
    original = VideoSet("toy", items, classes)
    moved = with_classes(original, [classes[i] for i in order])
    assert [moved.classes[v.label] for v in moved.items] == [classes[label] for label in labels]
    assert with_classes(moved, classes) == original
