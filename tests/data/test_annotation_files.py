"""What is promised of every form of ground-truth file: written and read back it is the same, and it is recognised."""

import pickle
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from dialect_set import CLASSES, dataset, datasets, facts, labelled, table, tube, video
from hypothesis import HealthCheck, given, settings

from detect.data import annotation_files
from detect.data.checks import AnnotationError
from detect.data.dialects.yowo_text import read_yowo_text
from detect.data.jhmdb import CLASSES as JHMDB
from detect.evaluation.files.table_annotations import EVERY_FORMAT
from detect.utils.errors import UserError

read_annotations = partial(annotation_files.read_annotations, formats=EVERY_FORMAT)
recognise = partial(annotation_files.recognise, formats=EVERY_FORMAT)
write_annotations = partial(annotation_files.write_annotations, formats=EVERY_FORMAT)
FILES = {
    "own": "x.json", "pyannot": "pyannot.pkl", "final_annots": "x.mat", "act": "X-GT.pkl", "yowo": "yowo",
    "ava": "ava.csv", "coco": "coco.json", "table": "table.npz",
}  # fmt: skip
quickly = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))


def again(made, format, file=None, folder=None):
    """The dataset written and read back, and the writer's notes."""
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        path = Path(temporary) / (file or FILES[format])
        notes = write_annotations(made, path, format)
        assert recognise(path) == format
        return read_annotations(path, format), notes


def test_every_format_that_is_written_is_tested_here():
    assert set(FILES) == {name for name, row in EVERY_FORMAT.items() if row.write}


@pytest.mark.parametrize("format", ["pyannot", "final_annots", "act", "coco", "own"])
@quickly
@given(made=datasets())
def test_boxes_classes_sizes_and_lengths_survive(format, made):
    back, _ = again(made, format)
    assert table(back) == table(made)
    kept = [v for v in made.videos if format != "coco" or len(v.labelled_frames()) or v.tubes]
    assert facts(back) == facts(replace(made, videos=tuple(kept))) and back.classes == made.classes
    if format in ("coco", "own"):
        assert labelled(back) == labelled(made) and [v.fps for v in back.videos] == [v.fps for v in made.videos]
    if format in ("act", "coco", "own"):
        assert sorted(map(len, (v.tubes for v in back.videos))) == sorted(map(len, (v.tubes for v in made.videos)))


@pytest.mark.parametrize("format, file", [("yowo", "yowo"), ("yowo", "l.tar.gz"), ("ava", None), ("table", None)])
@quickly
@given(made=datasets())
def test_forms_without_tubes_keep_every_box(format, file, made):
    if not any(v.tubes for v in made.videos):
        return  # nothing to write
    back, notes = again(made, format, file)
    assert table(back) == table(made) and back.classes == made.classes
    with_boxes = [v for v in made.videos if v.tubes or format == "yowo"]
    assert sorted(facts(back)) == sorted(facts(replace(made, videos=tuple(with_boxes))))
    if format == "yowo":
        assert sorted(labelled(back)) == sorted(labelled(made))
    elif len(with_boxes) < len(made.videos):
        assert any("videos without boxes" in note for note in notes)


@pytest.mark.parametrize("file", ["t.parquet", "t.npz", "t.csv", "t.csv.gz"])
def test_tables_in_every_writing(file, tmp_path):
    if file.endswith("parquet"):
        pytest.importorskip("pyarrow")
    made = dataset(video(tubes=[tube(), tube(2, (4, 5))]), video("b", 9, [tube(1)], (24, 32), fps=25.0))
    made = replace(made, videos=(made.videos[0], replace(made.videos[1], tubes=(tube(1, (1, 2), (1, 2, 6, 12)),))))
    back, _ = again(made, "table", file)
    assert table(back) == table(made) and facts(back) == facts(made) and back.classes == CLASSES


@pytest.mark.parametrize("format", ["own", "pyannot", "final_annots", "act", "ava", "yowo", "coco", "table"])
def test_a_set_without_boxes(format, tmp_path):
    made = dataset(video(num_frames=3))
    if format in ("ava",):
        notes = write_annotations(made, tmp_path / "x.csv", "ava")
        assert notes == ("1 videos without boxes, not written: wave/a",)
        return
    back, _ = again(made, format)
    assert table(back) == [] and (format == "table" or facts(back) == facts(made))


