import pytest
from video_tree import listed, touch, write

from detect.classification.catalog import load_video_set
from detect.data.checks import AnnotationError
from detect.data.media import MissingDataError
from detect.video.readers import count_frames

COUNTS = {1: (9537, 3783), 2: (9586, 3734), 3: (9624, 3696)}
STANDING = "HandstandPushups/v_HandStandPushups_g01_c01"  # the folder's name is the class, not the file's


@pytest.fixture
def real(real_data, tmp_path):
    (tmp_path / "ucf101").mkdir()
    (tmp_path / "ucf101" / "ucfTrainTestlist").symlink_to(real_data / "ucf101" / "ucfTrainTestlist")
    (tmp_path / "ucf101" / "UCF-101").symlink_to(real_data / "videos" / "ucf101")
    return tmp_path


@pytest.fixture
def small(tmp_path):
    folder = tmp_path / "ucf101" / "ucfTrainTestlist"
    write(folder / "classInd.txt", "1 HandstandPushups", "2 Archery", end="\r\n")  # not in alphabetical order
    write(folder / "trainlist01.txt", f"{STANDING}.avi 1", "Archery/v_Archery_g08_c01.avi 2", end="\r\n")
    write(folder / "testlist01.txt", "Archery/v_Archery_g01_c01.avi", end="\r\n")
    return tmp_path


@pytest.mark.parametrize("split", COUNTS)
def test_real_lists(real, split):
    train, test = (load_video_set(f"ucf101_split{split}_{subset}", real) for subset in ("train", "test"))
    counts = tuple(len(s.items) + len(s.missing) for s in (train, test))
    assert counts == COUNTS[split] and sum(counts) == 13_320
    assert train.classes == test.classes and len(train.classes) == 101
    assert train.classes[36] == "HandstandPushups" and train.classes[0] == "ApplyEyeMakeup"
    assert listed(train) == {
        f"SoccerJuggling/v_SoccerJuggling_g{group}_c01": (f"v_SoccerJuggling_g{group}_c01.avi", "SoccerJuggling")
        for group in (23, 24)
    }
    assert [count_frames(video.path) for video in train.items] == [240, 251]


@pytest.mark.parametrize(
    "place",
    ["UCF-101/{}.avi", "videos/{}.mp4", "rawframes/{}/", "{}.avi", "UCF-101/v_HandStandPushups_g01_c01.avi"],
)
def test_label_is_the_folders_and_places(small, place):
    touch(small / "ucf101", place.format(STANDING))
    train = load_video_set("ucf101_split1_train", small)
    (video,) = train.items
    assert (video.name, video.label, train.classes) == (STANDING, 0, ("HandstandPushups", "Archery"))
    assert video.path == str(small / "ucf101" / place.format(STANDING).rstrip("/"))
    assert train.missing == ("Archery/v_Archery_g08_c01",)


def test_test_list_gets_labels_too(small):
    touch(small / "ucf101" / "UCF-101", "Archery/v_Archery_g01_c01.avi")
    assert load_video_set("ucf101_split1_test", small).items[0].label == 1


def test_a_video_in_another_classs_folder_is_not_it(small):
    touch(small / "ucf101" / "UCF-101", "Archery/v_HandStandPushups_g01_c01.avi")
    assert load_video_set("ucf101_split1_train", small).items == ()


def test_flow(small):
    touch(small / "ucf101", "UCF-101/Archery/v_Archery_g08_c01.avi", "flow/Archery/v_Archery_g08_c01/")
    touch(small / "ucf101", "flow/v_HandStandPushups_g01_c01/")
    train = load_video_set("ucf101_split1_train", small, modality="flow")
    flow = str(small / "ucf101" / "flow")
    assert [v.path for v in train.items] == [f"{flow}/v_HandStandPushups_g01_c01", f"{flow}/Archery/v_Archery_g08_c01"]
    assert train.modality == "flow"


@pytest.mark.parametrize(
    "line, message",
    [
        ("v_Archery_g08_c01.avi 2", "line 1: expected 'Class/video.avi' or 'Class/video.avi 1', found"),
        ("Archery/ 2", "line 1: expected 'Class/video.avi'"),
        ("Archery/v.avi 1", "line 1: Archery has number 2 in .*classInd.txt, found 'Archery/v.avi 1'"),
        ("HandStandPushups/v.avi 1", "line 1: 'HandStandPushups' is not one of the 2 classes; did you mean 'Handst"),
        ("Archery/v.avi 2\r\nArchery/v.avi 2", "line 2: Archery/v is listed already, at .* line 1"),
        ("", "the file is empty"),
    ],
)
def test_bad_lines(small, line, message):
    write(small / "ucf101" / "ucfTrainTestlist" / "trainlist01.txt", line)
    with pytest.raises(AnnotationError, match="trainlist01.txt:? " + message):
        load_video_set("ucf101_split1_train", small)


@pytest.mark.parametrize("second", ["3 Archery", "Archery", "2 HandstandPushups", "2 Archery x"])
def test_bad_class_index(small, second):
    write(small / "ucf101" / "ucfTrainTestlist" / "classInd.txt", "1 HandstandPushups", second)
    with pytest.raises(AnnotationError, match=f"classInd.txt line 2: expected '2 ClassName'.*, found '{second}'"):
        load_video_set("ucf101_split1_train", small)


def test_missing_list(small):
    with pytest.raises(MissingDataError) as error:
        load_video_set("ucf101_split2_train", small)
    for place in ("ucfTrainTestlist/", "annotations/", ""):
        assert f"{small}/ucf101/{place}trainlist02.txt" in str(error.value)
    assert "DETECT_DATASETS" in str(error.value) and "http" in str(error.value)
