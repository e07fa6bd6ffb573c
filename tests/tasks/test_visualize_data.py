"""tools/visualize_data.py: what is drawn is what the model gets, and bad arguments are said."""

import json
from itertools import islice

import cv2
import numpy as np
import pytest

from detect.config import load_cfg
from detect.data.catalog import register_ucf24
from detect.data.keyframe_mapper import KeyframeMapper
from detect.data.train_stream import build_train_loader
from detect.tasks.sets import for_training, is_for_tests, keyframe_set
from detect.tasks.visualize_data import mapped, view
from detect.video.windows import clip_indices
from tests.data.tiny_set import draw, entry, tube, write_frames, write_ucf
from tests.running import run_tool

SMALL = ["INPUT.SIZE", "(48, 64)", "INPUT.NUM_FRAMES", "4"]


@pytest.fixture(scope="module", autouse=True)
def root(tmp_path_factory):
    """Registers sheets_train and sheets_test: three videos of 9 frames, 24 x 32, a box on the later five frames."""
    root = tmp_path_factory.mktemp("sheets")
    annotations = {}
    for seed, name in enumerate(("Left/a", "Left/b", "Right/c")):
        annotations[name] = entry(9, tube(seed // 2, 4, [[2 + seed, 3, 12, 14]] * 5))
        write_frames(root / "rgb-images" / name, draw(9, seed))
    for subset in ("train", "test"):
        write_ucf(root, annotations, subset)
        register_ucf24(f"sheets_{subset}", root, subset)
    return root


def written(path):
    image = cv2.imread(str(path))
    assert image is not None
    return image


@pytest.mark.parametrize("name, train", [("sheets_train", "with"), ("sheets_test", "without")])
def test_a_picture_of_a_set(name, train, tmp_path):
    done = run_tool("visualize_data", name, "--count", 2, "--output", tmp_path / "a.png", *SMALL)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"2 keyframes of {name}, {train} augmentation: {tmp_path / 'a.png'}\n"
    one = run_tool("visualize_data", name, "--index", 0, "--output", tmp_path / "b.png", *SMALL)
    assert one.returncode == 0 and abs(len(written(tmp_path / "a.png")) - 2 * len(written(tmp_path / "b.png"))) <= 2


def test_overrides_may_stand_anywhere_after_the_name(tmp_path):
    words = ["sheets_test", *SMALL, "--index", 0, "--output", tmp_path / "a.png"]
    assert run_tool("visualize_data", *words).returncode == 0
    assert run_tool("visualize_data", "--output", tmp_path / "b.png", "--count", 1, *words[:5]).returncode == 0


def test_training_samples_are_those_of_the_run():
    cfg = load_cfg("", [*SMALL, "INPUT.COLOR_JITTER", 0.3, "INPUT.SCALE_JITTER", (0.8, 1.2)])
    dataset = keyframe_set("sheets_train")
    mapper = KeyframeMapper.from_config(cfg, is_train=True)
    stream = iter(build_train_loader(dataset, mapper, 1, seed=5))
    for found, (expected,) in zip(mapped(cfg, dataset, [], 6, 5, True), stream, strict=False):
        assert (found["video"], found["frame_index"]) == (expected["video"], expected["frame_index"])
        assert (found["clip"] == expected["clip"]).all()
        drawn = view(dataset, found)
        assert (drawn.frames == expected["clip"].numpy()).all() and drawn.position == 2
        assert drawn.indices == clip_indices(found["frame_index"], 9, 4).tolist()
        assert (drawn.boxes == expected["instances"].gt_boxes.tensor.numpy()).all()
        assert ("not mirrored" in drawn.title[1]) != expected["mirrored"]
        if found["frame_index"] == 8:
            break


def test_test_samples_are_spread_and_their_boxes_scaled():
    cfg, dataset = load_cfg("", SMALL), keyframe_set("sheets_test")
    found = list(mapped(cfg, dataset, [], 3, 0, False))
    assert [(item["video"], item["frame_index"]) for item in found] == [("Left/a", 0), ("Left/b", 4), ("Right/c", 8)]
    first, middle, _ = (view(dataset, item) for item in found)
    assert len(first.boxes) == 0 and middle.boxes.tolist() == [[6, 6, 30, 34]]  # x 3..15, y 3..17, twice
    assert middle.title == (
        "sheets_test: Left/b, keyframe 4 of 9 frames", "frames 2 to 5; 32 x 24 resized to 64 x 48; 1 box",
    )  # fmt: skip


def test_boxes_lost_to_a_zoom_are_counted():
    cfg = load_cfg("", [*SMALL, "INPUT.SCALE_JITTER", (3.0, 3.0), "INPUT.FLIP_PROB", 1.0])
    dataset = keyframe_set("sheets_train")
    titles = [view(dataset, item).title[1] for item in islice(mapped(cfg, dataset, [], 1, 0, True), 12)]
    assert all("; mirrored; zoom 2.9" in title for title in titles)  # 32 pixels of which 11 are seen
    assert any("0 boxes, 1 lost to the zoom" in title for title in titles)


def test_speed_and_background_are_said():
    cfg = load_cfg("", [*SMALL, "INPUT.SPEED_JITTER", (2.0, 2.0), "INPUT.BACKGROUND_PROB", 1.0])
    dataset = keyframe_set("sheets_train")
    drawn = view(dataset, next(mapped(cfg, dataset, [(0, 6)], 1, 0, True)))
    assert drawn.indices == [2, 4, 6, 8] and "; speed 2.00; background replaced; 1 box" in drawn.title[1]


def test_a_video_shorter_than_annotated(tmp_path):
    annotations = {"Left/a": entry(9, tube(0, 0, [[2, 3, 12, 14]] * 9))}
    write_frames(tmp_path / "rgb-images" / "Left" / "a", draw(6, 0))
    register_ucf24("short_train", write_ucf(tmp_path, annotations), "train")
    item = next(mapped(load_cfg("", SMALL), keyframe_set("short_train"), [(0, 5)], 1, 0, True))
    drawn = view(keyframe_set("short_train"), item)
    assert drawn.indices == [3, 4, 5, 5] and "only 6 frames decode" in drawn.title[1]


def test_a_page(root, tmp_path):
    done = run_tool("visualize_data", "sheets_train", "--output", tmp_path / "set.html")
    assert (done.returncode, done.stdout) == (0, f"3 of 3 videos of sheets_train: {tmp_path / 'set.html'}\n")
    page = (tmp_path / "set.html").read_text()
    assert page.count("<article") == 3 and page.count("data:image/jpeg") == 9
    done = run_tool("visualize_data", "sheets_train", "--count", 2, "--output", tmp_path / "two.html")
    assert (tmp_path / "two.html").read_text().count("<article") == 2


def test_a_page_of_videos_that_are_not_there(tmp_path):
    names = [f"Left/{i}" for i in range(12)]
    annotations = {name: entry(9, tube(0, 4, [[2, 3, 12, 14]] * 5)) for name in names}
    write_frames(tmp_path / "rgb-images" / names[3], draw(9, 0))
    register_ucf24("missing_train", write_ucf(tmp_path, annotations), "train")
    done = run_tool("visualize_data", "missing_train", "--output", tmp_path / "set.html")
    assert done.returncode == 1
    lines = [line for line in done.stderr.splitlines() if "bad input" in line]
    assert len(lines) == 10 and "no such video file" in lines[0]
    assert done.stderr.endswith("error: 11 of 12 videos cannot be read (10 are named here, all on the page)\n")
    assert (tmp_path / "set.html").read_text().count('class="missing"') == 11


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("sheet_train",), "no set 'sheet_train'; did you mean sheets_train"),
        (("sheets_train", "--index", 15), "--index 15: sheets_train has 15 keyframes, 0 to 14"),
        (("sheets_train", "--video", "Left/d"), "no such video; it has Left/"),
        (("sheets_train", "--video", "Left/a", "--frame", 9), "--frame 9: Left/a has the frames 0 to 8"),
        (("sheets_train", "--count", 0), "--count 0: at least 1"),
        (("sheets_train", "--frame", 2), "--frame 2 of which video? Give --video too"),
        (("sheets_train", "--flow"), "there is no such folder of flow images"),
    ],
)
def test_bad_arguments(words, said, tmp_path):
    done = run_tool("visualize_data", *words, "--output", tmp_path / "a.png", *SMALL)
    assert done.returncode == 2 and said in done.stderr and not (tmp_path / "a.png").exists()


