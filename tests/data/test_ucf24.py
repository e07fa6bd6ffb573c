import os

import cv2
import numpy as np
import pytest
from tiny_set import draw, entry, tube, write_frames, write_ucf

from detect.data import ucf24
from detect.data.checks import AnnotationError
from detect.data.media import MissingDataError
from detect.data.ucf24 import load_ucf24
from detect.utils.errors import UserError
from detect.utils.safe_pickle import UnsafePickleError
from detect.video.readers import MissingMediaError, read_frames


@pytest.fixture
def linked(real_data, tmp_path):
    """The real annotation in the real layout, with the two videos there are."""
    (tmp_path / "splitfiles").mkdir()
    for name in ("pyannot.pkl", "testlist01.txt", "trainlist01.txt", "classes.txt"):
        os.symlink(real_data / "ucf101_24" / name, tmp_path / "splitfiles" / name)
    os.symlink(real_data / "videos" / "ucf101", tmp_path / "UCF-101")
    return tmp_path


def counts(dataset):
    annotated = sum(len(video.annotated_frames()) for video in dataset.videos)
    return len(dataset.videos), dataset.num_frames, annotated, len(dataset.ground_truth_table()["boxes"])


def test_real_counts(linked):
    test, train = load_ucf24(linked, "test"), load_ucf24(linked, "train")
    assert counts(test) == (910, 159_289, 138_527, 170_580)
    assert counts(train) == (2284, 395_868, 340_336, 403_282)
    assert test.classes == ucf24.CLASSES
    assert len({video.name for video in test.videos + train.videos}) == 3194
    boxes = np.concatenate([test.ground_truth_table()["boxes"], train.ground_truth_table()["boxes"]])
    assert (boxes[:, 2:] > boxes[:, :2]).all()
    assert boxes.min() >= 1 and boxes[:, 2].max() == 320 and boxes[:, 3].max() == 240


def test_real_videos_are_found_and_the_others_noted(linked):
    train = load_ucf24(linked, "train")
    by_name = {video.name: video for video in train.videos}
    video = by_name["SoccerJuggling/v_SoccerJuggling_g23_c01"]
    assert video.num_frames == 240 and read_frames(video.path, [0, 239]).shape == (2, 240, 320, 3)
    assert any(note.startswith("2282 videos without media") for note in train.notes)
    with pytest.raises(MissingMediaError, match="v_Basketball_g08_c01.avi: there is no such video"):
        read_frames(by_name["Basketball/v_Basketball_g08_c01"].path, [0])


def test_real_list_with_six_unannotated_names(linked, real_data):
    (linked / "splitfiles" / "trainlist01.txt").unlink()
    shipped = real_data / "ucf101_24" / "trainvideos_2290_as_shipped.txt"
    os.symlink(shipped, linked / "splitfiles" / "trainlist01.txt")
    train = load_ucf24(linked, "train")
    assert len(train.videos) == 2284
    assert any(note.startswith("6 listed videos skipped") for note in train.notes)


def test_uint8_boxes_do_not_overflow(tmp_path):
    # a real one: 239 + 62 = 301, in uint8 45
    annotations = {"Right/v": entry(3, tube(1, 1, [[239, 25, 62, 124]]), size=(240, 320))}
    (video,) = load_ucf24(write_ucf(tmp_path, annotations), "train").videos
    assert video.boxes_at(1)[0].tolist() == [[239, 25, 301, 149]]


def test_label_is_the_tubes_and_frames_start_at_sf(tmp_path):
    annotations = {"Left/v": entry(9, tube(0, 2, [[1, 1, 5, 5]] * 3), tube(1, 4, [[2, 2, 5, 5]]))}
    (video,) = load_ucf24(write_ucf(tmp_path, annotations), "train").videos
    assert [(t.label, t.frames.tolist()) for t in video.tubes] == [(0, [2, 3, 4]), (1, [4])]
    assert (video.height, video.width, video.num_frames) == (24, 32, 9)


