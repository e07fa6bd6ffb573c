"""Training videos held back: whole recordings, some of every class, the same each time."""

from collections import Counter

import numpy as np
import pytest

from detect.data.act_pickle import load_act_dataset
from detect.data.held_out import fold_of, group_of, hold_out
from detect.data.records import ActionDataset, Tube, VideoRecord
from detect.utils.errors import UserError


def video(name, label=0):
    tube = Tube(label, np.arange(1), np.ones((1, 4), np.float32))
    return VideoRecord(name, f"/{name}", 1, 24, 32, (tube,))


def dataset(*names):
    return ActionDataset("set_train", ("a", "b"), tuple(map(video, names)), "hash")


@pytest.mark.parametrize(
    "name, group",
    [
        ("Fencing/v_Fencing_g07_c02", "g07"),
        ("catch/Goal_Keeping_Tips_catch_f_cm_np1_fr_med_2", "Goal_Keeping_Tips_catch"),
        ("catch/Torwarttraining_2_(_sterreich)_catch_f_cm_np1_ba_goo_0", "Torwarttraining_2_(_sterreich)_catch"),
        ("brush_hair/Silky_Straight_Hair_brush_hair_h_nm_np1_ba_goo_0", "Silky_Straight_Hair_brush_hair"),
        ("Rise/v_Rise_train_0002", "v_Rise_train_0002"),
    ],
)
def test_the_recording_of_a_video(name, group):
    assert group_of(video(name)) == group


def test_every_fifth_recording_of_each_class_and_no_recording_on_both_sides():
    names = [f"{c}/v_{c}_g{g:02d}_c{k:02d}" for c in ("A", "B") for g in range(1, 13) for k in (1, 2)]
    whole = dataset(*names)
    fit, held = (hold_out(whole, f"set_{part}", part) for part in ("fit", "held"))
    assert {v.name for v in fit.videos} | {v.name for v in held.videos} == set(names)
    assert not {(v.name[0], group_of(v)) for v in fit.videos} & {(v.name[0], group_of(v)) for v in held.videos}
    assert sorted({group_of(v) for v in held.videos}) == ["g03", "g08"] and len(held.videos) == 2 * 2 * 2
    assert (fit.name, fit.classes, fit.annotation_hash) == ("set_fit", whole.classes, whole.annotation_hash)


def test_a_class_of_one_recording_keeps_it():
    fit = hold_out(dataset("A/v_A_g01_c01", *(f"B/v_B_g{g:02d}_c01" for g in range(1, 6))), "set_fit", "fit")
    assert "A/v_A_g01_c01" in {v.name for v in fit.videos} and len(fit.videos) == 5
    with pytest.raises(UserError, match="set_held: nothing can be held back"):
        hold_out(dataset("A/v_A_g01_c01", "B/v_B_g01_c01"), "set_held", "held")


def test_real_jhmdb(real_data):
    train = load_act_dataset(
        real_data / "jhmdb" / "JHMDB-GT.pkl", 0, "train", media_root=real_data / "jhmdb", media=("x/{name}",), name="j"
    )
    fit, held = (hold_out(train, f"j_{part}", part) for part in ("fit", "held"))
    assert len(fit.videos) + len(held.videos) == len(train.videos) == 660
    assert 0.1 < len(held.videos) / 660 < 0.3
    assert min(Counter(v.name.split("/")[0] for v in held.videos).values()) >= 1
    assert len({v.name.split("/")[0] for v in held.videos}) == 21


def test_folds_part_groups_and_nothing_else():
    videos = tuple(VideoRecord(f"v{i}", f"v{i}", 1, 9, 9, (), group=f"g{i % 5}") for i in range(12))
    dataset = ActionDataset("set", ("a",), videos, "hash")
    held = [fold_of(dataset, "set:held", "held", fold, 3) for fold in (1, 2, 3)]
    assert [sorted({v.group for v in one.videos}) for one in held] == [["g0", "g3"], ["g1", "g4"], ["g2"]]
    assert sorted(v.name for one in held for v in one.videos) == sorted(v.name for v in videos)
    fit = fold_of(dataset, "set:fit", "fit", 1, 3)
    assert {v.group for v in fit.videos} == {"g1", "g2", "g4"} and fit.name == "set:fit"
    for fold, count in ((0, 3), (4, 3), (1, 1), (1, 6)):
        with pytest.raises(UserError, match=f"fold {fold} of {count}; it has 5 groups of videos, which make 2 to 5"):
            fold_of(dataset, "set:fit", "fit", fold, count)
