from itertools import product

import pytest
from video_tree import touch, write

from detect.classification.catalog import load_video_set, video_set_names
from detect.classification.locate import scan_media
from detect.classification.records import VideoItem, VideoSet
from detect.data import catalog
from detect.data.media import MissingDataError
from detect.utils.errors import UserError


def test_names():
    assert set(video_set_names()) == {
        *(f"kinetics400_{subset}" for subset in ("train", "val", "test")),
        *(
            f"{name}_{subset}"
            for name in ("mini_kinetics200", "ssv1", "ssv1_sorted", "ssv2")
            for subset in ("train", "val")
        ),
        *(f"{name}_split{k}_{s}" for name in ("ucf101", "hmdb51") for k in (1, 2, 3) for s in ("train", "test")),
        *(f"synthetic_cls_{subset}" for subset in ("train", "test")),
    }


def test_missing_annotation_names_set_and_places(tmp_path):
    folders = set()
    for name, modality in product(video_set_names(), ("rgb", "flow")):
        if name.startswith("synthetic"):
            continue
        with pytest.raises(MissingDataError) as error:
            load_video_set(name, tmp_path, modality)
        folder = name.split("_sorted")[0].split("_split")[0]
        folder = folder.removesuffix("_train").removesuffix("_val").removesuffix("_test")
        folders.add(folder)
        assert str(error.value).startswith(f"{name}: ") and f"  {tmp_path}/{folder}/" in str(error.value)
        assert "DETECT_DATASETS" in str(error.value)
    assert folders == {"kinetics400", "mini_kinetics200", "ssv1", "ssv2", "ucf101", "hmdb51"}


def test_unknown_name_is_a_users_error_with_suggestions(tmp_path):
    with pytest.raises(UserError) as error:
        load_video_set("ucf101_split1_val", tmp_path)
    for text in (
        "'ucf101_split1_val'",
        "did you mean ucf101_split1_train",
        "hmdb51_split{1,2,3}_{train,test}",
        "list:PATH, json:FILE",
    ):
        assert text in str(error.value)


def test_unknown_modality(tmp_path):
    with pytest.raises(ValueError, match="modality is 'depth'; legal values are 'rgb' and 'flow'"):
        load_video_set("ucf101_split1_train", tmp_path, "depth")


def test_root_is_the_datasets_folder(tmp_path, monkeypatch):
    touch(tmp_path, "a.mp4")
    write(tmp_path / "mine.txt", "a.mp4 0")
    monkeypatch.setenv("DETECT_DATASETS", str(tmp_path))
    assert load_video_set("list:mine.txt").items == (VideoItem("a.mp4", str(tmp_path / "a.mp4"), 0),)
    catalog.set_datasets_root(tmp_path / "elsewhere")
    try:
        with pytest.raises(MissingDataError, match="elsewhere/mine.txt"):
            load_video_set("list:mine.txt")
    finally:
        catalog.set_datasets_root(None)


@pytest.mark.parametrize(
    "items, message",
    [
        ((VideoItem("v", "v.mp4", 0), VideoItem("v", "w.mp4", 0)), "toy: the video v is there twice"),
        ((VideoItem("v", "v.mp4", 2),), "toy: v has label 2 of 2 classes"),
        ((VideoItem("v", "v.mp4", -1),), "toy: v has label -1 of 2 classes"),
        ((VideoItem("v", "", 0),), "toy: v has no path"),
    ],
)
def test_records_that_contradict_themselves(items, message):
    with pytest.raises(ValueError, match=message):
        VideoSet("toy", items, ("a", "b"))


def test_empty_set_is_legal():
    assert VideoSet("toy", (), ("a",)).items == ()


def test_a_link_to_itself_is_no_video(tmp_path):
    (tmp_path / "wave").mkdir()
    for place in (tmp_path, tmp_path / "wave"):
        (place / "loop").symlink_to(place / "loop")
        (place / "v.avi").touch()
    assert [(medium.stem, medium.group) for medium in scan_media([tmp_path], ["wave"], "rgb")] == [
        ("v", ""), ("v", "wave"),
    ]  # fmt: skip
