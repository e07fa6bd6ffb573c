"""Real clips of UCF101-24 and JHMDB from the official layouts into the detector."""

import numpy as np
import pytest
import torch

from detect.data.eval_stream import build_keyframe_loader
from detect.data.jhmdb import load_jhmdb
from detect.data.keyframe_mapper import KeyframeMapper
from detect.data.records import KeyframeDataset
from detect.data.ucf24 import load_ucf24
from detect.modeling import build_model
from tests.tiny import tiny_cfg

SOCCER = "SoccerJuggling/v_SoccerJuggling_g23_c01"
CATCH = "Goal_Keeping_Tips_catch_f_cm_np1_fr_med_2"


@pytest.fixture
def ucf24(real_data, tmp_path):
    (tmp_path / "splitfiles").mkdir()
    (tmp_path / "splitfiles" / "pyannot.pkl").symlink_to(real_data / "ucf101_24" / "pyannot.pkl")
    (tmp_path / "splitfiles" / "testlist01.txt").write_text(SOCCER + "\n")
    (tmp_path / "UCF-101").symlink_to(real_data / "videos" / "ucf101")
    return KeyframeDataset(load_ucf24(tmp_path, "test"), "all")


@pytest.fixture
def jhmdb(real_data, tmp_path):
    (tmp_path / "splits").mkdir()
    for path in (real_data / "jhmdb" / "splits").glob("*.txt"):
        lines = [line for line in path.read_text().splitlines() if line.startswith(CATCH)]
        (tmp_path / "splits" / path.name).write_text("\n".join(lines) + "\n")
    for folder in ("Rename_Images", "puppet_mask"):
        (tmp_path / folder).symlink_to(real_data / "jhmdb" / folder)
    return KeyframeDataset(load_jhmdb(tmp_path, 3, "test"), "all")


def test_a_ucf101_clip_at_the_papers_size(ucf24):
    sample = KeyframeMapper(20, (320, 400), is_train=True)(ucf24[100], np.random.default_rng(0))
    assert sample["clip"].shape == (20, 320, 400, 3) and (sample["height"], sample["width"]) == (240, 320)
    x0, y0, x1, y1 = ucf24[100]["annotations"][0]["bbox"]
    expected = torch.tensor([[x0 * 400 / 320, y0 * 320 / 240, x1 * 400 / 320, y1 * 320 / 240]])
    torch.testing.assert_close(sample["instances"].gt_boxes.tensor, expected)
    assert ucf24.dataset.classes[int(sample["instances"].gt_classes)] == "SoccerJuggling"


@pytest.mark.parametrize("name, frames", [("ucf24", 240), ("jhmdb", 40)])
def test_every_frame_reaches_the_detector(name, frames, request):
    dataset = request.getfixturevalue(name)
    cfg = tiny_cfg("MODEL.ROI_HEADS.NUM_CLASSES", len(dataset.dataset.classes), "INPUT.NUM_FRAMES", 4)
    model = build_model(cfg).eval()
    mapper = KeyframeMapper.from_config(cfg, is_train=False)
    seen = []
    with torch.no_grad():
        for batch in build_keyframe_loader(dataset, mapper, 16):
            seen += [item["frame_index"] for item in batch]
            if len(seen) <= 16:
                assert all(len(output["instances"]) for output in model(batch))
    assert seen == list(range(frames))
