import contextlib
import logging
import os
import re
import signal
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from tiny_set import SIZE

from detect.data.eval_stream import build_keyframe_loader, slide
from detect.data.keyframe_mapper import KeyframeMapper
from detect.data.records import ActionDataset, KeyframeDataset, VideoRecord
from detect.data.train_stream import LoaderProcessError, TooManyBadSamples, build_train_loader
from detect.video import readers
from detect.video.readers import FrameReadError
from detect.video.windows import SpanPlan

LENGTHS = {"Left/a": 9, "Left/b": 4, "Right/c": 1, "Right/d": 13, "Right/e": 6}


def train_mapper():
    return KeyframeMapper(4, (12, 16), is_train=True, flip_prob=0.5, color_jitter=0.3, scale_jitter=(0.8, 1.3))


def batches(dataset, count, batch_size=3, **options):
    loader = build_train_loader(dataset, train_mapper(), batch_size, **{"seed": 1, **options})
    return list(islice(loader, count))


def assert_same(first, second):
    assert len(first) == len(second)
    for a, b in zip(first, second, strict=True):
        assert [sample["image_id"] for sample in a] == [sample["image_id"] for sample in b]
        for x, y in zip(a, b, strict=True):
            assert torch.equal(x["clip"], y["clip"])
            assert torch.equal(x["instances"].gt_boxes.tensor, y["instances"].gt_boxes.tensor)


def ids(found):
    return [sample["image_id"] for batch in found for sample in batch]


def test_each_epoch_is_a_new_permutation(make_set):
    dataset, _ = make_set(LENGTHS)
    every = sorted(sample["image_id"] for sample in dataset)
    assert len(every) == 5 + 2 + 1 + 7 + 3
    found = ids(batches(dataset, 18))  # 3 epochs of 18
    epochs = [found[i : i + 18] for i in (0, 18, 36)]
    assert all(sorted(epoch) == every for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]
    assert ids(batches(dataset, 6, seed=2)) != epochs[0]


@pytest.mark.parametrize("num_workers", [0, 1, 3])
def test_stream_does_not_depend_on_workers_and_resumes_exactly(make_set, num_workers):
    dataset, _ = make_set(LENGTHS)
    whole = batches(dataset, 10)
    assert_same(batches(dataset, 10, num_workers=num_workers), whole)
    assert_same(batches(dataset, 3, num_workers=num_workers, start_sample=7 * 3), whole[7:])


def test_ranks_share_out_the_same_stream(make_set):
    dataset, _ = make_set(LENGTHS)
    one = ids(batches(dataset, 6, batch_size=6))
    ranks = [batches(dataset, 6, rank=rank, world_size=2) for rank in (0, 1)]
    assert sorted(ids(ranks[0])[:9] + ids(ranks[1])[:9]) == sorted(sample["image_id"] for sample in dataset)
    for step in range(6):  # each step takes the same samples as one rank with the whole batch
        assert sorted(ids(ranks[0][step : step + 1]) + ids(ranks[1][step : step + 1])) == sorted(
            one[step * 6 : step * 6 + 6]
        )
    resumed = [batches(dataset, 2, rank=rank, world_size=2, start_sample=4 * 6) for rank in (0, 1)]
    for rank in (0, 1):
        assert_same(resumed[rank], ranks[rank][4:])


def break_video(dataset, name):
    (video,) = [video for video in dataset.dataset.videos if video.name == name]
    for file in sorted(Path(video.path).iterdir()):
        file.write_bytes(b"")


