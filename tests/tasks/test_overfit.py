"""tools/train_net.py --overfit-check: sound sets pass, each kind of broken one is named, with its numbers."""

from dataclasses import replace

import numpy as np
import pytest

from detect.config import load_cfg
from detect.data.catalog import register_ucf24
from detect.data.keyframe_mapper import KeyframeMapper
from detect.data.ucf24 import load_ucf24
from detect.tasks import overfit_training
from detect.tasks.overfit import anchor_fit
from detect.tasks.overfit_annotation import look_at_annotation
from detect.tasks.overfit_clips import by_class, choose_clips, only_keyframe
from detect.tasks.overfit_training import overfit_config
from detect.utils.errors import UserError
from tests.running import run_tool
from tests.tasks.moving_squares import BROKEN, TINY, write_squares

PASSED, FAILED = "overfit check passed: ", "overfit check failed: "


@pytest.fixture(scope="module", autouse=True)
def sound(tmp_path_factory):
    root = write_squares(tmp_path_factory.mktemp("squares"))
    register_ucf24("squares_train", root, "train")
    return load_ucf24(root, "train", name="squares_train")


@pytest.fixture
def check(tmp_path):
    def check(*opts, name="squares_train", options=()):
        opts = [*TINY, "DATASETS.TRAIN", (name,), "OUTPUT_DIR", tmp_path / "out", *opts]
        done = run_tool("train_net", "--overfit-check", *options, *opts)
        return done.returncode, done.stdout.splitlines(), done.stderr

    return check


def test_a_sound_set_passes(check, tmp_path):
    code, out, _ = check()
    assert code == 0 and out[-1].startswith(f"{PASSED}frame-mAP@0.5 = 1.000 on 4 clips after ")
    assert [line for line in out if line.startswith("clip: ")][0] == "clip: V/3 frame 8, Green"
    assert any("boxes and motion agree: correlation 0.84 over 6 videos" in line for line in out)
    assert not list((tmp_path / "out" / "overfit_check").glob("*.pth"))


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_set_fails_with_its_reason(kind, check, tmp_path):
    """Two steps of training: what is found needs no more, and more would learn the wrong boxes by heart."""
    how, found = BROKEN[kind]
    register_ucf24(f"{kind}_train", write_squares(tmp_path / "set", **how), "train")
    code, out, _ = check("SOLVER.MAX_ITER", 2, name=f"{kind}_train")
    assert code == 1 and out[-1].startswith(FAILED + found) and "; next: " in out[-1]
    evidence = next(line for line in out if line.startswith(f"found: {found}"))
    assert any(digit in evidence.split(" (")[1] for digit in "123456789")
    if kind in ("corners", "half", "late"):
        assert f"tools/visualize_data.py {kind}_train" in out[-1]


def test_anchors_that_do_not_fit(check):
    code, out, _ = check("SOLVER.MAX_ITER", 20, "MODEL.ANCHOR_GENERATOR.SIZES", [[300]])
    assert code == 1 and out[-1].startswith(f"{FAILED}the RPN finds little: no anchor fits the boxes; next: set MODEL.")
    assert out[-1].endswith("SIZES to [[18]], in pixels of INPUT.SIZE")


@pytest.mark.parametrize("rate, level", [(5e-5, "low"), (1e5, "high")])
def test_learning_rates(rate, level, check, monkeypatch):
    monkeypatch.setattr(overfit_training, "TRIAL_STEPS", 12)
    code, out, _ = check("SOLVER.MAX_ITER", 12, "SOLVER.BASE_LR", rate, options=("--clips", 2))
    assert code == 1 and f"learning rate: SOLVER.BASE_LR {rate:g} is too {level}; next: " in out[-1]


def test_a_loss_that_is_not_finite(check):
    code, out, _ = check("SOLVER.MAX_ITER", 20, "SOLVER.BASE_LR", 1e30, "SOLVER.CLIP_GRADIENTS.ENABLED", False)
    assert (
        code == 1
        and out[-1] == f"{FAILED}learning rate: the loss is not finite; next: lower SOLVER.BASE_LR, 1e+30, ten times"
    )


def test_running_statistics_that_lag(check):
    """With slim's momentum the statistics are those of the random weights, however well the clips are learned."""
    code, out, _ = check("MODEL.CONTEXT.OVERRIDES.bn_momentum", 0.001, "SOLVER.MAX_ITER", 40)
    assert code == 1 and out[-1].startswith(f"{FAILED}batch normalisation: its running statistics lag behind")
    assert "bn_momentum to 0.1" in out[-1]


