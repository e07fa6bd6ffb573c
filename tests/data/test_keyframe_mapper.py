import cv2
import numpy as np
import pytest
import torch
from tiny_set import SIZE

from detect.config import load_cfg
from detect.data.keyframe_mapper import KeyframeMapper
from detect.video.readers import FrameReadError
from detect.video.windows import SpanPlan, clip_indices


def mapper(is_train=False, num_frames=6, size=(48, 96), **options):
    return KeyframeMapper(num_frames, size, is_train=is_train, **options)


def rng(seed=0):
    return np.random.default_rng(seed)


def resized(frames, size):
    return np.stack([cv2.resize(frame, size[::-1], interpolation=cv2.INTER_LINEAR) for frame in frames])


def test_test_clip_is_the_resized_frames_around_the_keyframe(make_set):
    keyframes, pictures = make_set({"Left/a": 9}, frames="all")
    for index in range(9):
        output = mapper()(keyframes[index])
        expected = resized(pictures["Left/a"][clip_indices(index, 9, 6)], (48, 96))
        assert output["clip"].dtype == torch.uint8
        np.testing.assert_array_equal(output["clip"].numpy(), expected)
        kept = {key: value for key, value in keyframes[index].items() if key != "annotations"}
        assert {key: value for key, value in output.items() if key != "clip"} == kept