def test_gaps_are_cut_and_said_where_a_form_has_none():
    made = dataset(video(tubes=[tube(frames=(0, 1, 4))]))
    for format in ("pyannot", "final_annots"):
        back, notes = again(made, format)
        assert [t.frames.tolist() for t in back.videos[0].tubes] == [[0, 1], [4]] and table(back) == table(made)
        assert notes == ("1 tubes with gaps, cut there: wave/a (2 pieces)",)


def test_what_a_form_cannot_hold_is_said():
    made = dataset(video(tubes=[tube()], fps=25.0, labelled=np.array([1, 2, 3])))
    for format in ("pyannot", "act"):
        _, notes = again(made, format)
        assert "1 frame rates not written, the form has none: wave/a" in notes
        assert any(note.startswith("1 videos whose frames without a box will all count as looked at") for note in notes)
    with_empty = dataset(video(tubes=[tube()], labelled=np.array([0, 1, 2, 3])))
    for format in ("ava", "table"):
        assert any("frames that were looked at and have no box" in note for note in again(with_empty, format)[1])


def test_pickles_are_for_old_readers_and_plain(tmp_path):
    made = dataset(video(tubes=[tube(frames=(0, 1, 2), box=(239, 25, 301, 149))]))
    write_annotations(made, tmp_path / "pyannot.pkl", "pyannot")
    write_annotations(made, tmp_path / "X-GT.pkl", "act")
    for name, start in (("pyannot.pkl", b"\x80\x03"), ("X-GT.pkl", b"\x80\x02")):
        data = (tmp_path / name).read_bytes()
        assert data.startswith(start) and b"cnumpy.core.multiarray\n" in data and b"numpy._core" not in data
    entry = pickle.loads((tmp_path / "pyannot.pkl").read_bytes())["wave/a"]
    assert entry["numf"] == 6 and entry["annotations"][0]["sf"] == 0 and entry["annotations"][0]["ef"] == 3
    boxes = entry["annotations"][0]["boxes"]
    assert boxes.dtype == np.int32 and boxes[0].tolist() == [239, 25, 62, 124]
    act = pickle.loads((tmp_path / "X-GT.pkl").read_bytes(), encoding="latin1")
    assert act["test_videos"] == act["train_videos"] == [["wave/a"]] and act["resolution"] == {"wave/a": (240, 320)}
    assert act["gttubes"]["wave/a"][0][0][0].tolist() == [1, 239, 25, 301, 149]


def test_the_mat_file_is_as_the_published_one(tmp_path):
    write_annotations(dataset(video(tubes=[tube(1, (0, 1))])), tmp_path / "finalAnnots.mat")
    annot = scipy.io.loadmat(tmp_path / "finalAnnots.mat")["annot"]
    assert annot.shape == (1, 1) and annot.dtype.names == ("num_imgs", "name", "tubes")
    only = annot[0, 0]["tubes"][0, 0]
    assert annot[0, 0]["num_imgs"][0, 0] == 6 and annot[0, 0]["name"][0] == "wave/a"
    assert (only["sf"][0, 0], only["ef"][0, 0], only["class"][0, 0]) == (1, 2, 2)
    assert only["boxes"].tolist() == [[10, 20, 50, 100], [11, 21, 50, 100]]