def test_a_set_without_boxes(tmp_path):
    """Trained on are frames with boxes, of which there is none."""
    (tmp_path / "a.mp4").write_bytes(b"")
    video = {"id": 1, "file_name": "a.mp4", "width": 32, "height": 24, "num_frames": 9, "fps": 9}
    content = {"categories": [{"id": 1, "name": "wave"}], "videos": [video], "annotations": []}
    (tmp_path / "own.json").write_text(json.dumps(content))
    done = run_tool("visualize_data", f"json:{tmp_path}/own.json", "--train", "--output", tmp_path / "a.png", *SMALL)
    assert done.returncode == 2 and done.stderr.endswith("own.json has no keyframes\n")


def test_a_picture_of_no_known_format(tmp_path):
    done = run_tool("visualize_data", "sheets_train", "--output", tmp_path / "a.foo", *SMALL)
    assert done.returncode == 2 and "a.foo: the name must end in .png, .jpg, .jpeg (a picture) or .html" in done.stderr


def test_a_page_is_of_videos_not_of_keyframes(tmp_path):
    done = run_tool("visualize_data", "sheets_train", "--index", 0, "--output", tmp_path / "a.html")
    assert done.returncode == 2 and "--index and --video are for a picture" in done.stderr


def test_which_sets_are_for_tests():
    names = ["synthetic_test", "ucf24_held", "json:a/val.json", "json:my-test.json", "hmdb_validation"]
    assert all(is_for_tests(name) for name in names)
    assert not any(is_for_tests(name) for name in ["synthetic_train", "json:contest.json", "ucf24_fit", "x_values"])


def test_of_ones_own_set_frames_with_a_box_are_trained_on(tmp_path):
    path = tmp_path / "own.json"
    video = {"id": 1, "file_name": "a.avi", "width": 32, "height": 24, "num_frames": 6, "labelled_frames": "all"}
    tube = {"video_id": 1, "category_id": 1, "frames": [2, 3], "bboxes": [[1, 1, 9, 9]] * 2}
    path.write_text(json.dumps({"categories": [{"id": 1, "name": "run"}], "videos": [video], "annotations": [tube]}))
    own, registered = keyframe_set(f"json:{path}"), keyframe_set("sheets_test")
    assert (len(own), len(for_training(own))) == (6, 2) and for_training(registered) is registered


def test_a_keyframe_by_video_and_frame(tmp_path):
    for words in (["--frame", 0], []):
        arguments = ["--video", "Right/c", *words, "--test", "--output", tmp_path / "a.png"]
        assert run_tool("visualize_data", "sheets_train", *arguments, *SMALL).returncode == 0
    assert np.ptp(written(tmp_path / "a.png")) > 100