def test_proposals_that_are_dropped(check):
    """The loss falls to nothing all the same, and no learning rate is to blame."""
    code, out, _ = check("SOLVER.MAX_ITER", 60, "MODEL.PROPOSAL_GENERATOR.MIN_SIZE", 40)
    assert code == 1 and out[-1].startswith(f"{FAILED}the RPN finds little; next: raise MODEL.RPN.POST_NMS_TOPK_TEST")


@pytest.mark.parametrize(
    ("options", "opts", "said"),
    [
        (("--clips", 0), (), "--clips 0: at least one"),
        (("--eval-only",), (), "--overfit-check is a training of its own"),
        (("--resume",), (), "--overfit-check is a training of its own"),
        (("--num-gpus", 2), (), "--overfit-check is a training of its own"),
        ((), ("DATASETS.TRAIN", ()), "training takes exactly one set"),
        ((), ("DATASETS.TRAIN", ("square_train",)), "did you mean squares_train"),
    ],
)
def test_bad_arguments(options, opts, said, check):
    code, _, err = check(*opts, options=options)
    assert code == 2 and said in err


def test_clips_are_of_many_classes_and_have_one_keyframe(sound):
    order = [video.name for video in by_class(sound.videos)]
    assert order == ["V/3", "V/2", "V/5", "V/0", "V/1", "V/4"] or len({*order}) == 6
    labels = [video.tubes[0].label for video in by_class(sound.videos)]
    assert set(labels[:2]) == set(labels[2:4]) == {0, 1}
    mapper = KeyframeMapper.from_config(load_cfg("", TINY), is_train=False)
    clips, items = choose_clips(sound, 3, mapper)
    assert len(clips) == len(items) == 3 and clips.name == "squares_train"
    assert [sum(len(tube.frames) for tube in video.tubes) for video in clips.dataset.videos] == [1, 1, 1]
    assert [(item["video"], item["frame_index"]) for item in items] == [(s["video"], s["frame_index"]) for s in clips]
    one = only_keyframe(sound.videos[0])
    assert one.annotated_frames().tolist() == [8] and (one.boxes_at(8)[0] == sound.videos[0].boxes_at(8)[0]).all()


def test_videos_that_cannot_be_read_are_passed_over(sound):
    mapper = KeyframeMapper.from_config(load_cfg("", TINY), is_train=False)
    gone = [replace(video, path="/gone") for video in sound.videos]
    some = replace(sound, videos=tuple(gone[:4] + list(sound.videos[4:])))
    assert {video.name for video in choose_clips(some, 4, mapper)[0].dataset.videos} == {"V/4", "V/5"}
    with pytest.raises(UserError, match="squares_train: no video with boxes can be read"):
        choose_clips(replace(sound, videos=tuple(gone)), 4, mapper)


def test_the_config_of_the_check():
    cfg = load_cfg("configs/quickstart.yaml", ["INPUT.COLOR_JITTER", 0.4, "SOLVER.EMA_DECAY", 0.9])
    cfg = cfg.changed(["INPUT.SPEED_JITTER", (0.5, 2.0), "INPUT.BACKGROUND_PROB", 0.5])
    changed = overfit_config(cfg, 4)
    assert changed.INPUT.COLOR_JITTER == changed.SOLVER.EMA_DECAY == changed.INPUT.FLIP_PROB == 0
    assert changed.INPUT.SPEED_JITTER == (1.0, 1.0) and changed.INPUT.BACKGROUND_PROB == 0
    assert (changed.SOLVER.IMS_PER_BATCH, changed.SOLVER.MAX_ITER, changed.SOLVER.BASE_LR) == (4, 300, 0.02)
    assert changed.OUTPUT_DIR == "output/quickstart/overfit_check" and changed.DATASETS.TEST == ()
    assert overfit_config(load_cfg("configs/Base-ActionRCNN.yaml"), 4).SOLVER.MAX_ITER == 1000


def test_anchors_and_boxes(sound):
    """Boxes of 18 x 18 and anchors of 16 at the ratios 0.5, 1 and 2: the square one has 256 / 324."""
    cfg = load_cfg("", [*TINY, "MODEL.ANCHOR_GENERATOR.SIZES", [[16]]])
    clips, _ = choose_clips(sound, 2, KeyframeMapper.from_config(cfg, is_train=False))
    fit, sizes = anchor_fit(cfg, clips)
    assert fit == pytest.approx(256 / 324) and sizes == [18]


def test_a_sound_set_raises_no_suspicion(sound):
    findings, lines = look_at_annotation(sound, 4)
    assert findings == [] and lines[0].startswith("boxes and motion agree")
    still = replace(sound, videos=tuple(replace(v, path=sound.videos[0].path) for v in sound.videos[:3]))
    assert look_at_annotation(still, 4)[1][0].startswith("boxes and motion: nothing can be said (3 videos")
    assert np.isfinite(float(lines[0].split("correlation ")[1].split()[0]))