def test_text_of_yowo_and_its_shift_of_jhmdb(tmp_path):
    made = dataset(video(tubes=[tube(frames=(0,), box=(10, 20, 60, 120))]), video("push(up)/b", 2))
    write_annotations(made, tmp_path / "plain", "yowo")
    assert (tmp_path / "plain/labels/wave/a/00001.txt").read_text() == "1 10 20 60 120\n"
    assert (tmp_path / "plain/labels/push(up)/b/00001.txt").read_text() == ""  # looked at, no box
    clip = video("wave/a", 2, [tube(20, (0,), (0, 1, 317, 237)), tube(20, (1,), (0, 0, 318, 238))])
    write_annotations(dataset(clip, classes=JHMDB), tmp_path / "jhmdb", "yowo")
    # x1 317 + 2 = 319; the tube's second box moved by one to 1 1 319 239, whose 321 and 241 are cut to 320 and 240
    assert (tmp_path / "jhmdb/labels/wave/a/00001.txt").read_text() == "21 1 2 319 239\n"
    assert (tmp_path / "jhmdb/labels/wave/a/00002.txt").read_text() == "21 2 2 320 240\n"
    back = read_annotations(tmp_path / "jhmdb")
    assert [row[3:] for row in table(back)] == [(0, 1, 317, 237), (1, 1, 318, 238)]  # 319 and 239 are lost by one
    as_written = read_yowo_text(tmp_path / "jhmdb", pixels="plain")
    assert [row[3:] for row in table(as_written)] == [(1, 2, 319, 239), (2, 2, 320, 240)]


def test_labels_beside_frames_and_videos_that_are_called_so(tmp_path):
    made = dataset(video("labels/g", tubes=[tube()]), video("wave/a", tubes=[tube()]))
    for name in ("ucf24", "x.tar"):
        write_annotations(made, tmp_path / name, "yowo")
        assert table(read_annotations(tmp_path / name)) == table(made)
    frames = tmp_path / "ucf24" / "brox-images" / "wave"
    for number in range(2100):  # more than a glimpse has
        (frames / str(number)).mkdir(parents=True)
    assert recognise(tmp_path / "ucf24") == "yowo"
    assert len(read_annotations(tmp_path / "ucf24").videos) == 2


@pytest.mark.parametrize("name", ["videos/a", "video", "video_1"])
def test_ava_takes_no_video_for_a_header(tmp_path, name):
    made = dataset(video(name, 6, [tube(1, (0, 1))]), video("b", 6, [tube(0, (2,))]))
    write_annotations(made, tmp_path / "ava.csv", "ava")
    assert table(read_annotations(tmp_path / "ava.csv")) == table(made)
    rows = (tmp_path / "ava.csv").read_text()
    (tmp_path / "ava.csv").write_text(f"video,timestamp,x0,y0,x1,y1,action,person\n{rows}")
    assert table(read_annotations(tmp_path / "ava.csv", "ava")) == table(made)


def test_ava_seconds_and_frames(tmp_path):
    made = dataset(video("v", 91, [tube(1, (0, 30, 60), (32, 24, 160, 120))]))
    write_annotations(made, tmp_path / "ava.csv", "ava")
    first, second, _ = (tmp_path / "ava.csv").read_text().splitlines()
    assert first == "v,0900,0.1,0.1,0.5,0.5,2,0" and second.startswith("v,0901,")
    write_annotations(dataset(video("v", 91, [tube(1, (1,))])), tmp_path / "b" / "ava.csv", "ava")
    assert (tmp_path / "b/ava.csv").read_text().startswith("v,900.0333,")


def test_the_reader_is_found_by_content_and_not_by_name(tmp_path):
    made = dataset(video(tubes=[tube()]))
    for format in FILES:
        path = tmp_path / format / ("x.npz" if format == "table" else "something")
        write_annotations(made, path, format)
        assert recognise(path) == format
    (tmp_path / "other").write_text("hello")
    with pytest.raises(AnnotationError, match="other: the format cannot be told from the content. Name it; legal"):
        recognise(tmp_path / "other")
    (tmp_path / "empty").mkdir()
    with pytest.raises(AnnotationError, match="empty: the format cannot be told"):
        read_annotations(tmp_path / "empty")


def test_the_name_says_how_it_is_written_where_that_is_plain(tmp_path):
    made = dataset(video(tubes=[tube()]))
    for name, format in (("a.json", "own"), ("a.mat", "final_annots"), ("A-GT.pkl", "act"), ("t.csv", "table")):
        write_annotations(made, tmp_path / name)
        assert recognise(tmp_path / name) == format
    with pytest.raises(UserError, match="x.pkl: the name does not say the format; name one of own, pyannot"):
        write_annotations(made, tmp_path / "x.pkl")
    with pytest.raises(UserError, match="the format jhmdb is only read; formats that can be written: own"):
        write_annotations(made, tmp_path / "x", "jhmdb")


