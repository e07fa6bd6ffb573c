"""docs/own_data.md, followed literally: its commands run one after the other on made videos, at toy size."""

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import yaml

from detect.config_node import put
from detect.data.annotation_files import read_annotations
from detect.data.own_json import problems_of, read_own_json, write_own_json
from detect.video.writer import save_video
from tests.data.tiny_set import draw, write_frames
from tests.data.tool_files import box, cvat, labelme, rect, shape, track, write_via
from tests.running import ROOT, load_tool, run_tool
from tests.tiny import OVERRIDES

PAGE = (ROOT / "docs" / "own_data.md").read_text()
TINY = [
    *OVERRIDES, "MODEL.ROI_HEADS.NUM_CLASSES", 24, "MODEL.CONTEXT.NAME", "i2d", "MODEL.BACKBONE.WEIGHTS", "",
    "MODEL.CONTEXT.WEIGHTS", "", "INPUT.SIZE", [36, 48], "INPUT.NUM_FRAMES", 4, "SOLVER.IMS_PER_BATCH", 2,
    "SOLVER.MAX_ITER", 4, "SOLVER.WARMUP_ITERS", 0, "SOLVER.CHECKPOINT_PERIOD", 4, "TEST.EVAL_PERIOD", 0,
    "TEST.PICTURES", 1, "DATALOADER.NUM_WORKERS", 0,
]  # fmt: skip


def commands() -> list[list[str]]:
    """The words of each command in the page's bash blocks, `python` left away."""
    blocks = re.findall(r"^```bash\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    found = [shlex.split(line, comments=True) for line in lines if line.strip()]
    assert all(words[0] == "python" and words[1].startswith("tools/") for words in found)
    return [words[1:] for words in found]


def what_lacks(words: list[str]) -> str | None:
    """The tool or option of a command that is not there."""
    tool = ROOT / words[0]
    if not tool.exists():
        return words[0]
    legal = load_tool(tool.stem).build_parser()._option_string_actions
    missing = [word for word in words if word.startswith("--") and word not in legal]
    return f"{words[0]} {missing[0]}" if missing else None


def moving(file: str) -> str:
    """CVAT's file of a video of 8 frames in which an actor moves to the right from frame 1 to 5."""
    rows = [box(i, 2 + i, outside=int(i == 6)) for i in range(1, 7)]
    return cvat(track(*rows), size=8, stop=7).replace("a.mp4", file)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """The folder that the page describes, with a tiny model under the name of the page's config."""
    for number, name in enumerate(("door_01", "door_02", "new")):
        save_video(tmp_path / "videos" / f"{name}.mp4", draw(8, number))
    (tmp_path / "train.xml").write_text(moving("door_01.mp4"))
    (tmp_path / "test.xml").write_text(moving("door_02.mp4"))
    write_frames(tmp_path / "clip", draw(4, 3))
    write_via(tmp_path / "via.csv", [(f"clip/0000{i}.png", rect(i), {"action": "open"}) for i in (1, 2)])
    (tmp_path / "labelme" / "clip").mkdir(parents=True)
    for i in (1, 2):
        (tmp_path / "labelme" / "clip" / f"0000{i}.json").write_text(labelme(shape(i, "open")))
    tree = {"_BASE_": str(ROOT / "configs" / "own_data.yaml")}
    for name, value in zip(TINY[::2], TINY[1::2], strict=True):
        put(tree, name, list(value) if isinstance(value, tuple) else value)
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "own_data.yaml").write_text(yaml.safe_dump(tree))
    (tmp_path / "tools").symlink_to(ROOT / "tools")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_keyframes(project: Path) -> None:
    """keyframes.json, of every third frame."""
    dataset = json.loads((project / "train.json").read_text())
    box = [3, 3, 12, 17]
    dataset["annotations"] = [{"id": 1, "video_id": 1, "category_id": 1, "frames": [1, 4], "bboxes": [box, box]}]
    dataset["videos"][0]["labelled_frames"] = "boxes"
    (project / "keyframes.json").write_text(json.dumps(dataset))


def write_folds(project: Path) -> None:
    """all.json, of four videos."""
    dataset = json.loads((project / "train.json").read_text())
    (video,), (tube,) = dataset["videos"], dataset["annotations"]
    dataset["videos"] = [{**video, "id": i, "name": f"v{i}", "group": f"day {i}"} for i in range(4)]
    dataset["annotations"] = [{**tube, "id": i, "video_id": i} for i in range(4)]
    (project / "all.json").write_text(json.dumps(dataset))


def test_the_commands_of_the_page(project):
    absent = []
    for words in commands():
        if "--folds" in words:
            write_folds(project)
        if "keyframes.json" in words:
            write_keyframes(project)
        if lacks := what_lacks(words):
            absent.append(lacks)
            if "convert_annotations" in words[0] and "--interpolate" not in words:  # what comes after needs the file
                write_own_json(read_annotations(words[1]), words[2])
            continue
        done = run_tool(Path(words[0]).stem, *words[1:])
        said = f"{' '.join(words)}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
        if "--overfit-check" in words:  # noise and one class: there is nothing to learn, and the check says so
            assert done.returncode == 1 and "overfit check failed: labels are constant" in done.stdout, said
        else:
            assert done.returncode == 0, said
    assert [len(v.tubes[0].frames) for v in read_own_json("train.json").videos] == [5]
    assert len(read_own_json("via.json").videos[0].tubes) == len(read_own_json("labelme.json").videos[0].tubes) == 1
    assert yaml.safe_load(Path("output/own_data/config.yaml").read_text())["MODEL"]["ROI_HEADS"]["NUM_CLASSES"] == 2
    assert Path("output/own_data/evaluation/json_test.json/results.json").exists() and Path("new_detected.mp4").exists()
    if absent:
        pytest.skip(f"all else ran; not there: {', '.join(dict.fromkeys(absent))}")


def test_the_example_of_the_format_is_sound(tmp_path):
    (example,) = re.findall(r"^```json\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    for name in ("door_01", "door_02"):
        save_video(tmp_path / "videos" / f"{name}.mp4", np.zeros((12, 240, 320, 3), np.uint8))
    (tmp_path / "train.json").write_text(example)
    errors, warnings = problems_of(tmp_path / "train.json")
    assert errors == [] and len(warnings) == 1 and "decoded for num_frames" in warnings[0]
    first, second = read_own_json(tmp_path / "train.json").videos
    assert first.tubes[0].frames.tolist() == [3, 4] and second.labelled.tolist() == [0, 5, 10]
    assert second.tubes[0].boxes[0].tolist() == [100, 30, 180, 200] and first.labelled is None
