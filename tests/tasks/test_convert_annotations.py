"""The converter, and that it does not matter to the evaluation which form the ground truth came in."""

from functools import partial

import numpy as np
import pytest

from detect.data import annotation_files
from detect.data.records import ActionDataset, Tube, VideoRecord
from detect.evaluation import evaluate_frame_ap, preset
from detect.evaluation.files.table_annotations import EVERY_FORMAT
from detect.evaluation.tables import Detections, GroundTruth
from detect.tasks.convert_annotations import convert_annotations
from tests.running import load_tool

main = load_tool("convert_annotations").main

read_annotations = partial(annotation_files.read_annotations, formats=EVERY_FORMAT)
write_annotations = partial(annotation_files.write_annotations, formats=EVERY_FORMAT)
FILES = {"ava": "a.csv", "yowo": "y.tar.gz", "table": "t.npz"}
WRITABLE = [name for name, row in EVERY_FORMAT.items() if row.write]


@pytest.fixture(scope="module")
def made():
    """Four videos, two actors each."""
    random = np.random.default_rng(0)
    videos = []
    for number in range(4):
        tubes = []
        for actor in range(2):
            frames = np.arange(number, 20)
            corner = random.integers(0, 100, 2)
            start = np.concatenate([corner, corner + random.integers(40, 120, 2)])
            tubes.append(Tube((number + actor) % 3, frames, (start + frames[:, None]).astype(np.float32)))
        videos.append(VideoRecord(f"c/v{number}", f"c/v{number}", 22, 240, 320, tuple(tubes)))
    return ActionDataset("made", ("c", "d e", "f"), tuple(videos), "0" * 64)


def detections(made) -> Detections:
    """The truth, moved, some of it under other labels, with scores."""
    truth, random = made.ground_truth_table(), np.random.default_rng(1)
    count = len(truth["frame"])
    moved = truth["boxes"] + random.normal(0, 12, (count, 4))
    label = np.where(random.random(count) < 0.8, truth["label"], (truth["label"] + 1) % 3)
    return Detections(truth["video"], truth["frame"], label, random.random(count), moved)


def score(made, found, names) -> float:
    """frame-mAP, the videos numbered as `names` has them."""
    columns = made.ground_truth_table()
    number = np.array([names.index(video.name) for video in made.videos])
    columns["video"] = number[columns["video"]]
    return evaluate_frame_ap(GroundTruth(**columns), found, len(made.classes), preset("voc")).mean


@pytest.mark.parametrize("format", WRITABLE)
def test_the_evaluation_says_the_same_through_every_form(made, tmp_path, format):
    names = [video.name for video in made.videos]
    found = detections(made)
    direct = score(made, found, names)
    assert 0.1 < direct < 0.9
    path = tmp_path / FILES.get(format, "x")
    write_annotations(made, path, format)
    assert score(read_annotations(path), found, names) == direct


@pytest.mark.parametrize("format", WRITABLE)
def test_any_to_any(made, tmp_path, format, capsys):
    first = tmp_path / "own" / "made.json"
    write_annotations(made, first)
    there = tmp_path / "there" / FILES.get(format, "x")
    convert_annotations(str(first), str(there), to_format=format)
    back = tmp_path / "back.json"
    main([str(there), str(back), "--from", format])
    output = capsys.readouterr().out
    assert f"read: {first} as own, sha256 " in output and f"written: {there} as {format}, sha256 " in output
    assert output.count("4 videos, 88 frames, 88 looked at, 74 with boxes, 148 boxes, 8 tubes, 3 classes") == 2
    again = read_annotations(back)
    assert again.classes == made.classes
    for video, other in zip(made.videos, again.videos, strict=True):
        assert video.name == other.name and len(video.tubes) == len(other.tubes)
        for frame in range(22):
            rows = [sorted(zip(*map(np.ndarray.tolist, v.boxes_at(frame)), strict=True)) for v in (video, other)]
            assert rows[0] == rows[1]


