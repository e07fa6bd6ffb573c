"""tools/check_dataset.py on whole copies, on broken ones, and on what there is of the real sets."""

import json

import numpy as np
import pytest

from detect.data.catalog import register_ucf24
from detect.tasks import check_dataset
from detect.tasks.check_dataset import expand
from detect.utils.errors import UserError
from detect.utils.processes import WorkerKilledError
from detect.video.writer import save_video
from tests.data.tiny_set import draw, entry, tube, write_frames, write_ucf
from tests.running import run_tool

COMPLETE = "this copy is complete"


@pytest.fixture
def copy(tmp_path):
    """Registers copy_train and copy_test, four videos of 9 frames; two are files, two folders. Returns their root."""
    root = tmp_path / "copy"
    annotations = {f"Left/{name}": entry(9, tube(0, 4, [[2, 3, 12, 14]] * 5)) for name in "abcd"}
    for seed, name in enumerate(annotations):
        if seed < 2:
            save_video(root / "videos" / f"{name}.avi", draw(9, seed))
        else:
            write_frames(root / "rgb-images" / name, draw(9, seed))
    for subset in ("train", "test"):
        write_ucf(root, annotations, subset)
        register_ucf24(f"copy_{subset}", root, subset)
    return root


@pytest.fixture
def check(tmp_path):
    def check(*words):
        cache = str(tmp_path / "cache")
        done = run_tool("check_dataset", *words, "--workers", 1, DETECT_CACHE=cache)
        return done.returncode, done.stdout.splitlines(), done.stderr

    return check


def test_a_whole_copy_is_complete_and_is_decoded_once(copy, check, tmp_path, monkeypatch):
    code, out, err = check("copy", "--json", tmp_path / "c.json")
    assert (code, out[-1]) == (0, COMPLETE) and "decoding copy_train" in err and "decoding copy_test" not in err
    assert [line.split("|")[1:4] for line in out if "copy" in line and "|" in line] == [
        [" copy_train ", "        4 ", "       36 "], [" copy_test  ", "        4 ", "       36 "],
    ]  # fmt: skip
    written = json.loads((tmp_path / "c.json").read_text())
    assert written["complete"] and written["sets"]["copy_test"]["counts"]["boxes"] == 20
    monkeypatch.setattr(check_dataset, "in_processes", None)  # would fail
    code, out, err = check("copy_train")
    assert (code, out[-1]) == (0, COMPLETE) and "decoding" not in err


def test_every_kind_of_damage_has_a_line(copy, check, tmp_path):
    assert check("copy")[0] == 0
    (copy / "videos/Left/a.avi").unlink()
    save_video(copy / "videos/Left/b.avi", draw(8, 0, (48, 64)))
    (copy / "rgb-images/Left/c/00005.png").write_bytes(b"")
    (copy / "rgb-images/Left/d/00009.png").unlink()
    code, out, err = check("copy", "--json", tmp_path / "c.json")
    assert code == 1
    assert [line.replace(str(copy), "") for line in out if line.startswith(str(copy))] == [
        "/videos/Left/a.avi: media missing, expected 9 frames",
        "/videos/Left/b.avi: frames 8, expected 9",
        "/videos/Left/b.avi: size 64 x 48, expected 32 x 24",
        "/rgb-images/Left/c: media unreadable after 4 frames (/rgb-images/Left/c/00005.png: 0 bytes, not a readable "
        "image; empty, cut off or damaged), expected 9 frames",
        "/rgb-images/Left/d: frames 8, expected 9",
    ]  # fmt: skip
    assert out[-2:] == ["by kind: media 2, frames 2, size 1", "5 problems"]
    written = json.loads((tmp_path / "c.json").read_text())
    assert not written["complete"] and len(written["problems"]) == 5
    assert written["problems"][1] == {
        "where": str(copy / "videos/Left/b.avi"), "what": "frames", "value": "8", "expected": "9",
    }  # fmt: skip


def test_without_decoding_files_are_only_looked_for(copy, check):
    code, out, err = check("copy", "--no-decode")
    assert (code, out[-1]) == (0, f"{COMPLETE}, as far as can be told without decoding") and "decoding" not in err
    (copy / "videos/Left/a.avi").unlink()
    code, out, _ = check("copy", "--no-decode")
    assert (code, out[-1]) == (1, "1 problem")


