import os
import shutil

import numpy as np
import pytest
import scipy.io

from detect.data.checks import AnnotationError
from detect.data.jhmdb import CLASSES, load_jhmdb, mask_boxes
from detect.data.media import MissingDataError
from detect.utils.errors import UserError
from detect.video.readers import count_frames

SHORT = {  # masks, frames
    "clap/The_Slow_Clap_clap_u_cm_np1_fr_med_4": (27, 33),
    "clap/The_Slow_Clap_clap_u_nm_np1_fr_bad_20": (18, 25),
    "stand/BIG_FISH_stand_u_nm_np1_fr_med_27": (35, 36),
}
CLIP = "catch/Goal_Keeping_Tips_catch_f_cm_np1_fr_med_2"


@pytest.mark.parametrize("split, videos, frames", [(1, 268, 9139), (2, 270, 8957), (3, 265, 9045)])
def test_real_counts(real_data, split, videos, frames):
    test = load_jhmdb(real_data / "jhmdb", split, "test")
    train = load_jhmdb(real_data / "jhmdb", split, "train")
    assert (len(test.videos), test.num_frames, len(test.ground_truth_table()["boxes"])) == (
        videos,
        frames,
        frames,
    )
    assert len(train.videos) == 928 - videos and train.num_frames == 31_852 - frames
    assert test.classes == train.classes == CLASSES


def write_splits(root, names):
    (root / "splits").mkdir()
    for label in CLASSES:
        lines = [f"{name.split('/')[1]}.avi 2 \n" for name in names if name.startswith(f"{label}/")]
        (root / "splits" / f"{label}_test_split1.txt").write_text("".join(lines) + "Other.avi 1 \n")


@pytest.fixture
def official(real_data, tmp_path):
    """Official folders with every mask there is; the images of the three short clips only have names."""
    masks = real_data / "jhmdb" / "puppet_mask"
    shutil.copytree(masks, tmp_path / "puppet_mask", symlinks=True)
    names = sorted(str(path.parent.relative_to(masks)) for path in masks.rglob("puppet_mask.mat"))
    write_splits(tmp_path, names)
    (tmp_path / "Rename_Images" / "catch").mkdir(parents=True)
    os.symlink(real_data / "jhmdb" / "Rename_Images" / CLIP, tmp_path / "Rename_Images" / CLIP)
    for name, (_, frames) in SHORT.items():
        folder = tmp_path / "Rename_Images" / name
        folder.mkdir(parents=True)
        for number in range(1, frames + 1):
            (folder / f"{number:05d}.png").touch()
        (folder / ".DS_Store").touch()
        (folder / "._00001.png").touch()
    return tmp_path


def test_real_masks_give_the_boxes_of_the_ground_truth_file(official, real_data):
    masks = load_jhmdb(official, 1, "test", source="auto")
    expected = {}
    for subset in ("train", "test"):
        expected.update((v.name, v) for v in load_jhmdb(real_data / "jhmdb", 1, subset).videos)
    assert len(masks.videos) == 22
    for video in masks.videos:
        other = expected[video.name]
        assert (video.num_frames, video.height, video.width) == (other.num_frames, other.height, other.width)
        assert video.tubes[0].label == other.tubes[0].label
        np.testing.assert_array_equal(video.tubes[0].frames, other.tubes[0].frames)
        np.testing.assert_array_equal(video.tubes[0].boxes, other.tubes[0].boxes)
    (note,) = [note for note in masks.notes if "end early" in note]
    assert note.startswith("3 videos whose masks end early, last box repeated")
    for name, (short, frames) in SHORT.items():
        assert f"{name} ({short} masks, {frames} frames)" in note


def test_the_pickle_is_preferred_and_masks_can_be_forced(official, real_data):
    os.symlink(real_data / "jhmdb" / "JHMDB-GT.pkl", official / "JHMDB-GT.pkl")
    assert len(load_jhmdb(official, 1, "test").videos) == 268
    assert len(load_jhmdb(official, 1, "test", source="masks").videos) == 22


def test_real_clip_in_both_media(real_data):
    for split, subset in ((1, "train"), (3, "test")):
        videos = {video.name: video for video in load_jhmdb(real_data / "jhmdb", split, subset).videos}
        assert videos[CLIP].path == str(real_data / "jhmdb" / "Rename_Images" / CLIP)
        assert videos[CLIP].num_frames == 40 == count_frames(videos[CLIP].path)
    assert count_frames(real_data / "jhmdb" / "ReCompress_Videos" / f"{CLIP}.avi") == 40  # its header says 48


