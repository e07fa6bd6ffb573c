import json

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detect.video.flow import (
    check_flow_range,
    decode_flow,
    encode_flow,
    flip_flow,
    flow_length,
    read_flow,
    temporary_folder,
    write_flow,
)
from detect.video.readers import FrameReadError, MissingMediaError

NAMINGS = {
    "TSN": ("flow_{c}_{i:05d}.jpg", 1),
    "mmaction2's tests": ("{c}_{i:05d}.jpg", 1),
    "TSM": ("000123-{c}_{i:05d}.jpg", 1),
    "denseflow": ("flow_{c}_{i:05d}.jpg", 0),
    "PNG": ("flow_{c}_{i}.png", 1),
}


def write_images(folder, name="flow_{c}_{i:05d}.jpg", first=1, count=4, size=(16, 24)):
    """Flow k has x = 100 + 10 k and y = 150 - 10 k."""
    folder.mkdir(exist_ok=True)
    for k in range(count):
        for c, value in (("x", 100 + 10 * k), ("y", 150 - 10 * k)):
            cv2.imwrite(str(folder / name.format(c=c, i=k + first)), np.full(size, value, np.uint8))
    return folder


@pytest.mark.parametrize("pixels, stored", [
    (0, 128),  # 255 * 20 / 40 = 127.5, halves to even
    (20, 255), (20.01, 255), (1e9, 255), (np.inf, 255), (-20, 0), (-20.01, 0), (-np.inf, 0),
    (10, 191),  # 191.25
    (-10, 64),  # 63.75
    (-20 + 40 * 2.5 / 255, 2), (-20 + 40 * 3.5 / 255, 4),  # 2.5 and 3.5, halves to even
])  # fmt: skip
def test_encode(pixels, stored):
    assert encode_flow(np.array([pixels])).tolist() == [stored]


def test_encode_not_a_number():
    with pytest.raises(ValueError, match="1 of 2 flow values are not numbers"):
        encode_flow(np.array([0.0, np.nan]))


def test_decode():
    every = np.arange(256, dtype=np.uint8)
    pixels = decode_flow(every)
    assert pixels.dtype == np.float32
    assert pixels[[0, 255]].tolist() == [-20, 20]
    assert pixels[128] == pytest.approx(40 * 128 / 255 - 20) == pytest.approx(0.0784, abs=1e-4)
    np.testing.assert_array_equal(encode_flow(pixels), every)


@given(st.floats(-20, 20))
def test_decoded_is_within_half_a_step(pixels):
    assert abs(float(decode_flow(encode_flow(np.array([pixels])))[0]) - pixels) <= 20 / 255 + 1e-5