def test_what_is_decoded_is_kept_when_a_run_is_stopped(copy, check, tmp_path, monkeypatch):
    class Stopped(check_dataset.tqdm):
        def update(self, n=1):
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(check_dataset, "tqdm", Stopped)
        assert check("copy")[0] == 130
    known = json.loads((tmp_path / "cache" / "media_facts.json").read_text())["videos"]
    assert len(known) == 1
    assert "0/3" in check("copy")[2]  # of four videos


def test_a_set_with_other_counts_than_published(check, tmp_path):
    annotations = {
        "Left/a": entry(
            9,
            tube(
                0,
                4,
                [[2, 3, 12, 14]] * 5,
            ),
            size=(240, 320),
        )
    }
    write_ucf(tmp_path / "ucf24", annotations, "train", classes="Left\n")
    code, out, _ = check("ucf24_train", "--root", tmp_path, "--no-decode")
    assert "ucf24_train: videos 1, expected 2284, as published" in out and "ucf24_train: tubes 1, expected 3143" in str(
        out
    )
    assert any(line.split("|")[2].strip() == "1 (!)" for line in out if line.startswith("| ucf24_train"))
    assert (code, out[-1]) == (1, "7 problems")  # six counts and the video


def test_annotations_that_are_wrong_or_missing_are_one_line_each(check, tmp_path):
    annotations = {"Left/a": entry(9, tube(0, 4, [[2, 3, 40, 14]] * 6))}  # beyond the image, and beyond the end
    root = write_ucf(tmp_path / "bad", annotations)
    register_ucf24("bad_train", root, "train")
    register_ucf24("gone_train", tmp_path / "gone", "train")
    code, out, _ = check("bad_train", "gone_train", "--no-decode")
    assert code == 1 and out[-1] == "4 problems"
    lines = [line for line in out if line.startswith(("bad_train: ", "gone_train: "))]
    assert lines[0].startswith("bad_train: annotation: 1 boxes dropped, on frames that the video does not have")
    assert lines[1].startswith("bad_train: annotation: 5 boxes clamped to the image")
    assert lines[2].startswith("gone_train: annotation: the folder of the dataset not found; looked for /")


