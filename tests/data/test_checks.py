import numpy as np
import pytest

from detect.data.checks import AnnotationError, Notes, checked_tube, numbers, read_json, shown


def check(boxes, frames=None, label=0, notes=None, num_frames=10):
    frames = range(len(boxes)) if frames is None else frames
    return checked_tube(
        label,
        np.array(list(frames)),
        np.array(boxes, float),
        video="Class/v",
        num_frames=num_frames,
        size=(240, 320),
        classes=("a", "b"),
        notes=Notes() if notes is None else notes,
    )


def test_good_boxes_are_kept_as_they_are():
    notes = Notes()
    tube = check([[0, 0, 320, 240], [1.5, 2, 3, 4]], frames=[3, 7], label=1, notes=notes)
    assert tube.label == 1 and tube.frames.tolist() == [3, 7] and notes.lines() == ()
    np.testing.assert_array_equal(tube.boxes, np.array([[0, 0, 320, 240], [1.5, 2, 3, 4]], np.float32))


def test_box_that_sticks_out_is_clamped_and_noted():
    notes = Notes()
    tube = check([[-5, 10, 330, 250]], notes=notes)
    assert tube.boxes.tolist() == [[0, 10, 320, 240]]
    (line,) = notes.lines()
    assert line == "1 boxes clamped to the image: Class/v frame 0 [-5.0, 10.0, 330.0, 250.0] in 320 x 240"


@pytest.mark.parametrize(
    "box, why",
    [
        ([5, 5, 5, 9], "no area"),
        ([5, 9, 8, 5], "no area"),
        ([330, 5, 340, 9], "no area"),  # wholly outside
        ([np.nan, 5, 8, 9], "not finite"),
        ([0, 0, np.inf, 9], "not finite"),
    ],
)
def test_bad_box_is_dropped_and_noted(box, why):
    notes = Notes()
    tube = check([[0, 0, 9, 9], box, [1, 1, 9, 9]], notes=notes)
    assert tube.frames.tolist() == [0, 2]
    (line,) = notes.lines()
    assert line.startswith("1 boxes dropped") and why in line and "Class/v frame 1" in line
    assert check([box]) is None


def test_frames_the_video_does_not_have():
    notes = Notes()
    tube = check([[0, 0, 9, 9]] * 4, frames=[-1, 0, 9, 10], notes=notes)
    assert tube.frames.tolist() == [0, 9]
    assert "2 boxes dropped, on frames that the video does not have" in notes.lines()[0]


def test_empty_tube_is_none():
    assert check(np.empty((0, 4))) is None


@pytest.mark.parametrize("label", [-1, 2])
def test_unknown_class(label):
    with pytest.raises(AnnotationError, match=f"Class/v: unknown class {label}; there are 2 classes, 0 to 1"):
        check([[0, 0, 9, 9]], label=label)


def test_contradictions():
    with pytest.raises(AnnotationError, match="Class/v: a tube has 1 frames but 2 boxes"):
        check([[0, 0, 9, 9]] * 2, frames=[0])
    with pytest.raises(AnnotationError, match="increasing"):
        check([[0, 0, 9, 9]] * 2, frames=[3, 3])


def test_notes_show_a_few_examples_of_each_kind():
    notes = Notes(examples=2)
    for i in range(5):
        notes.add("eggs", f"egg {i}")
    notes.add("hens", "hen")
    assert notes.lines() == ("5 eggs: egg 0; egg 1; ...", "1 hens: hen")


def test_examples_that_are_not_shown_are_not_made():
    notes, made = Notes(), []
    examples = (made.append(row) or f"row {row}" for row in range(500_000))
    notes.add_many("reversed", 500_000, examples)
    notes.add("reversed", "another")
    notes.add_many("none", 0, examples)
    assert notes.lines() == ("500001 reversed: row 0; row 1; row 2; ...",) and made == [0, 1, 2]


def test_half_a_million_bad_boxes_are_counted_at_once():
    notes = Notes()
    assert check(np.tile([9.0, 9.0, 5.0, 5.0], (500_000, 1)), num_frames=500_000, notes=notes) is None
    (line,) = notes.lines()
    assert line.startswith("500000 boxes dropped, no area inside the image: ") and line.count("frame") == 3


@pytest.mark.parametrize("row", [None, 3, [1, 2, 3], [1, 2, 3, True], [1, 2, 3, "4"], [1, 2, 3, 10**400], [[1]] * 4])
def test_rows_that_are_not_four_numbers(row):
    assert numbers(row, 4) is None and numbers([1, 2.5, -3, 10**300], 4) == [1.0, 2.5, -3.0, 1e300]


def test_values_are_shown_in_a_line():
    assert shown([1] * 100) == "[" + "1, " * 25 + "1..." and shown(10**5000) == "of type int, too long to print"


def test_json_that_python_refuses_to_read(tmp_path):
    (tmp_path / "x.json").write_text(f"[{'9' * 5000}]")
    with pytest.raises(AnnotationError, match="x.json: not JSON that can be read: Exceeds the limit"):
        read_json(tmp_path / "x.json")
