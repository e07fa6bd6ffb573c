import csv
import gzip
from collections import Counter

import pytest
from video_tree import listed, touch, write

from detect.classification.catalog import load_video_set
from detect.classification.kinetics import read_segments
from detect.data.checks import AnnotationError
from detect.data.media import MissingDataError
from detect.video.readers import count_frames

HEADER = "label,youtube_id,time_start,time_end,split"
SEGWAY = {"R6llTwEh07w": 303, "SOX5yA1l24A": 332, "WUzgd7C1pWA": 327}  # frames, from the data's README
NAMINGS = (
    "videos_val/riding a bike/-a_bcdefghi_000007_000017.mp4",  # the crawler of ActivityNet
    "videos_val/riding_a_bike/-a_bcdefghi_000007_000017.mkv",  # mmaction2
    "val/riding_a_bike/-a_bcdefghi_000007_000017.webm",
    "videos/val/-a_bcdefghi_000007_000017.avi",
    "rawframes_val/riding_a_bike/-a_bcdefghi_000007_000017/",
    "rawframes/-a_bcdefghi_7/",  # the temporal shift module
    "videos/-a_bcdefghi.mp4",  # torchvision
    "videos/-a_bcdefghi-cut.MP4",
    "Riding_a_Bike/-a_bcdefghi.mp4",
)


def write_val(root, *rows, header=HEADER):
    return write(root / "kinetics400" / "val.csv", header, *rows)


@pytest.fixture
def bike(tmp_path):
    write_val(tmp_path, "riding a bike,-a_bcdefghi,7,17,val", "abseiling,0wR5jVB-WPk,417,427,val")
    return tmp_path


@pytest.fixture
def real(real_data, tmp_path):
    """The real lists in the layout of the catalog, with the three clips there are."""
    for folder, source in (("kinetics400", "kinetics"), ("mini_kinetics200", "mini_kinetics_200")):
        (tmp_path / folder).mkdir()
        for path in (real_data / source).iterdir():
            (tmp_path / folder / path.name).symlink_to(path)
    (tmp_path / "kinetics400" / "videos_val").symlink_to(real_data / "videos" / "kinetics400")
    return tmp_path


def test_real_validation_list_and_clips(real):
    val = load_video_set("kinetics400_val", real)
    assert len(val.classes) == 400 and val.classes[0] == "abseiling" and val.classes[-1] == "zumba"
    assert listed(val) == {video: (f"{video}.mp4", "using segway") for video in SEGWAY}
    assert {video.name: count_frames(video.path) for video in val.items} == SEGWAY
    assert len(val.missing) == 19_903 and "0wR5jVB-WPk" in val.missing
    assert val.notes[0].startswith("19903 videos listed but not found in ")


def test_real_mini_kinetics_joined_lists(real):
    """80 000 = 200 x 400 and 5 000 = 200 x 25 videos of the same 200 classes."""
    train, val = load_video_set("mini_kinetics200_train", real), load_video_set("mini_kinetics200_val", real)
    assert (len(train.missing), len(val.missing)) == (80_000, 5_000)
    assert train.classes == val.classes and len(val.classes) == 200
    segments = read_segments(real / "mini_kinetics200" / "train_k200.csv.gz")
    assert set(Counter(segment.label for segment in segments).values()) == {400}


def test_real_bare_id_list_is_the_joined_one(real):
    (real / "kinetics400" / "videos_val").unlink()
    rows = list(csv.DictReader((real / "mini_kinetics200" / "val_k200.csv").open()))
    touch(real / "kinetics400" / "videos_val", *(f"{row['youtube_id']}.mp4" for row in rows))
    joined = load_video_set("mini_kinetics200_val", real)
    (real / "mini_kinetics200" / "val_k200.csv").unlink()
    bare = load_video_set("mini_kinetics200_val", real)
    assert bare.classes == joined.classes and set(bare.items) == set(joined.items) and len(bare.items) == 5_000
    assert set(Counter(video.label for video in bare.items).values()) == {25}
    order = (real / "mini_kinetics200" / "val_ytid_list.txt").read_text().split()
    assert [video.name for video in bare.items] == order
    assert bare.annotation_hash != joined.annotation_hash


def test_real_bare_train_list(real):
    """The published 80 000 ids, labels from a CSV of Kinetics-400 that holds them."""
    (real / "mini_kinetics200" / "train_k200.csv.gz").rename(real / "train.csv.gz")
    (real / "kinetics400" / "train.csv").write_bytes(gzip.open(real / "train.csv.gz").read())
    train = load_video_set("mini_kinetics200_train", real)
    assert len(train.missing) == 80_000 and len(train.classes) == 200


