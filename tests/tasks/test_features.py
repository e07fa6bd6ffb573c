"""Features of clips: which frames are in which clip, the numbers, resuming, bad videos, the tool."""

import multiprocessing
import shutil
import weakref

import cv2
import numpy as np
import pytest
import torch

import backbones
from detect.tasks.features import ClipNetwork, FeatureSettings, extract_features, load_network, strided_clips
from detect.utils.checkpoint_files import CheckpointError
from detect.video.readers import read_frames
from tests.running import run_tool

SMALL = {"resize": (36, 40), "crop": (32, 32)}


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    return backbones.build("i2d", width=0.125, num_classes=5, conv_std=0.0).eval()


@pytest.fixture(scope="module")
def weights(net, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "plain.pth"
    torch.save(net.state_dict(), path)
    return path


def write_video(path, frames, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 12, (64, 48))
    for image in np.random.default_rng(seed).integers(0, 255, (frames, 6, 8, 3), np.uint8):
        writer.write(cv2.resize(image, (64, 48)))
    writer.release()
    return path


@pytest.mark.parametrize("length", [1, 3, 4])
@pytest.mark.parametrize("stride", [1, 2, 4, 7])
@pytest.mark.parametrize("count", range(12))
def test_clips_start_every_stride_and_reach_the_end_once(length, stride, count):
    clips = list(strided_clips(range(count), length, stride))
    assert [start for start, _, _ in clips] == [k * stride for k in range(len(clips))]
    for start, frames, real in clips:
        assert frames == [min(i, count - 1) for i in range(start, start + length)]
        assert real == min(length, count - start) > 0
    if stride <= length:
        assert {i for _, frames, _ in clips for i in frames} == set(range(count))
    assert sum(start + length >= count for start, _, _ in clips) <= 1
    assert len(clips) == (0 if count == 0 else 1 + max(0, -(-(count - max(length, stride)) // stride)))


def test_no_more_than_a_clip_is_held():
    alive, most = weakref.WeakSet(), 0

    class Frame:
        def __init__(self):
            alive.add(self)

    for _ in strided_clips((Frame() for _ in range(200)), 8, 4):
        most = max(most, len(alive))
    assert most == 8


def test_features_are_the_endpoints_of_the_clips_as_read_resized_cropped_and_normalised(net, tmp_path):
    path = write_video(tmp_path / "video.avi", 7)
    settings = FeatureSettings(("mixed_4b", "mixed_5c"), "none", clip_length=4, clip_stride=2, **SMALL)
    network = ClipNetwork(net, {"mean": [100.0, 110.0, 120.0], "std": [50.0, 60.0, 70.0], "channel_order": "BGR"})
    found = extract_features(path, network, settings)
    assert found["start_frame"].tolist() == [0, 2, 4] and found["real_frames"].tolist() == [4, 4, 3]
    assert found["num_frames"] == 7 and found["fps"] == 12

    frames = np.stack([cv2.resize(frame, (40, 36)) for frame in read_frames(path, range(7))])[:, 2:34, 4:36, ::-1]
    x = (frames.astype(np.float64) - [100, 110, 120]) / [50, 60, 70]
    for row, indices in enumerate(([0, 1, 2, 3], [2, 3, 4, 5], [4, 5, 6, 6])):
        clip = torch.from_numpy(x[indices]).float().permute(3, 0, 1, 2)[None]
        with torch.no_grad():
            expected = net.endpoints(clip, ("mixed_4b", "mixed_5c"))
        for name, value in expected.items():
            np.testing.assert_allclose(found[name][row], value[0], rtol=1e-3, atol=1e-5, err_msg=name)
    assert found["mixed_5c"].shape == (3, net.logits.in_channels, 1, 1, 1)
    assert np.ptp(found["mixed_5c"], axis=0).max() > 1e-3  # the clips do differ


def test_pooling_and_batches_change_nothing_else(net, tmp_path):
    path = write_video(tmp_path / "video.avi", 9)
    options = {"clip_length": 4, "clip_stride": 1, **SMALL}
    whole = extract_features(path, ClipNetwork(net, {}), FeatureSettings(("mixed_3c",), "none", **options))
    pooled = extract_features(path, ClipNetwork(net, {}, batch_size=4), FeatureSettings(("mixed_3c",), **options))
    assert pooled["mixed_3c"].dtype == np.float32
    np.testing.assert_allclose(pooled["mixed_3c"], whole["mixed_3c"].mean((2, 3, 4)), rtol=1e-4, atol=1e-6)


def test_frame_step_takes_every_nth_frame(net, tmp_path):
    path = write_video(tmp_path / "video.avi", 9)
    found = extract_features(
        path, ClipNetwork(net, {}), FeatureSettings(clip_length=2, clip_stride=2, frame_step=3, **SMALL)
    )
    assert found["start_frame"].tolist() == [0, 6] and found["real_frames"].tolist() == [2, 1]  # frames 0 3, 6
    assert found["num_frames"] == 9


def test_a_folder_of_frames_has_no_frame_rate(net, tmp_path):
    for number in range(1, 4):
        cv2.imwrite(str(tmp_path / f"{number:05d}.png"), np.full((20, 20, 3), 40 * number, np.uint8))
    found = extract_features(tmp_path, ClipNetwork(net, {}), FeatureSettings(clip_length=8, clip_stride=8, **SMALL))
    assert np.isnan(found["fps"]) and found["real_frames"].tolist() == [3]


def test_tool_lists_bad_videos_and_goes_on_where_it_was(weights, tmp_path):
    write_video(tmp_path / "videos" / "a" / "one.avi", 5)
    write_video(tmp_path / "videos" / "two.avi", 9, seed=1)
    (tmp_path / "videos" / "broken.avi").write_bytes(b"no video")
    half = write_video(tmp_path / "videos" / "half.avi", 20).read_bytes()
    (tmp_path / "videos" / "half.avi").write_bytes(half[: len(half) // 2])
    sizes = tmp_path / "videos" / "sizes"
    sizes.mkdir()
    for number in (1, 2, 3):
        cv2.imwrite(str(sizes / f"{number:05d}.png"), np.zeros((20, 20 + number // 3, 3), np.uint8))
    output = tmp_path / "features"
    call = (
        "--weights", weights, "--network", "i2d", "--width", 0.125, "--input", tmp_path / "videos", "--output", output,
        "--clip-length", 4, "--resize", 36, 40, "--crop", 32, 32,
    )  # fmt: skip
    status, printed, errors = run_tool("extract_features", *call)
    assert status == 1 and "5 videos: 2 done, 0 were done before, 3 bad" in printed, errors
    assert f"bad input: {tmp_path}/videos/broken.avi" in errors and "of 20 frames decode" in errors
    assert "00003.png: frames 1 and 2 differ in size: 20 x 20 and 21 x 20 pixels" in errors
    assert not (output / "half.npz").exists() and not (output / "sizes.npz").exists()
    assert (output / "bad_inputs.txt").read_text().startswith(f"{tmp_path}/videos/broken.avi\t")
    with np.load(output / "a" / "one.npz") as found:
        assert set(found) == {"mixed_5c", "start_frame", "real_frames", "num_frames", "fps"}
        assert found["mixed_5c"].shape == (2, 128)
    before = (output / "two.npz").stat().st_mtime_ns

    (output / "a" / "one.npz").unlink()
    for name in ("broken.avi", "half.avi"):
        (tmp_path / "videos" / name).unlink()
    shutil.rmtree(sizes)
    status, printed, errors = run_tool("extract_features", *call)
    assert status == 0 and "2 videos: 1 done, 1 were done before, 0 bad" in printed, errors
    assert (output / "two.npz").stat().st_mtime_ns == before and not (output / "bad_inputs.txt").exists()
    assert not list(output.rglob("*.tmp"))

    status, _, errors = run_tool("extract_features", *call, "--pool", "none")
    assert status == 2 and "holds features of pool mean (now none)" in errors
    (output / "settings.json").write_text("[1, 2]")
    status, _, errors = run_tool("extract_features", *call)
    assert status == 2 and "settings.json: damaged" in errors and len(errors.splitlines()) == 1


@pytest.mark.parametrize(
    "values, message",
    [
        ({"endpoints": ("mixed_9z",)}, "unknown endpoint 'mixed_9z'.*mixed_5c, logits"),
        ({"endpoints": ()}, "at least one endpoint"),
        ({"pool": "max"}, "'max'.*mean or none"),
        ({"clip_length": 0}, "clip_length is 0"),
        ({"clip_stride": -1}, "clip_stride is -1"),
        ({"crop": (300, 224)}, "must fit"),
    ],
)
def test_settings_without_sense(values, message):
    with pytest.raises(ValueError, match=message):
        FeatureSettings(**values)


def test_network_of_a_plain_state_dict(net, weights, tmp_path):
    loaded, preprocessing = load_network(str(weights), "i2d", 0.125)
    assert preprocessing == {} and torch.equal(loaded.logits.weight, net.logits.weight)
    with pytest.raises(CheckpointError, match="does not say which network.*--network"):
        load_network(str(weights), None)
    with pytest.raises(CheckpointError, match="plain.pth: does not fit s3d of width 0.125"):
        load_network(str(weights), "s3d", 0.125)
    with pytest.raises(ValueError, match="unknown network 'i22d'"):
        load_network(str(weights), "i22d")


def test_network_and_preprocessing_of_a_recorded_checkpoint(net, tmp_path):
    content = backbones.network_state(net)
    content["preprocessing"] = {"mean": [1.0, 2, 3], "std": [4.0, 5, 6], "channel_order": "BGR", "frame_rate": 25.0}
    torch.save(content, tmp_path / "ours.pth")
    loaded, preprocessing = load_network(str(tmp_path / "ours.pth"), None)
    assert preprocessing == content["preprocessing"] and torch.equal(loaded.logits.weight, net.logits.weight)


def test_networks_of_other_input_and_empty_batches(net):
    with pytest.raises(ValueError, match="takes 2 channels XY"):
        ClipNetwork(backbones.build("i2d", width=0.125, in_channels=2), {"channel_order": "XY"})
    with pytest.raises(ValueError, match="batch size 0"):
        ClipNetwork(net, {}, batch_size=0)


def test_real_videos(net, real_data):
    found = extract_features(
        real_data / "videos" / "hmdb51" / "wave" / "TrumanShow_wave_f_nm_np1_fr_med_26.avi",
        ClipNetwork(net, {}),
        FeatureSettings(clip_length=16, clip_stride=16, **SMALL),
    )
    assert found["num_frames"] == 48 and found["start_frame"].tolist() == [0, 16, 32]  # its header says 49
    assert np.isfinite(found["mixed_5c"]).all()


def test_two_shards_at_once(weights, tmp_path):
    """They have one settings.json, a list of bad inputs each, and leave each other's unfinished files alone."""
    for number in range(5):
        write_video(tmp_path / "videos" / f"v{number}.avi", 3, seed=number)
    for number in (5, 6):
        (tmp_path / "videos" / f"v{number}.avi").write_bytes(b"no video")
    output = tmp_path / "features"
    output.mkdir()
    left = [output / f".v{number}.npz.{2**22 + 1}.tmp" for number in (0, 1)]  # of killed runs of both shards
    for path in left:
        path.touch()
    call = (
        "--weights", weights, "--network", "i2d", "--width", 0.125, "--input", tmp_path / "videos", "--output", output,
        "--clip-length", 2, "--resize", 36, 40, "--crop", 32, 32,
    )  # fmt: skip
    printed = run_tool("extract_features", *call, "--shard", "1/2")
    assert printed.returncode == 1 and "4 videos: 3 done, 0 were done before, 1 bad" in printed.stdout, printed.stderr
    assert not left[0].exists() and left[1].exists()
    context = multiprocessing.get_context("fork")
    for number in range(4):
        (output / f"v{number}.npz").unlink(missing_ok=True)
    (output / "settings.json").unlink()
    runs = [context.Process(target=run_tool, args=("extract_features", *call, "--shard", f"{i}/2")) for i in (1, 2)]
    for process in runs:
        process.start()
    for process in runs:
        process.join()
    assert sorted(path.name for path in output.iterdir()) == [
        "bad_inputs_1_of_2.txt", "bad_inputs_2_of_2.txt", "settings.json", *(f"v{number}.npz" for number in range(5))
    ]  # fmt: skip
    printed = run_tool("extract_features", *call, RANK="1", WORLD_SIZE="2")  # as torchrun starts it
    assert printed.returncode == 0 and "3 videos: 0 done, 2 were done before, 1 bad" in printed.stdout, printed.stderr
    assert (output / "bad_inputs_2_of_2.txt").read_text().startswith(f"{tmp_path}/videos/v5.avi\t")