def test_size_and_classes_default_to_ucf101(tmp_path):
    annotations = {"Diving/v": {"numf": 2, "label": 5, "annotations": [tube(5, 0, [[1, 1, 5, 5]])]}}
    root = write_ucf(tmp_path, annotations)
    (root / "splitfiles" / "classes.txt").unlink()
    dataset = load_ucf24(root, "train")
    assert (dataset.videos[0].height, dataset.videos[0].width) == (240, 320)
    assert dataset.classes[5] == "Diving" and len(dataset.classes) == 24


def test_list_lines_of_other_copies(tmp_path):
    annotations = {f"Left/v{i}": entry(2, tube(0, 0, [[1, 1, 5, 5]])) for i in range(4)}
    root = write_ucf(tmp_path, annotations)
    lines = "Left/v0.avi  \r\nLeft/v1.avi 7\r\n\r\nLeft/v2\nLeft/v0\nLeft/gone\n"
    (root / "splitfiles" / "trainlist01.txt").write_text(lines)
    dataset = load_ucf24(root, "train")
    assert [video.name for video in dataset.videos] == ["Left/v0", "Left/v1", "Left/v2"]
    notes = "\n".join(dataset.notes)
    assert "1 names listed twice in trainlist01.txt: Left/v0" in notes
    assert "1 listed videos skipped, they have no annotation: Left/gone" in notes


@pytest.mark.parametrize("name", ["trainlist01.txt", "classes.txt"])
def test_byte_order_marks_and_files_that_are_no_text(tmp_path, name):
    root = write_ucf(tmp_path, {f"Left/v{i}": entry(2, tube(0, 0, [[1, 1, 5, 5]])) for i in range(2)})
    path, before = root / "splitfiles" / name, load_ucf24(root, "train")
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    after = load_ucf24(root, "train")
    assert [v.name for v in after.videos] == [v.name for v in before.videos] and after.classes == before.classes
    path.write_bytes(b"caf\xe9\n")
    with pytest.raises(UserError, match=f"{name}: not a text file in UTF-8"):
        load_ucf24(root, "train")


@pytest.mark.parametrize("place", ["rgb-images/Left/v", "videos/Left/v.avi", "UCF-101/Left/v.avi", "Left/v.avi"])
def test_places_of_media(tmp_path, place):
    root = write_ucf(tmp_path, {"Left/v": entry(4, tube(0, 0, [[1, 1, 5, 5]]))})
    path = root / place
    if path.suffix:
        path.parent.mkdir(parents=True)
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 25, (32, 24))
        for frame in draw(4, 0):
            writer.write(frame[:, :, ::-1].copy())
        writer.release()
    else:
        write_frames(path, draw(4, 0))
    dataset = load_ucf24(root, "train")
    assert dataset.videos[0].path == str(path) and dataset.notes == ()
    found = read_frames(path, [3]).astype(int)
    assert (
        np.abs(found - draw(4, 0)).mean((1, 2, 3)).argmin() == 3
    )  # noise that JPEG changes much, but not beyond doubt


def test_files_directly_in_the_root_and_the_hash(tmp_path):
    root = write_ucf(tmp_path, {"Left/v": entry(4, tube(0, 0, [[1, 1, 5, 5]]))})
    before = load_ucf24(root, "train").annotation_hash
    for path in (root / "splitfiles").iterdir():
        path.rename(root / path.name)
    assert load_ucf24(root, "train").annotation_hash == before and len(before) == 64
    (root / "trainlist01.txt").write_text("Left/v\nLeft/w\n")
    assert load_ucf24(root, "train").annotation_hash != before