def test_broken_samples_are_replaced_counted_and_logged_once(make_set, tmp_path, caplog):
    dataset, _ = make_set(LENGTHS)
    whole = ids(batches(dataset, 12))
    break_video(dataset, "Left/b")
    log = tmp_path / "out" / "bad_inputs.txt"
    loader = build_train_loader(dataset, train_mapper(), 3, seed=1, bad_inputs_file=log)
    found = list(islice(loader, 12))
    assert all(len(batch) == 3 for batch in found)
    replaced = [(a, b) for a, b in zip(whole, ids(found), strict=True) if a != b]
    assert {a.split("#")[0] for a, _ in replaced} == {"Left/b"} and len(replaced) == 4  # 2 keyframes, 2 epochs
    assert not any(b.startswith("Left/b") for _, b in replaced)
    assert loader.bad >= 4 and loader.seen == 36 + loader.bad
    (line,) = log.read_text().splitlines()
    assert line.split("\t")[0].endswith("Left/b") and ".png: 0 bytes, not a readable image" in line
    assert caplog.text.count("skipped Left/b") == 1
    # also with broken samples the stream is the same for any number of workers, and after resuming
    assert_same(batches(dataset, 3, num_workers=2, start_sample=27), found[9:])


def test_counters_of_broken_samples_go_on(make_set):
    dataset, _ = make_set(LENGTHS)
    break_video(dataset, "Left/b")
    first = build_train_loader(dataset, train_mapper(), 3, seed=1)
    list(islice(first, 12))
    resumed = build_train_loader(dataset, train_mapper(), 3, seed=1, start_sample=36)
    resumed.load_state_dict(first.state_dict())
    assert (resumed.seen, resumed.bad) == (first.seen, first.bad) and first.bad > 0
    other = build_train_loader(dataset, train_mapper(), 3, seed=1, rank=1, world_size=2)
    other.load_state_dict(first.state_dict())  # of one process
    assert (other.seen, other.bad) == (0, 0)
    for wrong in ({"seen": [-1], "bad": [0]}, {"seen": ["x"], "bad": [0]}, {"seen": 3, "bad": 4}, {}):
        with pytest.raises((ValueError, TypeError, KeyError)):
            resumed.load_state_dict(wrong)


def killed_mapper(sample, rng):
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_loader_process_is_one_line(make_set):
    dataset, _ = make_set({"Left/a": 4})
    with pytest.raises(LoaderProcessError) as error:
        next(iter(build_train_loader(dataset, killed_mapper, 1, seed=0, num_workers=1)))
    text = str(error.value)
    assert re.match(r"DataLoader worker \(pid.* \d+\) ", text) and "DATALOADER.NUM_WORKERS" in text and "\n" not in text


def test_too_many_broken_samples_stop_with_the_list(make_set):
    dataset, _ = make_set(LENGTHS)
    break_video(dataset, "Left/b")
    with pytest.raises(TooManyBadSamples, match=r"1 of \d+ training samples cannot be read(.|\n)*Left/b#\d"):
        batches(dataset, 12, max_bad_share=0)
    with pytest.raises(TooManyBadSamples) as error:  # 0.3 % of 1000 are 3
        batches(dataset, 100, max_bad_share=0.003)
    assert str(error.value).startswith("4 of ") and "a share of 0.003" in str(error.value)
    assert len(batches(dataset, 12, max_bad_share=1)) == 12


@pytest.mark.parametrize("num_workers", [0, 2])
def test_all_broken(make_set, num_workers):
    dataset, _ = make_set(LENGTHS)
    for name in LENGTHS:
        break_video(dataset, name)
    with pytest.raises(TooManyBadSamples, match="skipped"):
        batches(dataset, 1, max_bad_share=1, num_workers=num_workers)


def test_video_shorter_than_annotated_is_logged_in_training(make_set, caplog):
    dataset, _ = make_set({"Left/a": 9, "Left/b": 8})
    (Path(dataset.dataset.videos[0].path) / "00009.png").unlink()
    batches(dataset, 10, max_bad_share=1)
    assert "8 frames decode, the annotation of Left/a says 9" in caplog.text or "only 8 frames decode" in caplog.text


def test_programming_errors_are_not_taken_for_bad_input(make_set):
    dataset, _ = make_set({"Left/a": 4})

    def broken(sample, rng):
        raise TypeError("a bug")

    with pytest.raises(TypeError, match="a bug"):
        next(iter(build_train_loader(dataset, broken, 1, seed=0)))


