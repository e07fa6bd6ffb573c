import cv2
import numpy as np
import pytest
from tiny_videos import write_video

from detect.classification.clips import EvalPlan, VideoClipMapper, eval_crops
from detect.classification.sampling import dense_indices
from detect.config import load_cfg
from detect.video.readers import FrameReadError, MissingMediaError, iter_frames, read_frames
from detect.video.transforms import apply_color, color_matrix, resize


@pytest.fixture
def video(tmp_path):
    frames = np.random.default_rng(0).integers(0, 255, (12, 20, 24, 3), dtype=np.uint8)
    write_video(tmp_path / "v.avi", frames)
    return str(tmp_path / "v.avi")


def sample(path):
    return {"file_name": path, "label": 1}


def test_a_training_clip_is_a_crop_of_consecutive_resized_frames(video):
    mapper = VideoClipMapper(5, (16, 18), (12, 10), flip_prob=0.0)
    resized = np.stack([resize(frame, (16, 18)) for frame in iter_frames(video)])
    places = set()
    for seed in range(60):
        clip = mapper(sample(video), np.random.default_rng(seed))["clip"].numpy()
        found = [
            (t, y, x)
            for t in range(8)
            for y in range(5)
            for x in range(9)
            if np.array_equal(clip, resized[t : t + 5, y : y + 12, x : x + 10])
        ]
        assert len(found) == 1
        places.update(found)
    starts, tops, lefts = (set(axis) for axis in zip(*places, strict=True))
    assert starts == set(range(8)) and tops == set(range(5)) and lefts == set(range(9))


def test_it_depends_on_the_generator_alone_and_keeps_the_label(video):
    mapper = VideoClipMapper(5, (16, 18), (12, 10), flip_prob=0.5)
    one, two = (mapper(sample(video), np.random.default_rng(7)) for _ in range(2))
    assert (one["clip"] == two["clip"]).all() and one["label"] == 1


def test_mirrored(video):
    plain, mirrored = (
        VideoClipMapper(5, (16, 18), (16, 18), flip_prob)(sample(video), np.random.default_rng(0))["clip"]
        for flip_prob in (0.0, 1.0)
    )
    assert (mirrored == plain.flip(2)).all()


def test_a_short_video_loops_and_a_wrong_header_is_put_right(video, monkeypatch):
    monkeypatch.setattr("detect.video.readers.cv2.CAP_PROP_FRAME_COUNT", cv2.CAP_PROP_FPS)  # 10 instead of 12
    assert len(VideoClipMapper(11, (8, 8), (8, 8), 0.0)(sample(video), np.random.default_rng(0))["clip"]) == 11
    mapper = VideoClipMapper(30, (20, 24), (20, 24), 0.0)
    mapper.modality = mapper.modality._replace(length=lambda path: 100)  # a header that promises too much
    clip = mapper(sample(video), np.random.default_rng(0))["clip"].numpy()
    assert np.array_equal(clip, read_frames(video, np.arange(30) % 12))


def test_flow_mirrors_x(tmp_path):
    smooth = np.uint8(110 + np.arange(12) + np.arange(10)[:, None])  # as flow is; noise would be refused
    for k in range(1, 5):
        for component in "xy":
            cv2.imwrite(str(tmp_path / f"flow_{component}_{k:05d}.png"), smooth + k + 5 * (component == "y"))
    plain, mirrored = (
        VideoClipMapper(4, (10, 12), (10, 12), prob, "flow")(sample(str(tmp_path)), np.random.default_rng(0))["clip"]
        for prob in (0.0, 1.0)
    )
    assert plain.shape == (4, 10, 12, 2)
    assert (plain[0, :, :, 0].numpy() == cv2.imread(str(tmp_path / "flow_x_00001.png"), 0)).all()
    assert (mirrored[..., 0] == 255 - plain[..., 0].flip(2)).all() and (mirrored[..., 1] == plain[..., 1].flip(2)).all()
    ((view, whole),) = EvalPlan((10, 12), (10, 12), 8, modality="flow").views(str(tmp_path))
    assert view == 0 and np.array_equal(whole, plain.numpy())