@pytest.mark.parametrize("place", NAMINGS)
def test_namings(bike, place):
    touch(bike / "kinetics400", place)
    val = load_video_set("kinetics400_val", bike)
    (video,) = val.items
    assert (video.name, video.path) == ("-a_bcdefghi", str(bike / "kinetics400" / place.rstrip("/")))
    assert val.classes == ("abseiling", "riding a bike") and video.label == 1
    assert val.missing == ("0wR5jVB-WPk",) and len(val.notes) == 1


@pytest.mark.parametrize("place", ["flow_val/{}", "flow/val/riding_a_bike/{}", "flow/riding a bike/{}", "flow/{}"])
def test_flow_folders(bike, place):
    touch(bike / "kinetics400", place.format("-a_bcdefghi_000007_000017/"), "flow/0wR5jVB-WPk.mp4")
    flow = load_video_set("kinetics400_val", bike, "flow")
    assert listed(flow) == {"-a_bcdefghi": ("-a_bcdefghi_000007_000017", "riding a bike")}
    assert flow.modality == "flow" and flow.missing == ("0wR5jVB-WPk",)


def test_quotes_are_not_in_folder_names(tmp_path):
    write_val(tmp_path, '"massaging ""person\'s"" head",aaaaaaaaaaa,0,10,val')
    touch(tmp_path / "kinetics400" / "val", "massaging_persons_head/aaaaaaaaaaa.mp4")
    val = load_video_set("kinetics400_val", tmp_path)
    assert val.classes == ('massaging "person\'s" head',) and len(val.items) == 1


def test_the_file_with_the_times_of_the_list_wins(bike):
    others = ("-a_bcdefghi_000099_000109.mp4", "-a_bcdefghi.mp4", "-a_bcdefghi_000007.mp4")
    exact = "-a_bcdefghi_000007_000017.mp4"
    for number, name in enumerate((*others, exact)):
        touch(bike / "kinetics400" / "val", name)
        val = load_video_set("kinetics400_val", bike)
        assert listed(val)["-a_bcdefghi"][0] == name
        assert ("1 videos whose file names other times than the list" in "".join(val.notes)) == (number == 0)


def test_names_that_only_begin_like_an_id(bike):
    touch(bike / "kinetics400" / "val", "-a_bcdefghiJ.mp4", "-a_bcdefgh.mp4", "-a_bcdefghi.mp4.part", "-A_bcdefghi.mp4")
    assert load_video_set("kinetics400_val", bike).items == ()


def test_columns_are_read_by_name(tmp_path):
    touch(tmp_path / "kinetics400" / "val", "aaaaaaaaaaa.mp4", "bbbbbbbbbbb.mp4")
    rows = ("0,val,aaaaaaaaaaa,diving", "", "1,val,bbbbbbbbbbb,abseiling ")
    path = tmp_path / "kinetics400" / "annotations" / "val.csv"
    write(path, "\ufeffis_cc,split,youtube_id,label", *rows, end="\r\n")
    expected = {"aaaaaaaaaaa": ("aaaaaaaaaaa.mp4", "diving"), "bbbbbbbbbbb": ("bbbbbbbbbbb.mp4", "abseiling")}
    assert listed(load_video_set("kinetics400_val", tmp_path)) == expected
    six = [HEADER + ",is_cc", "diving,aaaaaaaaaaa,1,2,val,0", "abseiling,bbbbbbbbbbb,1,2,val,1"]
    write(path, *six)
    assert listed(load_video_set("kinetics400_val", tmp_path)) == expected


def test_test_list_has_no_labels(bike):
    write(bike / "kinetics400" / "test.csv", "youtube_id,time_start,time_end,split", "ccccccccccc,1,11,test")
    touch(bike / "kinetics400" / "test", "ccccccccccc_000001_000011.mp4")
    test = load_video_set("kinetics400_test", bike)
    assert test.items[0].label is None and test.classes == ("abseiling", "riding a bike")
    (bike / "kinetics400" / "val.csv").unlink()
    with pytest.raises(MissingDataError, match="kinetics400/train.csv\n(.|\n)*kinetics400/val.csv"):
        load_video_set("kinetics400_test", bike)
    write(bike / "kinetics400" / "classes.txt", "up", "down")
    assert load_video_set("kinetics400_test", bike).classes == ("up", "down")


def test_explicit_classes(bike):
    touch(bike / "kinetics400", "val/0wR5jVB-WPk.mp4")
    without = load_video_set("kinetics400_val", bike).annotation_hash
    write(bike / "kinetics400" / "classes.txt", "riding a bike", "abseiling", "zumba")
    val = load_video_set("kinetics400_val", bike)
    assert val.classes == ("riding a bike", "abseiling", "zumba") and val.items[0].label == 1
    assert val.annotation_hash != without and len(without) == 64
    write(bike / "kinetics400" / "classes.txt", "riding_a_bike", "abseiling")
    message = r"val.csv line 2: 'riding a bike' is not one of the 2 classes; did you mean 'riding_a_bike'\?"
    with pytest.raises(AnnotationError, match=message):
        load_video_set("kinetics400_val", bike)


