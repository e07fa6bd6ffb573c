"""Accuracy in normal and reversed order, of numbers and of networks built to see the order of time or not to."""

import numpy as np
import pytest
import torch
from torch import nn

from detect.classification.model import ActionClassifier
from detect.classification.records import VideoItem, VideoSet
from detect.config import load_cfg
from detect.data.checks import AnnotationError
from detect.tasks.arrow_of_time import (
    compare_orders,
    order_table,
    partner_indices,
    reverse_time,
    score_both_orders,
)
from detect.video.writer import save_video

CLASSES = ("brighter", "darker")
PARTNERS = {"brighter": "darker", "darker": "brighter"}


class SeesTime(nn.Module):
    """Logits (last - first, first - last) of the mean brightness."""

    def forward(self, x):  # (N, C, T, H, W)
        change = (x[:, :, -1] - x[:, :, 0]).mean((1, 2, 3))
        return torch.stack([change, -change], 1)


class BlindToTime(nn.Module):
    """Logits that depend on the set of frames only."""

    def forward(self, x):
        level = x.mean((1, 2, 3, 4))
        return torch.stack([level, 0 * level], 1)


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Four videos of 20 and 9 frames that grow brighter or darker."""
    folder, items = tmp_path_factory.mktemp("ramps"), []
    for number, (label, length) in enumerate(((0, 20), (1, 20), (0, 9), (1, 9))):
        ramp = np.linspace(40, 200, length).astype(np.uint8)[:: 1 - 2 * label]
        path = folder / f"{number}.avi"
        save_video(path, np.broadcast_to(ramp[:, None, None, None], (length, 16, 16, 3)))
        items.append(VideoItem(path.name, str(path), label))
    return VideoSet("ramps", tuple(items), CLASSES)


def compared(network, videos):
    cfg = load_cfg("", ["INPUT.RESIZE", (16, 16), "INPUT.SIZE", (16, 16), "TEST.CHUNK_FRAMES", 16, "SEED", 0])
    model = ActionClassifier(network, [127.5] * 3, [127.5] * 3)
    labels = np.array([item.label for item in videos.items])
    return compare_orders(labels, *score_both_orders(cfg, model, videos), partner_indices(PARTNERS, CLASSES))


def test_a_network_that_sees_time_takes_reversed_videos_for_the_partner(videos):
    """The longer videos are tested in two parts, each of which is reversed."""
    result = compared(SeesTime(), videos)
    assert result["top1"] == {"normal": 1.0, "reversed": 0.0} and result["same_answer"] == 0.0
    assert result["top1_as_partner"] == {"normal": 0.0, "reversed": 1.0}
    assert result["within_pair"] == {"normal": 1.0, "reversed": 0.0}


def test_a_network_blind_to_time_gives_the_same_answer_in_both_orders(videos):
    result = compared(BlindToTime(), videos)
    assert result["top1"] == {"normal": 0.5, "reversed": 0.5} and result["same_answer"] == 1.0


def test_an_unreadable_video_is_wrong_in_both_orders(videos, tmp_path, caplog):
    (tmp_path / "broken.avi").write_bytes(b"no video")
    broken = VideoItem("broken.avi", str(tmp_path / "broken.avi"), 0)
    result = compared(SeesTime(), VideoSet("ramps", (*videos.items[:1], broken), CLASSES))
    assert result["top1"] == {"normal": 0.5, "reversed": 0.0} and result["top1_as_partner"]["reversed"] == 0.5
    assert "broken.avi counts as wrong" in caplog.text


def test_only_clips_are_reversed():
    clip = torch.arange(6).reshape(3, 1, 1, 2)
    (batch,) = reverse_time([[{"index": 0, "clip": clip}, {"index": 0, "end": None}]])
    assert batch[0]["clip"].flatten().tolist() == [4, 5, 2, 3, 0, 1] and batch[1] == {"index": 0, "end": None}


def test_shares_by_hand():
    """Classes 0 and 1 are partners, 2 has none; the fourth video has no label.

    normal: answers 0 (right), 0 (the partner), 2 (right). reversed: 1 (the partner), 0 of a tie (the partner), 0
    (wrong). Within the pair, normal: .5 > .3 right, .2 < .7 wrong; reversed: .1 < .8 wrong, .4 = .4 a half.
    """
    labels = np.array([0, 1, 2, -1])
    normal = np.array([[0.5, 0.3, 0.2], [0.7, 0.2, 0.1], [0.1, 0.2, 0.7], [0.2, 0.5, 0.3]])
    backward = np.array([[0.1, 0.8, 0.1], [0.4, 0.4, 0.2], [0.5, 0.2, 0.3], [0.2, 0.5, 0.3]])
    result = compare_orders(labels, normal, backward, np.array([1, 0, -1]))
    assert result["top1"] == {"normal": 2 / 3, "reversed": 0.0}
    assert result["top1_as_partner"] == {"normal": 0.5, "reversed": 1.0}
    assert result["within_pair"] == {"normal": 0.5, "reversed": 0.25}
    assert (result["videos"], result["videos_with_partner"], result["same_answer"]) == (4, 2, 0.5)
    first = order_table(result).splitlines()[2]
    assert [cell.strip() for cell in first.split("|")[1:4]] == ["top-1", "0.667", "0.000"]


def test_without_partners_or_labels():
    scores = np.array([[0.5, 0.5]])
    result = compare_orders(np.array([-1]), scores, scores)
    assert result == {"videos": 1, "top1": {"normal": None, "reversed": None}, "same_answer": 1.0}
    assert "-" in order_table(result)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"a": "b"}, "'a' has the partner 'b', which must have 'a' in turn"),
        ({"a": "a"}, "'a' has the partner 'a'"),
        ({"a": "z", "z": "a"}, "the partners name 1 classes that the set of 2 lacks: 'z'"),
    ],
)
def test_a_wrong_table_of_partners_is_refused(table, message):
    with pytest.raises(AnnotationError, match=message):
        partner_indices(table, ("a", "b"))


def test_a_class_may_have_no_partner():
    assert partner_indices({"left": "right", "right": "left"}, ("up", "right", "left")).tolist() == [-1, 2, 1]