def test_a_list_of_classification(check, tmp_path):
    for name in "ab":
        save_video(tmp_path / f"{name}.avi", draw(9, 0))
    data = (tmp_path / "b.avi").read_bytes()
    (tmp_path / "b.avi").write_bytes(data[: len(data) // 2])
    (tmp_path / "list.txt").write_text("a.avi 0\nb.avi 1\nc.avi 1\n")
    name = f"list:{tmp_path}/list.txt"
    code, out, _ = check(name)
    assert code == 1 and out[-1] == "2 problems"
    assert f"{name}: c.avi: media missing" in out
    assert any(line.startswith(f"{tmp_path}/b.avi: media unreadable (") and "cut off" in line for line in out)
    (tmp_path / "list.txt").write_text("a.avi 0\n")
    assert check(name)[1][-1] == COMPLETE


def test_a_file_of_ones_own(check, tmp_path):
    save_video(tmp_path / "a.avi", draw(9, 0))
    content = {
        "categories": [{"id": 1, "name": "wave"}],
        "videos": [{"id": 1, "file_name": "a.avi"}],
        "annotations": [{"id": 1, "video_id": 1, "category_id": 1, "frames": [0, 1], "bboxes": [[2, 3, 9, 9]] * 2}],
    }
    (tmp_path / "own.json").write_text(json.dumps(content))
    code, out, _ = check(f"json:{tmp_path}/own.json")
    assert (code, out[-1]) == (0, "no problems")
    content["annotations"][0]["frames"] = [0, 12]
    (tmp_path / "own.json").write_text(json.dumps(content))
    code, out, _ = check(f"json:{tmp_path}/own.json")
    assert code == 1 and any("error:" in line and "12" in line for line in out)


def own_file(path, *names, tubes=True):
    save_video(path.parent / "a.avi", draw(9, 0))
    tube = {"video_id": 1, "category_id": 1, "frames": [0, 1], "bboxes": [[2, 3, 9, 9]] * 2}
    content = {
        "categories": [{"id": number, "name": name} for number, name in enumerate(names, 1)],
        "videos": [{"id": 1, "file_name": "a.avi"}],
        "annotations": [tube] * tubes,
    }
    path.write_text(json.dumps(content))
    return f"json:{path}"


def test_files_of_one_model_must_name_classes_of_the_first(check, tmp_path):
    train, same = own_file(tmp_path / "a.json", "push", "pull"), own_file(tmp_path / "b.json", "pull", "push")
    fewer, other = own_file(tmp_path / "d.json", "push"), own_file(tmp_path / "c.json", "push", "pulling")
    assert check(train, same, fewer)[1][-1] == "no problems"
    code, out, _ = check(train, fewer, other)
    assert (code, out[-1]) == (1, "1 problem")
    assert f"{other}: classes are others than those of {train}, which has no 'pulling'" in out


def test_an_annotation_without_tubes_is_a_problem(check, tmp_path):
    name = own_file(tmp_path / "a.json", "push", tubes=False)
    code, out, _ = check(name)
    assert code == 1 and f"{name}: annotation: no tubes: nothing to train on" in out


def test_a_file_that_is_not_there_or_not_named(check, tmp_path):
    code, out, _ = check(f"json:{tmp_path}/nope.json")
    assert code == 1 and out[0].startswith(
        f"json:{tmp_path}/nope.json: annotation: the annotation not found; looked for {tmp_path}/nope.json, /"
    )
    assert "'json:' names no file; give json:FILE" in check("json:")[1][0]
    (tmp_path / "own.xml").write_text("")
    assert "did you mean json:own/train.json?" in check("own/train.json")[2]
    assert f"did you mean json:{tmp_path}/own.xml, a file in own JSON?" in check(tmp_path / "own.xml")[2]


def test_names_stand_for_their_parts():
    assert expand("ucf24") == ["ucf24_train", "ucf24_test"]
    assert [name[:12] for name in expand("jhmdb")] == [f"jhmdb_split{k}" for k in (1, 1, 2, 2, 3, 3)]
    assert expand("synthetic") == ["synthetic_train", "synthetic_test"]
    assert expand("ssv1") == ["ssv1_train", "ssv1_val"] and len(expand("kinetics400")) == 3
    assert expand("json:a.json") == ["json:a.json"] and expand("list:a.txt") == ["list:a.txt"]
    with pytest.raises(UserError, match="no set 'ucf42'; did you mean ucf24"):
        expand("ucf42")


def test_the_real_files_of_ucf24(check, real_data, tmp_path):
    """All annotations and two videos of 240 and 251 frames: the other 3192 are missing, and nothing else is wrong."""
    splits = tmp_path / "ucf24" / "splitfiles"
    splits.mkdir(parents=True)
    for path in (real_data / "ucf101_24").iterdir():
        (splits / path.name).symlink_to(path)
    (tmp_path / "ucf24" / "UCF-101").symlink_to(real_data / "videos" / "ucf101")
    code, out, _ = check("ucf24", "--root", tmp_path)
    missing = [line for line in out if "media missing" in line]
    assert (code, len(missing), out[-2:]) == (1, 10, ["by kind: media 3192", "3192 problems"])
    assert not any("(!)" in line for line in out)
    assert "and 3182 more of media; --json FILE lists all" in out


def test_the_real_clip_of_jhmdb(check, real_data, tmp_path):
    (tmp_path / "jhmdb").symlink_to(real_data / "jhmdb")
    code, out, _ = check("jhmdb", "--root", tmp_path)
    assert (code, out[-1]) == (1, "927 problems") and all("media missing" in line for line in out if line[0] == "/")


def test_the_published_row_is_beside_the_own(check, tmp_path):
    code, out, _ = check("ucf24", "--root", tmp_path)
    rows = [line.split("|")[1].strip() for line in out if line.startswith("|")]
    assert code == 1 and rows.count("published") == 2
    assert np.sum(["not found" in line for line in out]) == 2


def test_a_worker_that_is_killed_is_no_fault_of_the_annotation(copy, check, monkeypatch):
    def killed(*_):
        raise WorkerKilledError("a worker process was killed (out of memory?) at one of a.avi")
        yield

    monkeypatch.setattr(check_dataset, "in_processes", killed)
    code, _, err = check("copy")
    assert code == 2 and "at one of a.avi; --workers 1 says at which; what is decoded is kept" in err
