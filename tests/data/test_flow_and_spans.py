"""Flow beside the frames, and spans that keyframes share: the mapper and the loaders."""

from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from tiny_set import SIZE

from detect.data.eval_stream import build_keyframe_loader, slide
from detect.data.keyframe_mapper import KeyframeMapper, keyframe_items
from detect.data.records import ActionDataset, KeyframeDataset, VideoRecord, WithNeighbours
from detect.data.train_stream import build_train_loader
from detect.video.readers import FrameReadError
from detect.video.windows import SpanPlan, clip_indices

LENGTHS = {"Left/a": 9, "Left/b": 4, "Right/c": 1, "Right/d": 13, "Right/e": 30}
LAYOUTS = {  # name of an image, how many there are for n frames
    "TSN": ("flow/{v}/flow_{c}_{i:05d}.jpg", 1, -1),
    "denseflow": ("flow-images/{v}/flow_{c}_{i:05d}.jpg", 0, -1),
    "brox": ("brox-images/{v}/{i:05d}.png", 1, 0),
    "FlowBrox04": ("FlowBrox04/{v}/{i:05d}.jpg", 1, -1),
}


def value(video, frame):
    """Stored (x, y) of flow `frame`: smooth, near the middle, and different for each."""
    return 110 + 2 * frame + len(video), 146 - 2 * frame


def write_flow(root, lengths, layout="TSN", size=SIZE, lacking=()):
    name, first, extra = LAYOUTS[layout]
    for video, length in lengths.items():
        for k in range(length + extra if length > 1 else 0):
            if (video, k) in lacking:
                continue
            x, y = value(video, min(k, length - 2))
            for c, number in (("x", x), ("y", y)):
                path = root / name.format(v=video, c=c, i=k + first)
                path.parent.mkdir(parents=True, exist_ok=True)
                if "{c}" in name:
                    cv2.imwrite(str(path), np.full(size, number, np.uint8))
            if "{c}" not in name:  # blue, green, red: y in green, x in red, something else in blue
                cv2.imwrite(str(path), np.dstack([np.full(size, n, np.uint8) for n in (7, y, x)]))


def mapper(length=6, is_train=False, plan=None, streams=("rgb", "flow"), **options):
    return KeyframeMapper(length, SIZE, is_train=is_train, streams=streams, plan=plan, **options)


def rng(seed=0):
    return np.random.default_rng(seed)


def reload(make_set, frames="all", layout="TSN", tmp_path=None, lengths=None, **options):
    """A set with flow: the records find the folders when they are read, so flow is written first."""
    lengths = LENGTHS if lengths is None else lengths
    write_flow(tmp_path, lengths, layout, **options)
    return make_set(lengths, frames)[0]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("length", [1, 2, 7, 20])