def test_options(tmp_path):
    made = dataset(video(tubes=[tube()]), video("b", 4, [tube(1)]), video("c", 4, [tube(1)]))
    write_annotations(made, tmp_path / "pyannot.pkl", "pyannot")
    (tmp_path / "wanted.txt").write_text("c\nwave/a.avi 1\nmissing\n")
    chosen = read_annotations(tmp_path / "pyannot.pkl", videos=tmp_path / "wanted.txt")
    assert [v.name for v in chosen.videos] == ["c", "wave/a"]
    assert chosen.notes == ("1 listed videos skipped, they have no annotation: missing",)
    assert chosen.annotation_hash != read_annotations(tmp_path / "pyannot.pkl").annotation_hash
    (tmp_path / "testlist02.txt").write_text("b\n")
    assert [v.name for v in read_annotations(tmp_path / "pyannot.pkl", subset="test", split=2).videos] == ["b"]
    with pytest.raises(UserError, match="it names no subsets, and there is no .*testlist01.txt; give a list"):
        read_annotations(tmp_path / "pyannot.pkl", subset="test")
    with pytest.raises(UserError, match="the format pyannot has no option 'sizes'; it has videos, media_root, classes"):
        read_annotations(tmp_path / "pyannot.pkl", sizes="320x240")
    with pytest.raises(UserError, match="the format is 'voc'; legal values are own, pyannot"):
        read_annotations(tmp_path / "pyannot.pkl", "voc")
    with pytest.raises(AnnotationError, match="gone.pkl: there is no such file or folder"):
        read_annotations(tmp_path / "gone.pkl", "pyannot")


def test_media_are_looked_for_where_they_may_be(tmp_path):
    write_annotations(dataset(video(tubes=[tube()]), video("b", 4)), tmp_path / "x.mat")
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "b.mp4").touch()
    read = read_annotations(tmp_path / "x.mat", media_root=tmp_path)
    assert [v.path for v in read.videos] == [str(tmp_path / "videos/wave/a.avi"), str(tmp_path / "videos/b.mp4")]
    assert read.notes[0].startswith("1 videos without media (looked under ")
    assert [v.path for v in read_annotations(tmp_path / "x.mat").videos] == ["wave/a", "b"]


def test_files_beside_are_never_overwritten_by_others(tmp_path):
    write_annotations(dataset(video(tubes=[tube()])), tmp_path / "pyannot.pkl", "pyannot")
    other = dataset(video(tubes=[tube()]), classes=("one", "two"))
    with pytest.raises(AnnotationError, match="classes.txt: names other classes than the annotation does; write into"):
        write_annotations(other, tmp_path / "second.pkl", "pyannot")
    write_annotations(dataset(video(tubes=[tube()])), tmp_path / "labels", "yowo")
    with pytest.raises(UserError, match="labels: exists and is not an empty folder"):
        write_annotations(other, tmp_path / "labels", "yowo")
    bad = dataset(video("../../outside", 4, [tube()]))
    with pytest.raises(UserError, match="the video name 'labels/../../outside.*leads out of the folder"):
        write_annotations(bad, tmp_path / "new", "yowo")
    assert not (tmp_path / "new").exists() and not list(tmp_path.glob(".new*"))


def test_joined_boxes_and_videos_that_are_left_out_are_said():
    unseen = video("b", tubes=[], labelled=np.zeros(0, np.int64))
    _, notes = again(dataset(video(tubes=[tube()]), unseen), "yowo")
    assert "1 videos without boxes or frames that were looked at, not written: b" in notes
    joined = "1 videos whose boxes have no track ids and were joined to tubes by their overlap: "
    joined += "wave/a (3 boxes, 1 tubes)"
    for format in ("yowo", "table"):
        back, _ = again(dataset(video(tubes=[tube()])), format)
        assert joined in back.notes
    assert not any("joined" in note for note in again(dataset(video(tubes=[tube()])), "ava")[0].notes)