@pytest.mark.parametrize("length", [1, 2, 7, 8, 20])
def test_keyframe_is_at_its_position(make_set, length):
    keyframes, _ = make_set({"Left/a": 1, "Left/b": 5, "Left/c": 13}, frames="all")
    for sample in keyframes:
        clip = mapper(num_frames=length, size=SIZE)(sample)["clip"]
        assert len(clip) == length and clip[length // 2, 0, 0, 0] == sample["frame_index"]


def test_training_targets_are_in_pixels_of_the_clip(make_set):
    keyframes, _ = make_set({"Left/a": 4, "Left/b": 4})
    output = mapper(is_train=True)(keyframes[1], rng())  # frame 3 of the first video: box 2 2 12 14 of 24 x 32
    instances = output["instances"]
    assert instances.image_size == (48, 96)
    assert instances.gt_boxes.tensor.tolist() == [[6, 4, 36, 28]]
    assert instances.gt_boxes.tensor.dtype == torch.float32
    assert instances.gt_classes.tolist() == [0] and instances.gt_classes.dtype == torch.int64
    assert "annotations" not in output and (output["height"], output["width"]) == SIZE
    np.testing.assert_array_equal(output["clip"], mapper()(keyframes[1])["clip"])


def test_frame_without_boxes_has_empty_targets(make_set):
    keyframes, _ = make_set({"Left/a": 4}, frames="all")
    instances = mapper(is_train=True, flip_prob=1, scale_jitter=(2, 2))(keyframes[0], rng())["instances"]
    assert instances.gt_boxes.tensor.shape == (0, 4) and instances.gt_classes.shape == (0,)


def test_flip_mirrors_clip_and_boxes(make_set):
    keyframes, _ = make_set({"Left/a": 4})
    plain = mapper(is_train=True)(keyframes[1], rng())
    flipped = mapper(is_train=True, flip_prob=1)(keyframes[1], rng())
    np.testing.assert_array_equal(flipped["clip"].flip(2), plain["clip"])
    assert flipped["instances"].gt_boxes.tensor.tolist() == [[96 - 36, 4, 96 - 6, 28]]
    share = np.mean(
        [
            torch.equal(mapper(is_train=True, flip_prob=0.3)(keyframes[1], rng(seed))["clip"], flipped["clip"])
            for seed in range(200)
        ]
    )
    assert 0.2 < share < 0.4  # 0.3 within three standard deviations of 0.032


def test_one_augmentation_for_the_whole_clip(make_set):
    keyframes, _ = make_set({"Left/a": 3, "Left/b": 12})
    sample = keyframes[0] | {"frame_index": 1, "num_frames": 2}
    augmented = mapper(is_train=True, num_frames=9, flip_prob=0.5, color_jitter=0.4, scale_jitter=(0.6, 1.8))
    for seed in range(8):
        output = augmented(sample, rng(seed))
        # frames 0 0 0 0 1 1 1 1 1: repeated frames stay equal
        assert all(torch.equal(output["clip"][i], output["clip"][0]) for i in range(4))
        assert all(torch.equal(output["clip"][i], output["clip"][4]) for i in range(4, 9))
        boxes = output["instances"].gt_boxes.tensor
        assert (boxes[:, 2:] > boxes[:, :2]).all() and (boxes >= 0).all()
        assert (boxes <= torch.tensor([96, 48, 96, 48])).all()
        again = augmented(sample, rng(seed))
        assert torch.equal(output["clip"], again["clip"]) and torch.equal(boxes, again["instances"].gt_boxes.tensor)
    assert not torch.equal(augmented(sample, rng(0))["clip"], augmented(sample, rng(1))["clip"])


def test_zoom_drops_boxes_that_are_mostly_outside(make_set):
    keyframes, _ = make_set({"Left/a": 4})
    sample = keyframes[1]  # box 2 2 12 14 of 24 x 32
    zoomed = mapper(is_train=True, size=SIZE, scale_jitter=(4, 4))
    kept = 0
    for seed in range(60):
        output = zoomed(sample, rng(seed))
        boxes = output["instances"].gt_boxes.tensor.numpy()
        # at zoom 4 the box is 40 x 48 pixels; what is seen of it must be 30 %
        assert all((x1 - x0) * (y1 - y0) >= 0.3 * 40 * 48 - 1e-3 for x0, y0, x1, y1 in boxes)
        kept += len(boxes)
    assert 0 < kept < 60


def test_short_video_ends_where_it_decodes(make_set):
    keyframes, pictures = make_set({"Left/a": 9}, frames="all")
    sample = keyframes[7] | {"num_frames": 12}
    output = mapper(num_frames=8, size=SIZE)(sample)
    np.testing.assert_array_equal(output["clip"], pictures["Left/a"][[3, 4, 5, 6, 7, 8, 8, 8]])
    assert output["decoded_frames"] == 9
    with pytest.raises(FrameReadError, match="frame .* was asked for, but only 9 frames decode"):
        mapper()(sample | {"frame_index": 10})


def test_frames_of_another_size_than_annotated(make_set):
    keyframes, _ = make_set({"Left/a": 4})
    for is_train in (False, True):
        with pytest.raises(FrameReadError, match="Left/a: frames are 32 x 24 pixels, the annotation is for 320 x 240"):
            mapper(is_train)(keyframes[0] | {"height": 240, "width": 320}, rng())


def test_from_config():
    cfg = load_cfg("", ["INPUT.COLOR_JITTER", 0.2, "INPUT.SCALE_JITTER", (0.8, 1.2), "MODEL.STREAMS", ("rgb", "flow")])
    made = KeyframeMapper.from_config(cfg, is_train=True)
    assert made.flow and made.plan == SpanPlan(20)
    assert (made.num_frames, made.size, made.flip_prob, made.color_jitter) == (20, (320, 400), 0.5, 0.2)
    assert made.scale_jitter == (0.8, 1.2) and made.is_train


@pytest.mark.parametrize(
    "options, message",
    [
        ({"flip_prob": 2}, "flip_prob is 2; legal values"),
        ({"color_jitter": 1}, "color_jitter is 1; legal values"),
        ({"scale_jitter": (1.2, 0.8)}, "scale_jitter is"),
        ({"num_frames": 0}, "a clip of 0 frames"),
        ({"size": (320,)}, "height, width"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        mapper(**options)


def test_training_needs_a_generator(make_set):
    keyframes, _ = make_set({"Left/a": 4})
    with pytest.raises(ValueError, match="random generator"):
        mapper(is_train=True)(keyframes[0])


def test_size_of_the_paper(real_data):
    folder = real_data / "jhmdb" / "Rename_Images" / "catch" / "Goal_Keeping_Tips_catch_f_cm_np1_fr_med_2"
    sample = {"file_name": str(folder), "frame_index": 20, "num_frames": 40, "height": 240, "width": 320}
    sample |= {"annotations": [{"bbox": [80.0, 60, 160, 120], "bbox_mode": 0, "category_id": 1}]}
    output = KeyframeMapper(20, (320, 400), is_train=True)(sample, rng())
    assert output["clip"].shape == (20, 320, 400, 3)
    keyframe = cv2.imread(str(folder / "00021.png"))[:, :, ::-1]  # frame 20
    np.testing.assert_array_equal(output["clip"][10], resized([keyframe], (320, 400))[0])
    assert output["instances"].gt_boxes.tensor.tolist() == [[100, 80, 200, 160]]  # x 1.25, y 1.333