def test_nothing_to_train_on(make_set):
    dataset, _ = make_set({"Left/a": 4})
    empty = KeyframeDataset(ActionDataset("nothing", ("a",), (), "hash"))
    with pytest.raises(ValueError, match="the training set has nothing to train on"):
        build_train_loader(empty, train_mapper(), 1, seed=0)
    with pytest.raises(ValueError, match="batch size 0"):
        build_train_loader(dataset, train_mapper(), 0, seed=0)
    loader = build_keyframe_loader(empty, sliding_mapper(), 2)
    assert list(loader) == [] and len(loader) == 0


def sliding_mapper(num_frames=4, size=(12, 16), step=1):
    return KeyframeMapper(num_frames, size, is_train=False, plan=SpanPlan.stepped(num_frames, step))


def alone(dataset, mapper):
    """What the loader should give: the mapper on each keyframe by itself, where it can be read."""
    outputs = {}
    for sample in dataset:
        with contextlib.suppress(FrameReadError):
            outputs[sample["image_id"]] = mapper(sample)["clip"]
    return outputs


def assert_equals_mapper(found, dataset, mapper):
    expected = alone(dataset, mapper)
    samples = [sample for batch in found for sample in batch]
    assert sorted(sample["image_id"] for sample in samples) == sorted(expected)
    for sample in samples:
        assert torch.equal(sample["clip"], expected[sample["image_id"]]), sample["image_id"]
        assert "annotations" not in sample and (sample["height"], sample["width"]) == SIZE
    return samples


@pytest.mark.parametrize("frames", ["annotated", "all"])
@pytest.mark.parametrize("num_frames", [1, 2, 5, 8, 20])
def test_sliding_equals_the_mapper(make_set, frames, num_frames):
    dataset, _ = make_set(LENGTHS, frames)
    loader = build_keyframe_loader(dataset, sliding_mapper(num_frames), 4)
    samples = assert_equals_mapper(loader, dataset, sliding_mapper(num_frames))
    assert [sample["image_id"] for sample in samples] == [sample["image_id"] for sample in dataset]
    assert loader.errors == 0 and loader.lengths == {} and loader.num_keyframes == len(dataset)


@pytest.mark.parametrize("step", [2, 3])
@pytest.mark.parametrize("num_frames", [1, 4, 5])
def test_sliding_equals_the_mapper_with_a_step(make_set, num_frames, step):
    dataset, _ = make_set(LENGTHS, "all")
    mapper = sliding_mapper(num_frames, step=step)
    for sample in assert_equals_mapper(build_keyframe_loader(dataset, mapper, 4), dataset, mapper):
        assert len(sample["clip"]) == num_frames


def test_each_frame_is_read_once_and_few_are_held(make_set, monkeypatch):
    dataset, _ = make_set({"Left/a": 13, "Left/b": 7}, "all")
    reads = []
    read_image = readers._read_image
    monkeypatch.setattr(readers, "_read_image", lambda path: reads.append(path) or read_image(path))
    consumed = 0
    for sample in slide(dataset, 0, sliding_mapper(4)):
        consumed += 1
        assert len(reads) <= min(sample["frame_index"] + 4, 13)
    assert consumed == 13 and len(reads) == len(set(reads)) == 13


@pytest.mark.parametrize("num_workers, world_size", [(0, 1), (1, 1), (2, 1), (3, 1), (0, 2), (2, 2), (0, 7)])
def test_videos_are_shared_out(make_set, num_workers, world_size):
    dataset, _ = make_set(LENGTHS, "all")
    found = []
    for rank in range(world_size):
        loader = build_keyframe_loader(
            dataset, sliding_mapper(), 4, num_workers=num_workers, rank=rank, world_size=world_size
        )
        of_rank = list(loader)
        assert len(of_rank) == len(loader) and sum(map(len, of_rank)) == loader.num_keyframes
        found += of_rank
    samples = assert_equals_mapper(found, dataset, sliding_mapper())
    for name, length in LENGTHS.items():  # in order
        assert [s["frame_index"] for s in samples if s["video"] == name] == list(range(length))


