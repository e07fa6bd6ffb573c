"""Files that others published, against each other: the same boxes, whatever form they came in."""

import tarfile

import numpy as np
import pytest
from dialect_set import table

from detect.data.annotation_files import read_annotations, recognise, write_annotations
from detect.data.dialects.yowo_text import read_yowo_text
from detect.data.jhmdb import CLASSES as JHMDB
from detect.data.ucf24 import CLASSES as UCF24
from detect.evaluation.files.table_annotations import EVERY_FORMAT, read_box_table


@pytest.fixture(scope="module")
def pyannot(real_data):
    return read_annotations(real_data / "ucf101_24" / "pyannot.pkl")


@pytest.fixture(scope="module")
def act(real_data):
    return read_annotations(real_data / "jhmdb" / "JHMDB-GT.pkl")


def counts(dataset):
    tubes = [tube for video in dataset.videos for tube in video.tubes]
    annotated = sum(len(video.annotated_frames()) for video in dataset.videos)
    return len(dataset.videos), dataset.num_frames, annotated, sum(len(t.frames) for t in tubes), len(tubes)


def columns(dataset):
    """Box rows in one order, as arrays: quicker than `table` for half a million of them."""
    made = dataset.ground_truth_table()
    rank = np.argsort(np.argsort([video.name for video in dataset.videos]))
    rows = np.column_stack([rank[made["video"]], made["frame"], made["label"], made["boxes"]])
    return rows[np.lexsort(rows.T[::-1])]


@pytest.mark.parametrize(
    "file, format",
    [
        ("ucf101_24/pyannot.pkl", "pyannot"),
        ("ucf101_24/finalAnnots.mat", "final_annots"),
        ("jhmdb/JHMDB-GT.pkl", "act"),
        ("jhmdb/gkioxari_jhmdb_annot.mat", "gkioxari"),
        ("jhmdb/yowo_groundtruths_jhmdb.tar.gz", "yowo"),
        ("jhmdb", "jhmdb"),
        ("ava/eval_detection/gt.csv", "ava"),
        ("ava/ava_dataset/ava_sample.csv", "ava"),
        ("evaluator/jhmdb_split1_groundtruth.csv.gz", "table"),
    ],
)
def test_each_is_recognised(real_data, file, format):
    assert recognise(real_data / file, EVERY_FORMAT) == format


def test_totals_of_ucf101_24(pyannot, real_data):
    assert counts(pyannot) == (3194, 555_157, 478_863, 573_862, 4458) and pyannot.notes == ()
    assert sum(len(video.tubes) > 1 for video in pyannot.videos) == 715
    test = read_annotations(real_data / "ucf101_24" / "pyannot.pkl", subset="test")
    assert counts(test) == (910, 159_289, 138_527, 170_580, 1315)
    assert sum(len(video.tubes) > 1 for video in test.videos) == 204
    train = read_annotations(real_data / "ucf101_24" / "finalAnnots.mat", subset="train")
    assert counts(train) == (2284, 395_868, 340_336, 403_282, 3143)
    shipped = real_data / "ucf101_24" / "trainvideos_2290_as_shipped.txt"
    listed = read_annotations(real_data / "ucf101_24" / "pyannot.pkl", videos=shipped)
    assert len(listed.videos) == 2284 and listed.notes[0].startswith("6 listed videos skipped, they have no annotation")


def test_the_mat_file_equals_the_pickle_in_all_tubes(pyannot, real_data):
    mat = read_annotations(real_data / "ucf101_24" / "finalAnnots.mat")
    assert mat.classes == pyannot.classes == UCF24 and mat.notes == ()
    by_name = {video.name: video for video in mat.videos}
    compared = 0
    for video in pyannot.videos:
        other = by_name.pop(video.name)
        assert (video.num_frames, len(video.tubes)) == (other.num_frames, len(other.tubes))
        for a, b in zip(video.tubes, other.tubes, strict=True):
            assert a.label == b.label and np.array_equal(a.frames, b.frames) and np.array_equal(a.boxes, b.boxes)
            compared += 1
    assert compared == 4458 and not by_name


def test_gkioxaris_boxes_are_those_of_act(act, real_data):
    """31,838 rows; the 14 frames that lack are the last ones of the three clips whose masks end early."""
    gkioxari = read_annotations(real_data / "jhmdb" / "gkioxari_jhmdb_annot.mat")
    assert counts(gkioxari) == (928, 31_838, 31_838, 31_838, 928) and counts(act)[1:4] == (31_852, 31_852, 31_852)
    assert gkioxari.classes == act.classes == JHMDB
    there, all_rows = set(table(gkioxari)), set(table(act))
    assert there < all_rows
    lacking = sorted({row[0] for row in all_rows - there})
    assert len(all_rows - there) == (33 - 27) + (25 - 18) + (36 - 35) and lacking == [
        "clap/The_Slow_Clap_clap_u_cm_np1_fr_med_4",
        "clap/The_Slow_Clap_clap_u_nm_np1_fr_bad_20",
        "stand/BIG_FISH_stand_u_nm_np1_fr_med_27",
    ]


def test_yowos_boxes_are_those_of_act_but_at_the_border(act, real_data):
    """YOWO's x1 is min(x1 + 2, 320): 318 and 319 are both 320 there, and read as 318; so is y1 as 238 at most. Every
    other number is the same.
    """
    yowo = read_annotations(real_data / "jhmdb" / "yowo_groundtruths_jhmdb.tar.gz")
    assert counts(yowo) == (268, 9126, 9126, 9126, 268)  # 13 frames of JHMDB-GT's 9139 have no mask and no file
    test = read_annotations(real_data / "jhmdb" / "JHMDB-GT.pkl", subset="test")
    boxes = {row[:3]: row[3:] for row in table(test)}
    at_border = 0
    for video, frame, label, *box in table(yowo):
        x0, y0, x1, y1 = boxes[video, frame, label]
        assert box == [x0, y0, min(x1, 318), min(y1, 238)]
        at_border += x1 == 319 or y1 == 239
    assert at_border == 4632


