"""The trainer from start to end on tiny videos: learning, resuming, bad input, label maps, start weights, averages."""

import json
import shutil

import numpy as np
import pytest
import torch
from tiny_videos import train, write_set

import backbones
from detect.classification.scores import load_scores
from detect.config import load_cfg
from detect.modeling import build_model
from detect.tasks.runner import averaged
from detect.utils.checkpoint_files import read_checkpoint

# larger frames and all videos in a batch: statistics of fewer values would differ too much from their average
SIZES = ("INPUT.SIZE", (64, 64), "INPUT.RESIZE", (68, 68))
LEARNING = (
    *SIZES, "SOLVER.IMS_PER_BATCH", 6, "SOLVER.MAX_ITER", 28, "SOLVER.STEPS", (21,), "MODEL.CLASSIFIER.DROPOUT", 0.0,
    "SOLVER.OPTIMIZER", "adamw", "SOLVER.BASE_LR", 0.002, "MODEL.CONTEXT.OVERRIDES.bn_momentum", 0.2,
)  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory, video_list):
    """A run that has learned the tiny videos: its folder, and what it returned."""
    folder = tmp_path_factory.mktemp("trained")
    return folder, train(video_list, folder, *LEARNING, save_scores=True)


def only(folder, pattern):
    (path,) = folder.glob(pattern)
    return path


def test_it_learns_the_videos_by_heart(trained, video_list):
    folder, results = trained
    (result,) = results.values()
    assert (result["top1"], result["top5"]) == (1.0, 1.0)
    scores = load_scores(result["scores"])
    assert scores.classes == ("blue", "green", "red") and len(scores.names) == 6
    assert np.allclose(scores.scores.sum(1), 1) and (scores.scores[np.arange(6), scores.labels] > 0.5).all()
    facts = json.loads(only(folder, "evaluation/*/results.json").read_text())
    assert facts["counts"] == {"videos": 6, "unreadable": 0, "listed_without_media": 0}
    assert facts["protocol"]["chunk_frames"] == 16 and facts["seed"] == 3 and facts["annotation_hash"]
    assert not (folder / "bad_inputs.txt").exists()


def test_a_checkpoint_tells_its_network_normalisation_and_classes(trained):
    data = read_checkpoint(trained[0] / "model_final.pth")
    assert data["tag"]["classes"] == ["blue", "green", "red"] and data["tag"]["modality"] == "rgb"
    network = data["network"]
    sizes = {key: network[key] for key in ("num_classes", "in_channels", "width", "dropout")}
    assert sizes == {"num_classes": 3, "in_channels": 3, "width": 0.125, "dropout": 0.0}
    assert network["spec"]["bn_momentum"] == 0.2
    assert data["preprocessing"] == {
        "mean": [127.5] * 3, "std": [127.5] * 3, "channel_order": "RGB", "frame_rate": None
    }  # fmt: skip


def test_evaluating_alone_gives_the_same(trained, run, tmp_path, capsys):
    folder, results = trained
    (before,) = results.values()
    (after,) = run(*SIZES, "MODEL.WEIGHTS", folder / "model_final.pth", eval_only=True, save_scores=True).values()
    assert np.array_equal(load_scores(before["scores"]).scores, load_scores(after["scores"]).scores)
    assert capsys.readouterr().out.splitlines()[-2:] == ["top-1 = 1.000", "top-5 = 1.000"]
    hashes = [
        json.loads(only(path, "evaluation/*/results.json").read_text())["weights_hash"]
        for path in (folder, tmp_path / "run")
    ]
    assert hashes[0] == hashes[1]