def test_unreadable_frames_are_left_out_and_counted(make_set, caplog):
    dataset, _ = make_set(LENGTHS, "all")
    folders = {video.name: Path(video.path) for video in dataset.dataset.videos}
    (folders["Left/a"] / "00005.png").unlink()  # a gap
    (folders["Right/d"] / "00013.png").unlink()  # ends early
    (folders["Right/d"] / "00012.png").unlink()
    for file in folders["Left/b"].iterdir():  # nothing left
        file.unlink()
    loader = build_keyframe_loader(dataset, sliding_mapper(), 4)
    assert_equals_mapper(list(loader), dataset, sliding_mapper())
    samples = [sample for video in range(4) for sample in slide(dataset, video, sliding_mapper())]
    errors = {sample["image_id"]: sample["error"] for sample in samples if "error" in sample}
    # clips of 4 are k - 2 .. k + 1: frame 4 is in those of 3, 4, 5 and 6
    assert set(errors) == {f"Left/a#{k}" for k in (3, 4, 5, 6)} | {f"Left/b#{k}" for k in range(4)} | {
        "Right/d#11",
        "Right/d#12",
    }
    assert "00005.png: this frame is missing" in errors["Left/a#4"]
    assert "frame 12 was asked for, but only 11 frames decode" in errors["Right/d#12"]
    assert "no numbered .jpg or .png image" in errors["Left/b#0"]
    assert loader.errors == 10
    assert loader.lengths == {str(folders["Right/d"]): (11, 13)}
    assert "Right/d: 11 frames decode, the annotation of Right/d says 13" in caplog.text
    assert "10 of 33 keyframes could not be read" in caplog.text
    assert caplog.text.count("Left/b#") == 1  # once a file


@pytest.mark.parametrize("frames", ["annotated", "all"])
def test_video_longer_than_annotated(make_set, caplog, frames):
    dataset, pictures = make_set({"Left/a": 6}, frames)
    folder = Path(dataset.dataset.videos[0].path)
    (folder / "00007.png").write_bytes((folder / "00001.png").read_bytes())
    with caplog.at_level(logging.WARNING):
        loader = build_keyframe_loader(dataset, sliding_mapper(), 4)
        assert_equals_mapper(list(loader), dataset, sliding_mapper())
    assert loader.lengths == {str(folder): (7, 6)} and loader.errors == 0
    assert "7 frames decode, the annotation of Left/a says 6" in caplog.text


def test_wrong_size_is_an_error_of_each_frame(make_set):
    dataset, _ = make_set({"Left/a": 3}, "all")
    path = Path(dataset.dataset.videos[0].path)
    for number in (1, 2, 3):
        cv2.imwrite(str(path / f"{number:05d}.png"), np.zeros((8, 8, 3), np.uint8))
    loader = build_keyframe_loader(dataset, sliding_mapper(), 4)
    assert_equals_mapper(list(loader), dataset, sliding_mapper())
    assert loader.errors == 3


def test_real_video(real_data):
    path = real_data / "videos" / "ucf101" / "SoccerJuggling" / "v_SoccerJuggling_g23_c01.avi"
    video = VideoRecord("SoccerJuggling/v_SoccerJuggling_g23_c01", str(path), 240, 240, 320, ())
    dataset = KeyframeDataset(ActionDataset("real", ("a",), (video,), "hash"), "all")
    mapper = sliding_mapper(20, (64, 80))
    samples = [sample for batch in build_keyframe_loader(dataset, mapper, 8) for sample in batch]
    assert len(samples) == 240 and samples[-1]["decoded_frames"] == 240
    for frame in (0, 5, 117, 235, 239):
        assert torch.equal(samples[frame]["clip"], mapper(dataset[frame])["clip"])