def test_missing_root_and_missing_files_say_what_was_looked_for(tmp_path):
    with pytest.raises(MissingDataError, match=f"{tmp_path}/nowhere\nSet the environment variable DETECT_DATASETS"):
        load_ucf24(tmp_path / "nowhere", "train")
    with pytest.raises(MissingDataError) as error:
        load_ucf24(tmp_path, "train")
    for text in (
        f"{tmp_path}/splitfiles/pyannot.pkl",
        f"{tmp_path}/pyannot.pkl",
        "gurkirt/corrected-UCF101-Annots",
    ):
        assert text in str(error.value)
    root = write_ucf(tmp_path, {"Left/v": entry(4)})
    with pytest.raises(MissingDataError, match="splitfiles/testlist01.txt"):
        load_ucf24(root, "test")


@pytest.mark.parametrize(
    "annotations, message",
    [
        (
            {"Left/v": entry(4, tube(7, 0, [[1, 1, 5, 5]]))},
            "Left/v: unknown class 7; there are 2 classes, 0 to 1",
        ),
        ({"Left/v": {"annotations": []}}, "cannot read Left/v.*numf"),
        (
            {"Left/v": {"numf": 3, "annotations": [{"label": 0, "sf": 0, "ef": 1}]}},
            "cannot read Left/v.*boxes",
        ),
        (
            {"Left/v": entry(4, {**tube(0, 0, [[1, 1, 5, 5]]), "ef": 3})},
            "Left/v: a tube has 3 frames but 1 boxes",
        ),
        ({"Left/v": {"numf": 4.5, "annotations": []}}, "cannot read Left/v.*4.5 is not a whole number"),
        ({"Left/v": {"numf": np.inf, "annotations": []}}, "cannot read Left/v.*inf is not a whole number"),
        ({"Left/v": {"numf": -1, "annotations": []}}, "cannot read Left/v.*-1 is not a whole number from 0 to"),
        ({"Left/v": entry(4, size=(240,))}, "cannot read Left/v"),
        ({"Left/v": entry(4, size=(240, 0))}, "cannot read Left/v.*0 is not a whole number from 1 to"),
        ({"Left/v": "four"}, "cannot read Left/v"),
        ({"Left/v": entry(4, {**tube(0, 0, [[1, 1, 5, 5]]), "label": 0.7})}, "cannot read Left/v.*0.7 is not a whole"),
        (
            {"Left/v": entry(4, {**tube(0, 0, [[1, 1, 5, 5]]), "ef": 10**12})},
            "cannot read Left/v.*10{12} is not a whole",
        ),
        ({}, "the list has no video|expected a dict of videos"),
    ],
)
def test_contradictions_name_file_and_video(tmp_path, annotations, message):
    root = write_ucf(tmp_path, annotations)
    with pytest.raises(AnnotationError, match=r"\.(pkl|txt): (.|\n)*" + f"({message})"):
        load_ucf24(root, "train")


def test_bad_boxes_are_dropped_and_noted(tmp_path):
    annotations = {"Left/v": entry(4, tube(0, 0, [[1, 1, 5, 5], [9, 9, 0, 4], [30, 1, 50, 5]]))}
    dataset = load_ucf24(write_ucf(tmp_path, annotations), "train")
    assert dataset.videos[0].tubes[0].boxes.tolist() == [[1, 1, 6, 6], [30, 1, 32, 6]]
    notes = "\n".join(dataset.notes)
    assert "1 boxes dropped, no area inside the image: Left/v frame 1" in notes
    assert "1 boxes clamped to the image: Left/v frame 2" in notes


def test_hostile_annotation_runs_nothing(tmp_path):
    class Hostile:
        def __reduce__(self):
            return open, (str(tmp_path / "created"), "w")

    root = write_ucf(tmp_path, {"Left/v": Hostile()})
    with pytest.raises(UnsafePickleError, match="pyannot.pkl: refused to load the global"):
        load_ucf24(root, "train")
    assert not (tmp_path / "created").exists()


def test_unknown_split():
    with pytest.raises(ValueError, match="'val'; legal values are 'train' and 'test'"):
        load_ucf24(".", "val")