def write_mask(path, mask):
    path.parent.mkdir(parents=True)
    scipy.io.savemat(path, {"part_mask": mask})


def test_box_of_a_mask(tmp_path):
    mask = np.zeros((24, 32, 3), np.uint8)
    mask[5:9, 10:21, 0] = 1  # rows 5..8, columns 10..20
    mask[[0, 23], [0, 31], 1] = 1  # two far corners; the third frame is empty
    write_mask(tmp_path / "m" / "puppet_mask.mat", mask)
    boxes, size = mask_boxes(tmp_path / "m" / "puppet_mask.mat")
    assert boxes[:2].tolist() == [[10, 5, 20, 8], [0, 0, 31, 23]] and size == (24, 32)
    assert np.isnan(boxes[2]).all()


def test_one_mask(tmp_path):
    write_mask(tmp_path / "m" / "puppet_mask.mat", np.ones((24, 32, 1), np.uint8))
    boxes, _ = mask_boxes(tmp_path / "m" / "puppet_mask.mat")
    assert boxes.tolist() == [[0, 0, 31, 23]]


def test_without_video_the_masks_give_the_length(tmp_path):
    mask = np.zeros((24, 32, 4), np.uint8)
    mask[2:8, 3:9, [0, 1, 3]] = 1
    write_mask(tmp_path / "puppet_mask" / "wave" / "Me_(1)_,_@!" / "puppet_mask.mat", mask)
    write_splits(tmp_path, ["wave/Me_(1)_,_@!"])
    dataset = load_jhmdb(tmp_path, 1, "test")
    (video,) = dataset.videos
    assert video.num_frames == 4 and video.annotated_frames().tolist() == [0, 1, 3]
    assert video.tubes[0].label == CLASSES.index("wave")
    notes = "\n".join(dataset.notes)
    assert "1 videos whose length is taken from the masks" in notes and "1 boxes dropped, not finite" in notes


def test_damaged_mask_and_split_file_are_named(tmp_path):
    write_splits(tmp_path, ["wave/v"])
    with pytest.raises(MissingDataError, match="annotation of wave/v not found; (.|\n)*wave/v/puppet_mask.mat"):
        load_jhmdb(tmp_path, 1, "test")
    path = tmp_path / "puppet_mask" / "wave" / "v" / "puppet_mask.mat"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"not a mat file")
    with pytest.raises(AnnotationError, match="wave/v/puppet_mask.mat: no readable part_mask"):
        load_jhmdb(tmp_path, 1, "test")
    for mask in (np.zeros((2, 24, 32, 4)), np.zeros((0, 0, 3)), "text", np.array([[{}]], object)):
        scipy.io.savemat(path, {"part_mask": mask})
        with pytest.raises(AnnotationError, match="puppet_mask.mat: part_mask is .*; expected numbers"):
            load_jhmdb(tmp_path, 1, "test")
    split = tmp_path / "splits" / "wave_test_split1.txt"
    split.write_bytes(b"\xef\xbb\xbf" + split.read_bytes())
    with pytest.raises(AnnotationError, match="wave/v/puppet_mask.mat"):  # the first video kept its name
        load_jhmdb(tmp_path, 1, "test")
    split.write_bytes(b"caf\xe9.avi 2\n")
    with pytest.raises(UserError, match="wave_test_split1.txt: not a text file in UTF-8"):
        load_jhmdb(tmp_path, 1, "test")
    (tmp_path / "splits" / "wave_test_split1.txt").write_text("v.avi 2\nw.avi three\n")
    with pytest.raises(AnnotationError, match="wave_test_split1.txt line 2: .*'w.avi three'"):
        load_jhmdb(tmp_path, 1, "test")


def test_missing_root_and_files(tmp_path):
    with pytest.raises(MissingDataError, match="jhmdb.is.tue.mpg.de"):
        load_jhmdb(tmp_path / "nowhere", 1, "test")
    with pytest.raises(MissingDataError, match="splits/brush_hair_test_split2.txt"):
        load_jhmdb(tmp_path, 2, "test")
    with pytest.raises(MissingDataError, match="JHMDB-GT.pkl"):
        load_jhmdb(tmp_path, 2, "test", source="pickle")
    with pytest.raises(ValueError, match="split is 4; legal values are 1, 2, 3"):
        load_jhmdb(tmp_path, 4, "test")