def test_images_that_are_no_flow_are_refused(tmp_path):
    rng = np.random.default_rng(0)
    for component in "xy":
        cv2.imwrite(str(tmp_path / f"flow_{component}_00001.png"), rng.integers(0, 255, (10, 12), dtype=np.uint8))
    with pytest.raises(FrameReadError, match="the images are not optical flow .* the step between neighbouring pixels"):
        VideoClipMapper(1, (10, 12), (10, 12), 0.0, "flow")(sample(str(tmp_path)), np.random.default_rng(0))
    with pytest.raises(FrameReadError, match="the images are not optical flow"):
        list(EvalPlan((10, 12), (10, 12), 8, modality="flow").views(str(tmp_path)))


def jittered(video, **options):
    mapper = VideoClipMapper(2, (16, 18), (12, 10), 0.0, **options)
    return mapper(sample(video), np.random.default_rng(0))["clip"].numpy()


def test_a_zoom_shows_less_of_the_frame(video):
    """At zoom 2 the crop of 12 x 10 shows 6 x 5 pixels of the resized frame: a window that the plain crop contains at
    the same shares of the room: rows floor(y * 11) + 0..5 instead of floor(y * 5) + 0..11.
    """
    share, y, x, _ = np.random.default_rng(0).random(4)
    frame = resize(read_frames(video, [int(share * 11)])[0], (16, 18))
    top, left = int(y * 11), int(x * 14)
    expected = resize(frame[top : top + 6, left : left + 5], (12, 10))
    assert np.array_equal(jittered(video, scale_jitter=(2.0, 2.0))[0], expected)
    small = jittered(video, scale_jitter=(0.5, 0.5))[0]  # 24 x 20 around a frame of 16 x 18: two fifths of it are grey
    assert (small == 128).all(axis=2).mean() >= 0.25
    assert np.array_equal(jittered(video, scale_jitter=(1.0, 1.0)), jittered(video))


def test_colours_change_alike_in_all_frames(video):
    rng = np.random.default_rng(0)
    rng.random(4), rng.uniform(1.0, 1.0)
    matrix = color_matrix(*rng.uniform(0.6, 1.4, 3))
    assert np.array_equal(jittered(video, color_jitter=0.4), apply_color(jittered(video), matrix))
    with pytest.raises(ValueError, match="INPUT.MODALITY flow has no colours"):
        VideoClipMapper(2, (16, 18), (12, 10), 0.0, "flow", color_jitter=0.4)
    with pytest.raises(ValueError, match="INPUT.SCALE_JITTER"):
        VideoClipMapper(2, (16, 18), (12, 10), 0.0, scale_jitter=(2.0, 1.0))


def test_a_clip_at_a_speed(video):
    """The generator gives the start, the crop and the rest as without, and the speed last."""
    share = np.random.default_rng(0).random(4)[0]
    options = {"resize_to": (20, 24), "size": (20, 24), "flip_prob": 0.0}
    for speed in (0.5, 2.0):
        mapper = VideoClipMapper(5, **options, speed_jitter=(speed, speed))
        clip = mapper(sample(video), np.random.default_rng(0))["clip"].numpy()
        assert np.array_equal(clip, read_frames(video, dense_indices(12, 5, share, speed)))
    clips = {
        VideoClipMapper(5, **options, speed_jitter=(0.5, 2.0))(sample(video), np.random.default_rng(seed))["clip"]
        .numpy()
        .tobytes()
        for seed in (0, 0, 1, 2)
    }
    assert len(clips) == 3


def test_without_other_speeds_the_same_numbers_are_drawn_as_ever(video):
    expected, found = np.random.default_rng(1), np.random.default_rng(1)
    expected.random(8)  # start, y, x, coin, zoom and three colour factors
    VideoClipMapper(5, (20, 24), (20, 24), 0.0, speed_jitter=[1, 1])(sample(video), found)
    assert expected.bit_generator.state == found.bit_generator.state