def test_a_folder_of_yowos_files_is_read_as_its_archive(real_data, tmp_path):
    with tarfile.open(real_data / "jhmdb" / "yowo_groundtruths_jhmdb.tar.gz") as archive:
        some = [member for member in archive if "_catch_" in member.name]
        archive.extractall(tmp_path, some, filter="data")
    folder, whole = read_annotations(tmp_path), read_annotations(real_data / "jhmdb/yowo_groundtruths_jhmdb.tar.gz")
    assert len(some) > 100 and table(folder) == [row for row in table(whole) if row[0].startswith("catch/")]
    plain = read_yowo_text(tmp_path, pixels="plain")
    assert table(plain)[0][3] == table(folder)[0][3] + 1


def test_masks_are_the_boxes_of_act(act, real_data, tmp_path):
    """Of the 22 clips whose masks are there; frames after the last mask have its box."""
    masks = sorted(path.parent for path in (real_data / "jhmdb" / "puppet_mask").glob("*/*/puppet_mask.mat"))
    (tmp_path / "splits").mkdir()
    for label in JHMDB:
        clips = "".join(f"{path.name}.avi 2\n" for path in masks if path.parent.name == label)
        (tmp_path / "splits" / f"{label}_test_split1.txt").write_text(clips)
    (tmp_path / "puppet_mask").symlink_to(real_data / "jhmdb" / "puppet_mask")
    folder = read_annotations(tmp_path)
    assert len(folder.videos) == len(masks) == 22 and folder.classes == act.classes
    boxes = {row[:3]: row for row in table(act)}
    rows = table(folder)
    assert len(rows) > 400 and all(boxes[row[:3]] == row for row in rows)
    assert read_annotations(tmp_path, subset="train").videos == ()
    assert len(read_annotations(tmp_path, subset="test", split=1).videos) == 22


def test_splits_of_act(real_data):
    for split, frames in ((1, 9139), (2, 8957), (3, 9045)):
        test = read_annotations(real_data / "jhmdb" / "JHMDB-GT.pkl", subset="test", split=split)
        assert counts(test)[3] == frames


@pytest.mark.parametrize("format, file", [("pyannot", "p.pkl"), ("final_annots", "f.mat"), ("act", "X-GT.pkl")])
def test_ucf101_24_written_and_read_back(pyannot, tmp_path, format, file):
    assert write_annotations(pyannot, tmp_path / file, format) == ()
    back = read_annotations(tmp_path / file)
    assert np.array_equal(columns(back), columns(pyannot)) and counts(back) == counts(pyannot)
    assert back.classes == pyannot.classes


@pytest.mark.parametrize("format", ["pyannot", "final_annots", "act", "yowo", "ava", "coco", "own"])
def test_jhmdb_written_and_read_back(act, tmp_path, format):
    """In YOWO's form the numbers at the right and lower border are lost by one, as in YOWO's own files."""
    path = tmp_path / ("x.tar.gz" if format == "yowo" else "x")
    assert write_annotations(act, path, format) == ()
    back = read_annotations(path)
    expected = columns(act)
    if format == "yowo":
        expected = np.minimum(expected, [np.inf, np.inf, np.inf, np.inf, np.inf, 318, 238])
    assert np.array_equal(columns(back), expected) and counts(back) == counts(act) and back.classes == act.classes


def test_ava_samples(real_data):
    """0.031 x 340 = 10.54, 0.162 x 256 = 41.472; second 902 is frame 60."""
    folder = real_data / "ava" / "ava_dataset"
    excluded = folder / "ava_excluded_timestamps_sample.csv"
    sample = read_annotations(folder / "ava_sample.csv", sizes="340x256", excluded=excluded)
    (video,) = sample.videos
    assert video.name == "0f39OWEqJ24" and video.labelled.tolist() == [60]
    assert [t.label + 1 for t in video.tubes] == [12, 17, 79] and len(sample.classes) == 80
    assert video.tubes[0].boxes[0].tolist() == pytest.approx([10.54, 41.472, 227.8, 254.72])
    assert sample.notes[0].startswith("5 rows of excluded timestamps not used: 0f39OWEqJ24 0903")
    whole = read_annotations(folder / "ava_sample.csv", sizes="340x256")
    frames = {t.label + 1: t.frames.tolist() for t in whole.videos[0].tubes}
    assert frames == {12: [60, 90], 17: [60, 90], 79: [60]}
    named = real_data / "ava" / "eval_detection" / "action_list.txt"
    scored = read_annotations(real_data / "ava" / "eval_detection" / "gt.csv", sizes="340x256", classes=named)
    assert scored.classes == ("action1", "action2", "action3") and counts(scored)[0] == 3


def test_the_table_of_the_test_split_is_that_of_act(real_data):
    """The table counts frames from 1; what it lacks, sizes and classes, is given."""
    file = real_data / "evaluator" / "jhmdb_split1_groundtruth.csv.gz"
    read = read_box_table(file, sizes="320x240", first=1)
    test = read_annotations(real_data / "jhmdb" / "JHMDB-GT.pkl", subset="test")
    assert table(read) == table(test) and len(read.classes) == 21 and counts(read) == counts(test)