@settings(max_examples=30)
@given(st.integers(1, 5), st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_flip(height, width, seed):
    flow = np.random.default_rng(seed).integers(0, 256, (3, height, width, 2), np.uint8)
    mirrored = flip_flow(flow)
    np.testing.assert_array_equal(flip_flow(mirrored), flow)
    np.testing.assert_array_equal(mirrored[..., 1], flow[:, :, ::-1, 1])
    np.testing.assert_allclose(decode_flow(mirrored[..., 0]), -decode_flow(flow[:, :, ::-1, 0]), atol=1e-5)


def test_flip_is_the_flow_of_mirrored_frames():
    rng = np.random.default_rng(0)
    frame = cv2.GaussianBlur(rng.integers(0, 256, (64, 80), np.uint8), (0, 0), 2)
    moved = np.roll(frame, 3, axis=1)
    dis = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    flow = encode_flow(dis.calc(frame, moved, None))
    of_mirrored = encode_flow(dis.calc(frame[:, ::-1].copy(), moved[:, ::-1].copy(), None))
    inner = np.s_[16:-16, 16:-16]
    assert np.abs(flip_flow(flow)[inner].astype(int) - of_mirrored[inner]).mean() < 1
    assert np.abs(flow[inner].astype(int) - of_mirrored[inner])[..., 0].mean() > 30  # 2 * 3 px = 38 steps


@pytest.mark.parametrize("naming", NAMINGS)
def test_every_naming(tmp_path, naming):
    name, first = NAMINGS[naming]
    write_images(tmp_path, name, first, count=12)  # 10 comes after 9 also without leading zeros
    for other in ("img_00001.jpg", ".DS_Store", "max_00001.jpg", "flow_z_00001.jpg", "flow_x_00001.jpg.bak"):
        (tmp_path / other).write_text("x")
    assert flow_length(tmp_path) == 12
    flow = read_flow(tmp_path, [2, 0, 11, 2])
    assert flow.shape == (4, 16, 24, 2) and flow.dtype == np.uint8
    expected = np.array([[120, 130], [100, 150], [210, 40], [120, 130]])
    assert np.abs(flow.astype(int) - expected[:, None, None]).max() <= 1  # JPEG


def test_no_flows_asked_for(tmp_path):
    assert read_flow(write_images(tmp_path), []).shape == (0, 0, 0, 2)


@pytest.mark.parametrize("index", [-1, 4])
def test_flow_beyond_the_ends(tmp_path, index):
    with pytest.raises(FrameReadError, match=f"flow {index} was asked for; there are 4") as error:
        read_flow(write_images(tmp_path), [0, index])
    assert error.value.decoded == 4


def spoil(folder, how):
    if how == "counts":
        (folder / "flow_y_00004.jpg").unlink()
    elif how == "gap":
        (folder / "flow_x_00002.jpg").unlink()
        (folder / "flow_y_00003.jpg").unlink()
    elif how == "late":
        for c in "xy":
            (folder / f"flow_{c}_00001.jpg").unlink()
    elif how == "bases":  # x from 0, y from 1
        (folder / "flow_x_00004.jpg").rename(folder / "flow_x_00000.jpg")
    elif how == "mixed":
        write_images(folder, "{c}_{i:05d}.jpg")
    elif how == "twice":
        (folder / "flow_x_1.jpg").touch()
    elif how == "none":
        for file in folder.iterdir():
            file.unlink()


@pytest.mark.parametrize("how, message", [
    ("counts", "4 x and 3 y flow images"),
    ("gap", r"the x flow images lack \[2\] of 1 to 4"),
    ("late", "the first flow image is 2; they are numbered from 0 or 1"),
    ("bases", r"the x flow images lack \[4\] of 0 to 4"),
    ("mixed", r"flow images of 2 namings, prefixes \['', 'flow_'\]"),
    ("twice", "flow_x_.* and flow_x_.* are both flow 0*1"),
    ("none", "no flow images; expected flow_x_00001.jpg"),
])  # fmt: skip
def test_folders_that_are_wrong(tmp_path, how, message):
    folder = write_images(tmp_path / "video")
    spoil(folder, how)
    for read in (flow_length, lambda path: read_flow(path, [0]), check_flow_range):
        with pytest.raises(FrameReadError, match=f"{folder}: {message}"):
            read(folder)


def test_nothing_there(tmp_path):
    with pytest.raises(MissingMediaError, match="nothing: there is no such folder of flow images"):
        flow_length(tmp_path / "nothing")


def test_image_that_does_not_decode_and_sizes_that_differ(tmp_path):
    write_images(tmp_path)
    (tmp_path / "flow_y_00002.jpg").write_bytes((tmp_path / "flow_y_00002.jpg").read_bytes()[:100])
    cv2.imwrite(str(tmp_path / "flow_y_00004.jpg"), np.zeros((16, 20), np.uint8))
    found = read_flow(tmp_path, [0, 2]).astype(int)
    assert np.abs(found - np.array([[100, 150], [120, 130]])[:, None, None]).max() <= 1
    with pytest.raises(FrameReadError, match="flow_y_00002.jpg: 100 bytes, not a readable image"):
        read_flow(tmp_path, [1])
    with pytest.raises(FrameReadError, match="flow_x_00004.jpg: x and y differ in size"):
        read_flow(tmp_path, [3])
    cv2.imwrite(str(tmp_path / "flow_x_00004.jpg"), np.zeros((16, 20), np.uint8))
    with pytest.raises(FrameReadError, match="flow images 0 to 3 differ in size"):
        read_flow(tmp_path, [0, 3])


def test_written_and_read_again(tmp_path):
    flows = np.random.default_rng(0).uniform(-25, 25, (3, 1, 1, 2)) * np.ones((1, 24, 32, 1))
    assert write_flow(tmp_path / "a" / "v", iter(flows), {"method": "toy"}) == flow_length(tmp_path / "a" / "v") == 3
    stored = read_flow(tmp_path / "a" / "v", range(3)).astype(int)
    assert np.abs(stored - encode_flow(flows)).max() <= 1  # JPEG of a plain image
    meta = json.loads((tmp_path / "a" / "v" / "meta.json").read_text())
    size = {"frames": 4, "flows": 3, "height": 24, "width": 32}
    assert meta == {"method": "toy", **size, "bound": 20, "jpeg_quality": 95}
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["v"]


def test_a_failure_leaves_nothing(tmp_path):
    def flows():
        yield np.zeros((8, 8, 2))
        assert list(temporary_folder(tmp_path / "v").iterdir()) and not (tmp_path / "v").exists()
        raise FrameReadError("frame 2 is bad")

    with pytest.raises(FrameReadError, match="frame 2 is bad"):
        write_flow(tmp_path / "v", flows(), {})
    with pytest.raises(ValueError, match="no flow to write"):
        write_flow(tmp_path / "v", [], {})
    assert list(tmp_path.iterdir()) == []


def smooth_flow(seed, size=(120, 160), pan=0.0):
    field = np.random.default_rng(seed).normal(0, 40, (*size, 2)).astype(np.float32)
    return cv2.GaussianBlur(field, (0, 0), 12) + np.float32(pan)


def test_range_of_written_flow(tmp_path):
    write_flow(tmp_path / "moving", [smooth_flow(seed) for seed in range(5)], {})
    write_flow(tmp_path / "still", [np.zeros((48, 64, 2))], {})
    write_flow(tmp_path / "one fast pan", [smooth_flow(i, pan=15.0 * (i == 2)) for i in range(8)], {})
    for folder in tmp_path.iterdir():
        check_flow_range(folder)


@pytest.mark.parametrize("kind, measure", [("noise", "step between"), ("magnitude", "mean"), ("colours", "colour")])
def test_range_of_other_images(tmp_path, kind, measure):
    rng = np.random.default_rng(0)
    for number in range(1, 4):
        for c in "xy":
            image = {
                "noise": rng.integers(0, 256, (48, 64), np.uint8),
                "magnitude": np.full((48, 64), 12, np.uint8),  # rest at 0
                "colours": np.full((48, 64, 3), (90, 130, 160), np.uint8),
            }[kind]
            cv2.imwrite(str(tmp_path / f"flow_{c}_{number:05d}.jpg"), image)
    with pytest.raises(FrameReadError, match=f"{tmp_path}: the images are not optical flow .* the {measure}"):
        check_flow_range(tmp_path)


def test_real_flow(real_data):
    """Of mmaction2. (They are of other frames than the images beside them: flow 4 pans by 3.7 pixels, those do not.)"""
    folder = real_data / "rawframes_flow" / "mmaction2_imgs"
    assert flow_length(folder) == 5
    check_flow_range(folder)
    mean = decode_flow(read_flow(folder, range(5))).mean((1, 2))
    np.testing.assert_allclose(mean[[1, 3]], 0, atol=0.05)
    assert mean[4, 0] == pytest.approx(-3.73, abs=0.05)  # 103.7 / 255 * 40 - 20


@pytest.mark.parametrize("colour", [True, False])
def test_real_frames_are_not_flow(real_data, tmp_path, colour):
    folder = real_data / "rawframes_flow" / "mmaction2_imgs"
    for number in range(1, 11):
        frame = cv2.imread(str(folder / f"img_{number:05d}.jpg"), cv2.IMREAD_COLOR if colour else cv2.IMREAD_GRAYSCALE)
        for c in "xy":
            cv2.imwrite(str(tmp_path / f"{c}_{number:05d}.jpg"), frame)
    with pytest.raises(FrameReadError, match="are not optical flow"):
        check_flow_range(tmp_path)