def test_flow_of_a_frame_stands_where_the_frame_does(make_set, tmp_path, layout, length):
    dataset = reload(make_set, "all", layout, tmp_path)
    for sample in dataset:
        item, frames = mapper(length)(sample), sample["num_frames"]
        assert item["flow"].shape == (length, *SIZE, 2) and item["flow"].dtype == torch.uint8
        assert item["clip"][length // 2, 0, 0, 0] == sample["frame_index"]
        for place, frame in enumerate(clip_indices(sample["frame_index"], frames, length).tolist()):
            # the last frame has the last flow; a video of one frame is at rest
            expected = value(sample["video"], min(frame, frames - 2)) if frames > 1 else (128, 128)
            assert abs(item["flow"][place, 5, 5].int() - torch.tensor(expected)).max() <= 1, (sample["image_id"], place)
        assert "flow_images" not in item


def test_a_detector_of_rgb_needs_no_flow(make_set):
    dataset, _ = make_set(LENGTHS)
    assert "flow" not in mapper(streams=("rgb",))(dataset[0])
    with pytest.raises(FrameReadError, match="Left/a: there is no such folder of flow images"):
        mapper(streams=("flow",))(dataset[0])


def test_flip_mirrors_flow_and_negates_x(make_set, tmp_path):
    dataset = reload(make_set, "annotated", tmp_path=tmp_path)
    plain, flipped = (mapper(is_train=True, flip_prob=p)(dataset[1], rng()) for p in (0, 1))
    assert torch.equal(flipped["flow"][..., 0], 255 - plain["flow"][..., 0].flip(2))
    assert torch.equal(flipped["flow"][..., 1], plain["flow"][..., 1].flip(2))
    assert torch.equal(flipped["clip"], plain["clip"].flip(2))


def test_zoom_takes_frames_and_flow_alike(make_set, tmp_path):
    dataset = reload(make_set, "annotated", tmp_path=tmp_path)
    for seed in range(4):
        out = mapper(is_train=True, scale_jitter=(0.5, 0.5))(dataset[1], rng(seed))
        grey = (out["clip"] == 128).all(-1)  # beyond the frame
        assert 0.5 < grey.float().mean() < 0.9
        assert (out["flow"][grey] == 128).float().mean() > 0.95  # at rest there


def test_flow_of_another_size_is_laid_over_the_frame(make_set, tmp_path):
    dataset = reload(make_set, "all", tmp_path=tmp_path, size=(SIZE[0] * 2, SIZE[1] * 2))
    assert mapper()(dataset[3])["flow"].shape == (6, *SIZE, 2)
    cv2.imwrite(dataset[0]["flow_folder"] + "/flow_x_00001.jpg", np.full((24, 40), 120, np.uint8))
    cv2.imwrite(dataset[0]["flow_folder"] + "/flow_y_00001.jpg", np.full((24, 40), 120, np.uint8))
    with pytest.raises(FrameReadError, match="flow_x_00001.jpg: the flow has another shape than the video: it is 40"):
        mapper()(dataset[0])


def alone(dataset, a_mapper):
    found = {}
    for sample in dataset:
        try:
            found[sample["image_id"]] = a_mapper(sample)
        except FrameReadError as error:
            found[sample["image_id"]] = error
    return found


@pytest.mark.parametrize("lacking", ["none", "the end", "one image", "the folder", "frames"])
def test_evaluation_names_and_counts_missing_flow(make_set, tmp_path, caplog, lacking):
    lengths = {"Left/a": 9, "Right/d": 13}
    dataset = reload(make_set, "all", tmp_path=tmp_path, lengths=lengths)
    flow, frames = Path(dataset[0]["flow_folder"]), Path(dataset[0]["file_name"])
    for file in sorted(flow.iterdir()):
        number = int(file.stem[-5:])
        if (lacking == "the end" and number > 4) or lacking == "the folder":
            file.unlink()
        if lacking == "one image" and number == 4:
            file.write_bytes(b"")
    if lacking == "frames":  # the video ends before its flow
        for number in (8, 9):
            (frames / f"{number:05d}.png").unlink()
    loader = build_keyframe_loader(dataset, mapper(4), 4)
    found = {item["image_id"]: item for batch in loader for item in batch}
    expected = alone(dataset, mapper(4))
    bad = {name for name, item in expected.items() if isinstance(item, FrameReadError)}
    for name, item in expected.items():
        if name not in bad:
            assert torch.equal(item["clip"], found[name]["clip"]) and torch.equal(item["flow"], found[name]["flow"])
    assert set(found) == set(expected) - bad and loader.errors == len(bad)
    of_the_first = {int(name.split("#")[1]) for name in bad if name.startswith("Left/a")}
    assert len(bad) == len(of_the_first)
    wrong = {"none": set(), "the end": {5, 6, 7, 8}, "one image": {2, 3, 4, 5}, "the folder": set(range(9)),
             "frames": {7, 8}}[lacking]  # fmt: skip
    assert of_the_first == wrong
    if lacking == "the end":
        assert loader.lengths == {str(flow): (4, 9)}
        assert f"{flow}: 4 flow images, for 9 frames there should be 8" in caplog.text
        assert f"{flow}: frame 5 has no flow, 4 images are there" in caplog.text
    if lacking == "frames":
        assert loader.lengths == {str(frames): (7, 9)}
    if lacking == "one image":
        assert "flow_x_00004.jpg: 0 bytes, not a readable image" in caplog.text
    if lacking == "the folder":
        assert "no flow images; expected flow_x_00001.jpg" in caplog.text


def test_x_without_y_and_images_that_are_no_flow(make_set, tmp_path):
    dataset = reload(make_set, "all", tmp_path=tmp_path)
    (Path(dataset[0]["flow_folder"]) / "flow_y_00008.jpg").unlink()
    with pytest.raises(FrameReadError, match="8 x and 7 y flow images"):
        mapper()(dataset[0])
    folder = Path(dataset[9]["flow_folder"])  # Left/b: its own frames in place of flow
    for file in folder.iterdir():
        file.unlink()
    for file in Path(dataset[9]["file_name"]).iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    with pytest.raises(FrameReadError, match="the images are not optical flow"):
        mapper()(dataset[9])


def test_training_replaces_and_counts_missing_flow(make_set, tmp_path):
    dataset = reload(make_set, "annotated", tmp_path=tmp_path, lengths={"Left/a": 9, "Right/d": 13})
    for file in sorted(Path(dataset[0]["flow_folder"]).iterdir()):
        file.unlink()
    log = tmp_path / "bad.txt"
    loader = build_train_loader(dataset, mapper(is_train=True), 3, seed=1, bad_inputs_file=log)
    items = [item for batch in islice(loader, 8) for item in batch]
    assert {item["video"] for item in items} == {"Right/d"} and loader.bad > 0
    assert log.read_text().count("\n") == 1 and "no flow images" in log.read_text()


# Spans ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stride, length, phases", [(1, 9, 0), (2, 12, 0), (4, 30, 0), (4, 99, 0)])
@pytest.mark.parametrize("frames", ["annotated", "all"])
def test_a_span_holds_the_windows_of_its_keyframes(make_set, tmp_path, frames, stride, length, phases):
    """Cut at its offset, each keyframe's part of the span is the window that the mapper makes of it alone."""
    dataset = reload(make_set, frames, tmp_path=tmp_path)
    plan, found = SpanPlan(6, stride, length, phases), {}
    loader = build_keyframe_loader(dataset, mapper(plan=plan), 3)
    batches = list(loader)
    assert loader.errors == 0 and sum(len(keyframe_items(batch)) for batch in batches) == len(dataset)
    for batch in batches:
        assert len({len(item["clip"]) for item in batch}) == 1  # so that they can be stacked
        for item in batch:
            assert len(item["positions"]) == len(item["offsets"]) == len(item["samples"])
            for sample, position, offset in zip(item["samples"], item["positions"], item["offsets"], strict=True):
                assert position == offset + 3 and "annotations" not in sample
                found[sample["image_id"]] = {k: item[k][offset : offset + 6] for k in ("clip", "flow")}
    for sample in dataset:
        one = mapper()(sample)
        assert all(torch.equal(one[k], found[sample["image_id"]][k]) for k in ("clip", "flow"))


def test_an_unreadable_frame_costs_only_the_windows_that_have_it(make_set):
    dataset, _ = make_set({"Left/a": 30}, "all")
    (Path(dataset[0]["file_name"]) / "00016.png").write_bytes(b"")  # frame 15
    plan = SpanPlan(6, 2, 26)
    items = list(slide(dataset, 0, mapper(plan=plan, streams=("rgb",))))
    errors = {item["frame_index"] for item in items if "error" in item}
    assert errors == {13, 14, 15, 16, 17, 18}  # windows are k - 3 .. k + 2
    rest = keyframe_items([item for item in items if "clip" in item])
    assert {sample["frame_index"] for sample in rest} == set(range(30)) - errors
    assert items[-1]["decoded_frames"] == 30


def test_a_video_that_ends_early_and_one_frame(make_set):
    dataset, _ = make_set({"Left/a": 20, "Right/c": 1}, "all")
    for number in range(13, 21):
        (Path(dataset[0]["file_name"]) / f"{number:05d}.png").unlink()
    loader = build_keyframe_loader(dataset, mapper(plan=SpanPlan(6, 2, 100), streams=("rgb",)), 1)
    found = [sample["image_id"] for batch in loader for sample in keyframe_items(batch)]
    assert sorted(found) == sorted([*(f"Left/a#{k}" for k in range(12)), "Right/c#0"]) and loader.errors == 8


def training_items(dataset, plan, count=40, **options):
    a_mapper = KeyframeMapper(6, SIZE, is_train=True, plan=plan, flip_prob=0.5, **options)
    return [a_mapper(sample, rng(seed)) for seed, sample in enumerate(islice(cycle_of(dataset, plan), count))]


def cycle_of(dataset, plan):
    samples = WithNeighbours(dataset, plan)
    while True:
        yield from (samples[i] for i in range(len(samples)))


def test_a_training_span_has_the_targets_of_each_of_its_keyframes(make_set):
    dataset, _ = make_set({"Left/a": 30, "Right/d": 8})
    plan = SpanPlan(6, 2, 14)  # five keyframes at most
    by_name = {sample["image_id"]: sample for sample in dataset}
    seen = []
    for item in training_items(dataset, plan):
        assert item["clip"].shape == (14, *SIZE, 3)  # always whole: batches stack
        assert len(item["instances"]) == len(item["positions"]) == len(item["offsets"])
        keyframe = item["frame_index"] - item["positions"][0]  # the span's first frame
        for position, offset, instances in zip(item["positions"], item["offsets"], item["instances"], strict=True):
            assert position == offset + 3 and offset % 2 == 0
            frame = keyframe + position
            (annotation,) = by_name[f"{item['video']}#{frame}"]["annotations"]
            x0, y0, x1, y1 = annotation["bbox"]
            (box,) = instances.gt_boxes.tensor.tolist()
            assert box in ([x0, y0, x1, y1], [SIZE[1] - x1, y0, SIZE[1] - x0, y1])
            assert instances.gt_classes.tolist() == [annotation["category_id"]]
            assert item["clip"][position, 0, 0, 0] == frame or item["clip"][position, 0, -1, 0] == frame
        seen.append(len(item["positions"]))
    assert max(seen) == 5 and min(seen) == 2  # of the short video, 4 annotated frames, two share a grid


def test_a_sample_of_the_keyframes_of_a_span(make_set):
    dataset, _ = make_set({"Left/a": 40})
    items = training_items(dataset, SpanPlan(6, 2, 20), span_keyframes=3)
    assert {len(item["positions"]) for item in items} == {3}
    assert len({tuple(item["offsets"]) for item in items}) > 5


def test_the_stream_of_spans_is_the_same_for_any_number_of_workers(make_set):
    dataset, _ = make_set({"Left/a": 30, "Right/d": 13})
    plan = SpanPlan(6, 2, 14)
    found = []
    for workers in (0, 2):
        a_mapper = KeyframeMapper(6, SIZE, is_train=True, plan=plan, flip_prob=0.5)
        loader = build_train_loader(WithNeighbours(dataset, plan), a_mapper, 2, seed=3, num_workers=workers)
        found.append([item for batch in islice(loader, 4) for item in batch])
    for one, other in zip(*found, strict=True):
        assert torch.equal(one["clip"], other["clip"]) and one["offsets"] == other["offsets"]


def test_real_clip_with_both_streams(real_data, tmp_path):
    from detect.video.flow_extraction import FlowSettings, extract_video

    path = real_data / "jhmdb" / "ReCompress_Videos" / "catch" / "Goal_Keeping_Tips_catch_f_cm_np1_fr_med_2.avi"
    assert extract_video(path, tmp_path / "flow", FlowSettings("dis")) == 39
    video = VideoRecord("catch", str(path), 40, 240, 320, (), str(tmp_path / "flow"))
    dataset = KeyframeDataset(ActionDataset("real", ("a",), (video,), "hash"), "all")
    both = KeyframeMapper(20, (64, 80), is_train=False, streams=("rgb", "flow"))
    items = [item for batch in build_keyframe_loader(dataset, both, 8) for item in batch]
    assert len(items) == 40 and all(item["flow"].shape == (20, 64, 80, 2) for item in items)
    moved = items[20]["flow"].float() - 128
    assert 0.1 < float(moved.abs().mean()) < 60
