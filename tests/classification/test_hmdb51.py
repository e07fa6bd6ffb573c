import pytest
from video_tree import listed, touch, write

from detect.classification.catalog import load_video_set
from detect.data.checks import AnnotationError
from detect.data.media import MissingDataError
from detect.video.readers import count_frames

FRAMES = {  # that decode, from the data's README; the headers say one more
    "cartwheel/hmdb51_Turnk_r_Pippi_Michel_cartwheel_f_cm_np2_le_med_6": 83,
    "wave/RATRACE_wave_f_nm_np1_fr_goo_37": 72,
    "wave/SchoolRulesHowTheyHelpUs_wave_f_nm_np1_ba_med_0": 74,
    "wave/TrumanShow_wave_f_nm_np1_fr_med_26": 48,
}


def write_split(root, label, *lines, split=1, folder="testTrainMulti_7030_splits"):
    return write(root / "hmdb51" / folder / f"{label}_test_split{split}.txt", *lines)


@pytest.fixture
def climbing(tmp_path):
    """Two classes; the files of climb_stairs sort before those of climb. Lines end in a space, as the official do."""
    write_split(tmp_path, "climb", "a&b#(1)_climb.avi 1 ", "c_climb.avi 2 ", "d_climb.avi 0 ", "e_climb.avi 1 ")
    write_split(tmp_path, "climb_stairs", "a_climb_stairs.avi 2 ", "same.avi 1 ")
    return tmp_path


@pytest.mark.parametrize("place", ["{}", "videos/{}"])
def test_real_clips(real_data, tmp_path, place):
    for label in ("cartwheel", "wave"):
        lines = [f"{name.split('/')[1]}.avi 1 " for name in FRAMES if name.startswith(label)]
        write_split(tmp_path, label, *lines)
        target = tmp_path / "hmdb51" / place.format(label)
        target.parent.mkdir(exist_ok=True)
        target.symlink_to(real_data / "videos" / "hmdb51" / label)
    train = load_video_set("hmdb51_split1_train", tmp_path)
    assert {video.name: count_frames(video.path) for video in train.items} == FRAMES
    assert [video.label for video in train.items] == [0, 1, 1, 1] and train.missing == ()


def test_codes_and_the_order_of_the_classes(climbing):
    touch(climbing / "hmdb51", "climb/a&b#(1)_climb.avi", "climb/c_climb.avi", "climb/d_climb.avi")
    touch(climbing / "hmdb51", "climb_stairs/a_climb_stairs.avi", "climb/same.avi")
    train, test = (load_video_set(f"hmdb51_split1_{subset}", climbing) for subset in ("train", "test"))
    assert train.classes == test.classes == ("climb", "climb_stairs")
    assert listed(train) == {"climb/a&b#(1)_climb": ("a&b#(1)_climb.avi", "climb")}
    assert train.missing == ("climb/e_climb", "climb_stairs/same")  # climb/same.avi is another video
    assert [(video.name, video.label) for video in test.items] == [
        ("climb/c_climb", 0),
        ("climb_stairs/a_climb_stairs", 1),
    ]
    assert "1 set of split files is of 2 classes, HMDB-51 has 51: climb, climb_stairs" in train.notes


def test_frame_folders_and_flow(climbing):
    touch(climbing / "hmdb51", "rawframes/climb/c_climb/", "flow/climb_stairs/a_climb_stairs/", "flow/c_climb/")
    assert listed(load_video_set("hmdb51_split1_test", climbing)) == {"climb/c_climb": ("c_climb", "climb")}
    flow = load_video_set("hmdb51_split1_test", climbing, modality="flow")
    assert [video.path for video in flow.items] == [
        str(climbing / "hmdb51" / "flow" / place) for place in ("c_climb", "climb_stairs/a_climb_stairs")
    ]


def test_the_full_set_has_3570_and_1530_videos(tmp_path):
    """51 classes of 70 and 30 videos and some unused, in three splits that differ."""
    for split in (1, 2, 3):
        for label in range(51):
            codes = [1] * 70 + [2] * 30 + [0] * (split + label)
            write_split(tmp_path, f"c{label:02d}", *(f"v{i}.avi {code} " for i, code in enumerate(codes)), split=split)
        for subset, count in (("train", 3570), ("test", 1530)):
            full = load_video_set(f"hmdb51_split{split}_{subset}", tmp_path)
            assert len(full.missing) == count and len(full.classes) == 51 and len(full.notes) == 1


@pytest.mark.parametrize(
    "line, message",
    [
        ("a.avi 3", r"line 1: expected 'video.avi 1' \(train\), 2 \(test\) or 0 \(in neither\), found 'a.avi 3'"),
        ("a.avi", "line 1: expected 'video.avi 1'"),
        ("a.avi 0\na.avi 1", "line 2: a.avi is listed already; list a video once"),
        ("", "the file is empty"),
    ],
)
def test_bad_lines(climbing, line, message):
    write_split(climbing, "climb", line)
    with pytest.raises(AnnotationError, match="climb_test_split1.txt:? " + message):
        load_video_set("hmdb51_split1_train", climbing)


def test_missing_lists(climbing, tmp_path):
    write_split(climbing, "climb", "a.avi 1", split=2)
    with pytest.raises(MissingDataError, match="climb_stairs_test_split2.txt"):
        load_video_set("hmdb51_split2_train", climbing)
    with pytest.raises(MissingDataError) as error:
        load_video_set("hmdb51_split1_train", tmp_path / "nowhere")
    for place in ("testTrainMulti_7030_splits/", "splits/", "annotations/", ""):
        assert f"nowhere/hmdb51/{place}<class>_test_split1.txt" in str(error.value)