@pytest.mark.parametrize(
    "rows, message",
    [
        (["a,aaaaaaaaaaa,0,10"], r"line 2: 4 columns, expected 5 as in the header .*; found 'a,aaaaaaaaaaa,0,10'"),
        (["a,b,aaaaaaaaaaa,0,10,val"], "line 2: 6 columns, expected 5"),
        (["a,aaaaaaaaaaa,0,10,val", "b,#NAME?,0,10,val"], "line 3: '#NAME\\?' is no YouTube id: 11 letters"),
        (["a,aaaaaaaaaaa,0,10,val", "", "a,aaaaaaaaaaa,9,19,val"], "line 4: a{11} is listed already, at .* line 2"),
        (["a,aaaaaaaaaaa,0,soon,val"], "line 2: the time 'soon' is not a number of seconds"),
        ([",aaaaaaaaaaa,0,10,val"], "line 2: 'aaaaaaaaaaa' has no label"),
        (['"a,aaaaaaaaaaa,0,10,val'], "line 3: not a CSV row"),
        ([], "a header, but no video"),
    ],
)
def test_bad_rows(tmp_path, rows, message):
    write_val(tmp_path, *rows)
    with pytest.raises(AnnotationError, match=r"val\.csv:? " + message):
        load_video_set("kinetics400_val", tmp_path)


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", "val.csv: the file is empty"),
        (b"a,aaaaaaaaaaa,0,10,val\n", "val.csv: no column youtube_id, label; the first line must name the columns"),
        (b"youtube_id,time_start\n", "val.csv: no column label;"),
        (b"label,youtube_id\n\xff\xfe\n", "val.csv: not a text file in UTF-8"),
    ],
)
def test_bad_files(tmp_path, content, message):
    write_val(tmp_path).write_bytes(content)
    with pytest.raises(AnnotationError, match=message):
        load_video_set("kinetics400_val", tmp_path)


def test_mini_kinetics_ids_without_label_are_missing(bike):
    touch(bike / "kinetics400", "val/-a_bcdefghi.mp4")
    path = write(bike / "mini_kinetics200" / "val_ytid_list.txt", "zzzzzzzzzzz", "-a_bcdefghi")
    val = load_video_set("mini_kinetics200_val", bike)
    assert listed(val) == {"-a_bcdefghi": ("-a_bcdefghi.mp4", "riding a bike")} and val.missing == ("zzzzzzzzzzz",)
    assert val.classes == ("riding a bike",)
    assert val.notes == (f"1 videos listed without a label in {bike}/kinetics400/val.csv: zzzzzzzzzzz",)
    write(path, "zzzzzzzzzzz")
    with pytest.raises(AnnotationError, match="val_ytid_list.txt: none of its 1 ids has a label in .*val.csv"):
        load_video_set("mini_kinetics200_val", bike)
    write(path, "-a_bcdefghi 3")
    with pytest.raises(AnnotationError, match="val_ytid_list.txt line 1: '-a_bcdefghi 3' is no YouTube id"):
        load_video_set("mini_kinetics200_val", bike)
    (bike / "kinetics400" / "val.csv").unlink()
    with pytest.raises(
        MissingDataError, match="mini_kinetics200_val: the CSV with the labels of .*val_ytid_list.txt not found"
    ):
        load_video_set("mini_kinetics200_val", bike)


def test_mini_kinetics_damaged_gz(tmp_path):
    path = write(tmp_path / "mini_kinetics200" / "train_k200.csv.gz", "no gzip")
    with pytest.raises(AnnotationError, match="train_k200.csv.gz: not a text file"):
        load_video_set("mini_kinetics200_train", tmp_path)
    path.write_bytes(gzip.compress(b"label,youtube_id\n" * 99)[:-9])
    with pytest.raises(AnnotationError, match="train_k200.csv.gz: not a text file"):
        load_video_set("mini_kinetics200_train", tmp_path)


def test_each_folder_is_listed_once(tmp_path, monkeypatch):
    """One call of scandir for a place and one for each class's folder, not one for each video."""
    import os

    ids = [f"{number:011d}" for number in range(50)]
    write_val(tmp_path, *(f"class {i % 2},{video},0,10,val" for i, video in enumerate(ids)))
    touch(tmp_path / "kinetics400" / "val", *(f"class_{i % 2}/{video}/" for i, video in enumerate(ids)))
    calls, scandir = [], os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: calls.append(str(path)) or scandir(path))
    assert len(load_video_set("kinetics400_val", tmp_path).items) == 50
    assert len(calls) == len(set(calls)) == 4  # val, class_0, class_1 and the set's own folder