def test_the_detector_starts_from_it(trained):
    cfg = load_cfg(
        "configs/jhmdb/s3dg.yaml",
        ["MODEL.DEVICE", "cpu", "MODEL.CONTEXT.WIDTH", 0.125, "MODEL.RESNETS.DEPTH", 18]
        + ["INPUT.SIZE", (48, 64), "INPUT.NUM_FRAMES", 8, "MODEL.RPN.POST_NMS_TOPK_TEST", 4]
        + ["MODEL.CONTEXT.WEIGHTS", str(trained[0] / "model_final.pth")],
    )
    model = build_model(cfg, initial_weights=True)
    theirs = read_checkpoint(trained[0] / "model_final.pth")["model"]
    own = model.context.state_dict()
    assert own and all(torch.equal(value, theirs[f"stages.{name}"]) for name, value in own.items())
    network = backbones.build("s3dg", num_classes=3, width=0.125)
    network.load_state_dict(theirs)
    clips = torch.randint(0, 256, (1, 8, 48, 64, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        video = (clips.float() / 127.5 - 1).permute(0, 4, 1, 2, 3)
        expected = network.eval().endpoints(video, ("mixed_4e",))["mixed_4e"]
        found = model.eval().context(model.normalised(clips))
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3 * float(expected.std()))
        (output,) = model([{"clip": clips[0], "height": 48, "width": 64}])
    assert 0 < len(output["proposals"]) <= 4 and len(output["instances"]) > 0


@pytest.mark.parametrize("decay", [0.0, 0.5])
def test_resuming_is_bit_equal(run, tmp_path, decay):
    options = ("SOLVER.EMA_DECAY", decay, "SOLVER.ACCUMULATE", 2, "SOLVER.CHECKPOINT_PERIOD", 2, "DATASETS.TEST", ())
    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    run(*options, output=whole)
    resumed.mkdir()
    shutil.copy(whole / "model_0000001.pth", resumed)
    (resumed / "last_checkpoint").write_text("model_0000001.pth")
    run(*options, output=resumed, resume=True)
    one, two = (read_checkpoint(folder / "model_final.pth") for folder in (whole, resumed))
    for part in ("model", *(["learning"] if decay else [])):
        assert all(torch.equal(one[part][name], two[part][name]) for name in one[part])
    if decay:
        weights = "stages.mixed_5c.branch_3.1.spatial.conv.weight"
        assert not torch.equal(one["model"][weights], one["learning"][weights])


def test_the_average_by_hand():
    """decay 0.75, start 0, network 1 then 2: 0.75 * 0 + 0.25 * 1 = 0.25; 0.75 * 0.25 + 0.25 * 2 = 0.6875."""
    net = torch.nn.Linear(1, 1, bias=False)
    net.weight.data.zero_()
    average = averaged(net, 0.75)
    for value in (1.0, 2.0):
        net.weight.data.fill_(value)
        average.update_parameters(net)
    assert average.module.weight.item() == 0.6875
    with pytest.raises(ValueError, match="SOLVER.EMA_DECAY is 1.5"):
        averaged(net, 1.5)


def test_bad_videos_are_replaced_named_and_wrong(tmp_path, run, capsys):
    videos = write_set(tmp_path / "bad")
    (tmp_path / "bad" / "red0.avi").write_bytes(b"RIFF cut off")
    with pytest.raises(SystemExit) as stop:
        run(videos=videos)  # a sixth of the test videos: more than TEST.MAX_BAD_SHARE
    captured = capsys.readouterr()
    assert stop.value.code == 1 and "top-1 = " in captured.out and "16.7% of it could not be read" in captured.err
    shutil.rmtree(tmp_path / "run")
    (result,) = run("TEST.MAX_BAD_SHARE", 0.2, videos=videos).values()
    assert result["counts"]["unreadable"] == 1 and result["top1"] <= 5 / 6
    facts = json.loads(only(tmp_path, "run/evaluation/*/results.json").read_text())
    assert facts["unreadable"] == ["red0.avi"]
    lines = (tmp_path / "run" / "bad_inputs.txt").read_text().splitlines()
    assert [line.split("\t")[1].split()[0] for line in lines] == ["skipped", "counted"]
    assert all("red0.avi" in line for line in lines)
    assert "1 videos could not be read and count as wrong" in capsys.readouterr().out


def test_a_test_set_that_cannot_be_read_fails_before_the_training(tmp_path, run, video_list, capsys):
    (tmp_path / "test.avi").write_bytes(b"RIFF cut off")
    (tmp_path / "classes.txt").write_text("blue\ngreen\nred\n")
    (tmp_path / "test.txt").write_text("test.avi red\n")
    with pytest.raises(SystemExit):
        run("DATASETS.TEST", (f"list:{tmp_path}/test.txt",))
    captured = capsys.readouterr()
    assert "none of its 1 videos can be read" in captured.err and "Training from iteration" not in captured.out


def test_a_network_that_gives_no_numbers_is_no_result(trained, run, tmp_path, capsys):
    data = read_checkpoint(trained[0] / "model_final.pth")
    data["model"]["logits.bias"][0] = float("nan")
    torch.save(data, tmp_path / "nan.pth")
    with pytest.raises(SystemExit) as stop:
        run(*SIZES, "MODEL.WEIGHTS", tmp_path / "nan.pth", eval_only=True)
    assert stop.value.code == 2 and "the network gives values that are not finite" in capsys.readouterr().err


def test_listed_videos_that_are_not_there(tmp_path, run, capsys):
    videos = write_set(tmp_path / "bad")
    (tmp_path / "bad" / "red0.avi").unlink()
    with pytest.raises(SystemExit):
        run(videos=videos)
    assert "1 of 6 listed videos are not there" in capsys.readouterr().err
    assert "red0.avi" in (tmp_path / "run" / "bad_inputs.txt").read_text()
    (result,) = run("DATALOADER.MAX_BAD_SHARE", 0.2, "SOLVER.MAX_ITER", 1, videos=videos).values()
    assert result["counts"] == {"videos": 5, "unreadable": 0, "listed_without_media": 1}


def test_another_label_map_is_refused(trained, tmp_path, run, capsys):
    videos = write_set(tmp_path / "renamed")
    videos.write_text(videos.read_text().replace(" red", " white"))
    with pytest.raises(SystemExit):
        run("MODEL.WEIGHTS", trained[0] / "model_final.pth", videos=videos, eval_only=True)
    assert "was saved with classes ['blue', 'green', 'red'], but this model has" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        run("DATASETS.TEST", (f"list:{videos}",))
    assert "has 3 classes (blue, green, white, ...), the model 3" in capsys.readouterr().err


def test_start_weights_keep_the_head_for_the_same_classes_only(trained, tmp_path, run, capsys):
    weights = ("MODEL.CONTEXT.WEIGHTS", trained[0] / "model_final.pth", "SOLVER.MAX_ITER", 1, "SOLVER.BASE_LR", 1e-9)
    (result,) = run(*weights, *SIZES).values()
    assert result["top1"] >= 5 / 6 and "started from it with its head" in capsys.readouterr().out
    videos = write_set(tmp_path / "two")
    videos.write_text("".join(line + "\n" for line in videos.read_text().splitlines() if "red" not in line))
    run(*weights, "DATASETS.TEST", (), videos=videos)
    assert "its head (3 classes) is replaced by a random one of 2 classes" in capsys.readouterr().out
    state = read_checkpoint(tmp_path / "run" / "model_final.pth")["model"]
    before = read_checkpoint(trained[0] / "model_final.pth")["model"]
    assert all(torch.allclose(state[k], before[k], atol=1e-6) for k in state if k.endswith("conv.weight"))


def test_weights_of_another_normalisation_are_refused(trained, run, capsys):
    with pytest.raises(SystemExit):
        run("MODEL.WEIGHTS", trained[0] / "model_final.pth", "MODEL.CONTEXT.PIXEL_MEAN", [0, 0, 0], eval_only=True)
    message = capsys.readouterr().err
    assert "differs from the config's in normalisation, which is mean (127.5, 127.5, 127.5) and deviation" in message
    assert "set\n    MODEL.CONTEXT.NAME" in message and 'MODEL.CONTEXT.PIXEL_MEAN "[127.5, 127.5, 127.5]"' in message


@pytest.mark.parametrize(
    "overrides, message",
    [
        (("MODEL.META_ARCHITECTURE", "ActionRCNN"), "use tools/train_net.py"),
        (("DATASETS.TRAIN", ()), "training takes exactly one set"),
        (("MODEL.CONTEXT.NORM", "LN"), "it must be one of 'FrozenBN', 'BN', 'SyncBN'"),
        (("MODEL.CLASSIFIER.LABEL_SMOOTHING", 1.0), "LABEL_SMOOTHING is 1.0"),
        (("TEST.CROPS", 2), "TEST.CROPS is 2"),
        (("TEST.CHUNK_FRAMES", 20), "TEST.CHUNK_FRAMES is 20"),
    ],
)
def test_configs_that_cannot_be(run, capsys, overrides, message):
    with pytest.raises(SystemExit):
        run(*overrides, "SOLVER.MAX_ITER", 1)
    assert message in capsys.readouterr().err