def test_speeds_that_cannot_be():
    with pytest.raises(ValueError, match=r"INPUT.SPEED_JITTER is \(0.5, 2.0\), but INPUT.MODALITY flow has motion"):
        VideoClipMapper(5, (20, 24), (20, 24), 0.0, "flow", speed_jitter=(0.5, 2.0))
    VideoClipMapper(5, (20, 24), (20, 24), 0.0, "flow", speed_jitter=(1, 1))
    with pytest.raises(ValueError, match="not 0 < slowest <= fastest .INPUT.SPEED_JITTER"):
        VideoClipMapper(5, (20, 24), (20, 24), 0.0, speed_jitter=(2.0, 0.5))
    cfg = load_cfg("configs/synthetic_cls.yaml", ["INPUT.SPEED_JITTER", (0.8, 1.25)])
    assert VideoClipMapper.from_config(cfg).speed_jitter == (0.8, 1.25)


def test_all_frames_are_tested_in_the_centre(video):
    resized = np.stack([resize(frame, (16, 18)) for frame in iter_frames(video)])
    parts = list(EvalPlan((16, 18), (12, 10), chunk_frames=8).views(video))
    assert [view for view, _ in parts] == [0, 0]
    assert np.array_equal(np.concatenate([part for _, part in parts]), resized[:, 2:14, 4:14])
    ((_, padded),) = EvalPlan((16, 18), (12, 10), chunk_frames=24, pad_frames=20).views(video)
    assert np.array_equal(padded, resized[np.arange(20) % 12, 2:14, 4:14])


def test_clips_and_crops(video):
    resized = np.stack([resize(frame, (16, 18)) for frame in iter_frames(video)])
    plan = EvalPlan((16, 18), (12, 10), clips=2, clip_frames=8, crops=3)
    found = dict(plan.views(video))
    expected = [resized[t : t + 8, 2:14, x : x + 10] for t in (0, 4) for x in (0, 4, 8)]
    assert list(found) == list(range(6))
    assert all(np.array_equal(found[i], expected[i]) for i in range(6))
    high = np.zeros((1, 9, 5, 3), np.uint8) + np.arange(9, dtype=np.uint8)[None, :, None, None]
    assert [crop[0, 0, 0, 0] for crop in eval_crops(high, (5, 5), 3)] == [0, 2, 4]


def test_one_frame_in_so_many(video):
    resized = np.stack([resize(frame, (16, 18)) for frame in iter_frames(video)])  # 12 frames
    ((_, whole),) = EvalPlan((16, 18), (16, 18), chunk_frames=8, step=2).views(video)
    assert np.array_equal(whole, resized[::2])
    clips = dict(EvalPlan((16, 18), (16, 18), clips=2, clip_frames=3, step=3).views(video))
    assert np.array_equal(clips[0], resized[[0, 3, 6]]) and np.array_equal(clips[1], resized[[3, 6, 9]])
    mapper = VideoClipMapper(4, (16, 18), (16, 18), 0.0, frame_step=3)
    clip = mapper({"file_name": video}, np.random.default_rng(0))["clip"].numpy()
    starts = [start for start in range(3) if np.array_equal(clip, resized[start : start + 10 : 3])]
    assert len(starts) == 1


def test_bad_videos_and_sizes(tmp_path):
    (tmp_path / "broken.avi").write_bytes(b"RIFF nothing")
    mapper = VideoClipMapper(4, (8, 8), (8, 8), 0.0)
    for name, error in (("broken.avi", FrameReadError), ("absent.avi", MissingMediaError)):
        with pytest.raises(error, match=name):
            mapper(sample(str(tmp_path / name)), np.random.default_rng(0))
        with pytest.raises(error, match=name):
            list(EvalPlan().views(str(tmp_path / name)))
    with pytest.raises(ValueError, match=r"INPUT.SIZE is \(9, 8\), INPUT.RESIZE \(8, 8\)"):
        VideoClipMapper(4, (8, 8), (9, 8), 0.0)
    with pytest.raises(ValueError, match="INPUT.MODALITY is 'depth'; it must be one of rgb, flow"):
        VideoClipMapper(4, (8, 8), (8, 8), 0.0, "depth")