def test_options_of_the_tool(made, tmp_path, capsys):
    source = tmp_path / "made.pkl"
    write_annotations(made, source, "pyannot")
    (tmp_path / "testlist01.txt").write_text("c/v1\nc/v3\n")
    main([str(source), str(tmp_path / "a.json"), "--subset", "test"])
    assert "2 videos, 44 frames, 44 looked at, 36 with boxes" in capsys.readouterr().out
    main([str(source), str(tmp_path / "a.json"), "--videos", str(tmp_path / "testlist01.txt"), "--media-root", "/none"])
    assert "note: 2 videos without media (looked under /none for " in capsys.readouterr().out
    main([str(tmp_path / "a.json"), str(tmp_path / "b"), "--to", "yowo"])
    (tmp_path / "b" / "videos.csv").unlink()
    apart = ["--join-iou", "1", "--option", "pixels=plain"]
    main([str(tmp_path / "b"), str(tmp_path / "c.json"), "--sizes", "400x300", *apart])
    assert "40 frames, 36 looked at, 36 with boxes, 72 boxes, 72 tubes" in capsys.readouterr().out


def test_gaps_are_filled_when_asked(tmp_path, capsys):
    tube = Tube(0, np.array([0, 4, 20]), np.array([[0, 0, 10, 10], [4, 0, 14, 10], [4, 0, 14, 10]], np.float32))
    record = VideoRecord("v", "v", 21, 240, 320, (tube,), labelled=np.array([0, 4, 20]))
    write_annotations(ActionDataset("s", ("c",), (record,), ""), tmp_path / "s.json")
    boxes = {}
    for name, options in (("no", []), ("some", ["--interpolate", "5"]), ("all", ["--interpolate"])):
        main([str(tmp_path / "s.json"), str(tmp_path / f"{name}.json"), *options])
        boxes[name] = read_annotations(tmp_path / f"{name}.json").videos[0].annotated_frames().tolist()
    assert boxes == {"no": [0, 4, 20], "some": [0, 1, 2, 3, 4, 20], "all": list(range(21))}
    assert "note: 1 tubes completed by linear interpolation: v tube 1, 18 boxes" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["gone.pkl", "x.json"], "error: gone.pkl: there is no such file or folder"),
        (["{source}", "x.json", "--from", "voc"], "error: the format is 'voc'; legal values are own, pyannot"),
        (["{source}", "x.pkl"], "error: x.pkl: the name does not say the format; name one of own, pyannot"),
        (["{source}", "x.json", "--to", "cvat"], "error: the format cvat is only read; formats that can be written"),
        (["{source}", "x.json", "--option", "fps"], "error: the option is 'fps'; expected NAME=VALUE, such as fps=25"),
        (["{source}", "x.json", "--option", "fps=2"], "has no option 'fps'; it has videos, media_root, classes"),
        (["{source}", "x.json", "--from", "yowo", "--option", "join_iou=x"], "option join_iou is 'x'; expected a num"),
        (["{source}", "x.json", "--interpolate", "-1"], "error: max_gap is -1"),
        (["{source}", "x.json", "--classes", "gone.txt"], "error: gone.txt: cannot be read: No such file"),
    ],
)
def test_what_a_user_gets_wrong(made, tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    write_annotations(made, "made.pkl", "pyannot")
    with pytest.raises(SystemExit) as left:
        main([argument.format(source="made.pkl") for argument in arguments])
    assert left.value.code == 2 and message in capsys.readouterr().err
    assert not (tmp_path / "x.json").exists()


def test_the_list_of_formats(capsys):
    main(["--formats"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(EVERY_FORMAT)
    assert any(line.split()[:3] == ["pyannot", "read,", "written"] for line in lines)
    with pytest.raises(SystemExit):
        main(["only_one"])


def test_a_file_is_not_replaced_when_writing_fails(made, tmp_path):
    target = tmp_path / "ava.csv"
    target.write_text("before")
    bad = ActionDataset("x", made.classes, (VideoRecord("a,b", "a", 3, 10, 10, ()),), "")
    with pytest.raises(ValueError, match="the video name 'a,b' has a comma"):
        write_annotations(bad, target, "ava")
    assert target.read_text() == "before"


def test_the_input_is_not_overwritten(made, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_annotations(made, "made.json", "own")
    (tmp_path / "link.json").symlink_to("made.json")
    before = (tmp_path / "made.json").read_text()
    for target in ("made.json", "./made.json", "link.json"):
        with pytest.raises(SystemExit):
            main(["made.json", target])
        assert f"error: OUTPUT {target} is INPUT too; give another file" in capsys.readouterr().err
    assert (tmp_path / "made.json").read_text() == before
