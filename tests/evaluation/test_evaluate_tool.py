"""tools/evaluate.py and the CSV tables it reads: values, the last line, one clear message for bad input."""

import csv
import gzip
import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detect.evaluation import Detections, GroundTruth, TableError, read_tables, write_table
from tests.running import run_tool

TOOL = Path(__file__).resolve().parents[2] / "tools" / "evaluate.py"
GT_HEADER, DET_HEADER = "video,frame,label,x1,y1,x2,y2\n", "video,frame,label,score,x1,y1,x2,y2\n"
GT_ROW, DET_ROW = "v,9,0,0,0,99,99\n", "v,9,0,0.6,0,0,99,99\n"
STRAY = "v,1,0,0.9,0,0,99,99\n"  # on a frame without ground truth


@pytest.fixture
def run(tmp_path):
    """run(gt text, detections text, *arguments) -> (exit code, lines of output, error text)."""

    def run(gt, det, *arguments):
        paths = []
        for name, text in (("gt.csv", gt), ("det.csv", det)):
            paths.append(tmp_path / name)
            if text is not None:
                paths[-1].write_bytes(text if isinstance(text, bytes) else text.encode())
        done = run_tool("evaluate", "--ground-truth", paths[0], "--detections", paths[1], *arguments)
        return done.returncode, done.stdout.splitlines(), done.stderr

    return run


@pytest.mark.parametrize(
    ("arguments", "value"),
    [
        # A truth hit at .6 behind a detection at .9 on an unannotated frame: VOC 1/2, ACT 1/4, dropped 1.
        ((), "0.500000"),
        (("--preset", "act"), "0.250000"),
        (("--preset", "act", "--frames", "annotated"), "1.000000"),
        (("--preset", "yowo"), "1.000000"),  # the preset's own rule
        (("--preset", "yowo", "--frames", "all"), "0.500000"),
    ],
)
def test_last_line_follows_preset_and_frames(run, arguments, value):
    code, out, _ = run(GT_HEADER + GT_ROW, DET_HEADER + STRAY + DET_ROW, *arguments)
    assert (code, out[-1]) == (0, f"frame-mAP@0.5 = {value}")
    dropped = "1 detections dropped, on frames without ground truth"
    assert (dropped in out) == (value == "1.000000")


def test_threshold_is_printed_as_given(run):
    _, out, _ = run(GT_HEADER + GT_ROW, DET_HEADER + DET_ROW, "--iou", "0.75")
    assert out[-1] == "frame-mAP@0.75 = 1.000000"


def test_empty_detections_are_legal(run):
    for preset in ("voc", "tfod", "act", "peng", "gurkirt", "yowo", "yowo_11pt"):
        code, out, _ = run(GT_HEADER + GT_ROW, DET_HEADER, "--preset", preset)
        assert (code, out[-1]) == (0, "frame-mAP@0.5 = 0.000000")


def test_json_has_values_and_provenance(run, tmp_path):
    run(
        GT_HEADER + GT_ROW,
        DET_HEADER + STRAY + "v,9,4,0.5,0,0,9,9\n" + DET_ROW,
        "--json",
        str(tmp_path / "o.json"),
    )
    written = json.loads((tmp_path / "o.json").read_text())
    assert written["results"]["mAP"] == 0.5
    assert [row["AP"] for row in written["results"]["classes"]] == [0.5, None]
    assert [row["name"] for row in written["results"]["classes"]] == ["0", "4"]
    assert written["results"]["protocol"]["frames"] == "all"
    assert written["provenance"]["detections"]["rows"] == 3
    assert len(written["provenance"]["ground_truth"]["sha256"]) == 64
    assert [path.name for path in tmp_path.iterdir() if "tmp" in path.name] == []


def test_class_names(run, tmp_path):
    names = tmp_path / "classes.txt"
    names.write_text("run\njump\n")
    _, out, _ = run(GT_HEADER + GT_ROW, DET_HEADER + DET_ROW, "--classes", str(names), "--preset", "gurkirt")
    assert out[2].startswith("| run ") and out[3].startswith("| jump ")
    assert out[-1] == "frame-mAP@0.5 = 0.500000"  # jump has no truth: zero, and in gurkirt's mean
    code, _, err = run(GT_HEADER + GT_ROW, DET_HEADER + "v,9,2,0.6,0,0,9,9\n", "--classes", str(names))
    assert code == 2 and "label 2" in err and "2 classes, 0 to 1" in err


def test_coco_scores(run):
    _, out, _ = run(GT_HEADER + GT_ROW, DET_HEADER + DET_ROW, "--coco")
    assert "COCO: AP50 1.0000, AP50:95 1.0000, AR 1.0000" in out


def test_byte_order_marks(run):
    code, out, _ = run(b"\xef\xbb\xbf" + GOOD_GT.encode(), b"\xef\xbb\xbf" + GOOD_DET.encode())
    assert (code, out[-1]) == (0, "frame-mAP@0.5 = 1.000000")


def test_strange_videos_are_mentioned(run):
    _, out, _ = run(GT_HEADER + GT_ROW, DET_HEADER + DET_ROW + "w,9,0,0.1,0,0,9,9\n")
    assert any(line.startswith("note: 1 detections in videos without ground truth") for line in out)


GOOD_GT, GOOD_DET = GT_HEADER + GT_ROW, DET_HEADER + DET_ROW


@pytest.mark.parametrize(
    ("gt", "det", "message"),
    [
        (GOOD_GT, None, "det.csv: no such file"),
        (GOOD_GT, "", "det.csv: the file is empty; expected the columns video,frame,label,score"),
        (GOOD_GT, GOOD_GT, "det.csv: line 1: no column score"),
        (
            GOOD_GT,
            DET_HEADER + DET_ROW + "v,9,0,high,0,0,9,9\n",
            "det.csv: line 3: score 'high' is not a number",
        ),
        (GOOD_GT, DET_HEADER + "v,9,0,nan,0,0,9,9\n", "det.csv: line 2: score 'nan' is not finite"),
        (GOOD_GT, DET_HEADER + "v,9,0,1,0,-inf,9,9\n", "det.csv: line 2: y1 '-inf' is not finite"),
        (GOOD_GT, DET_HEADER + "v,9,1.5,1,0,0,9,9\n", "det.csv: line 2: label '1.5' is not an integer"),
        (GT_HEADER + "v,9,1.7,0,0,9,9\n", GOOD_DET, "gt.csv: line 2: label '1.7' is not an integer"),
        (GT_HEADER + "v,1.7,0,0,0,9,9\n", GOOD_DET, "gt.csv: line 2: frame '1.7' is not an integer"),
        (GOOD_GT, DET_HEADER + "v,1.7,0,1,0,0,9,9\n", "det.csv: line 2: frame '1.7' is not an integer"),
        (GOOD_GT, DET_HEADER + "v,1_0,0,1,0,0,9,9\n", "det.csv: line 2: frame '1_0' is not an integer"),
        (GOOD_GT, DET_HEADER + DET_ROW + "v,9,0,NaN,0,0,9,9\n", "det.csv: line 3: score 'NaN' is not finite"),
        (GOOD_GT, DET_HEADER + "v" * 140_000 + ",x,0,1,0,0,9,9\n", "det.csv: not a CSV table (field larger"),
        (GOOD_GT, '"' + "v" * 140_000 + '"\n', "det.csv: line 1 has 65536 characters or more; expected the columns"),
        (GOOD_GT, (GOOD_DET + "caf\xe9,9,0,1,0,0,9,9\n").encode("latin1"), "det.csv: not UTF-8 text"),
        (GOOD_GT, DET_HEADER + "v,-1,0,1,0,0,9,9\n", "det.csv: line 2: frame '-1' is out of range"),
        (
            GOOD_GT,
            DET_HEADER + f"v,{10**30},0,1,0,0,9,9\n",
            f"det.csv: line 2: frame '{10**30}' is out of range",
        ),
        (GOOD_GT, DET_HEADER + f"v,9,{2**31},1,0,0,9,9\n", f"line 2: label '{2**31}' is out of range (0 to"),
        (GOOD_GT, DET_HEADER + "v,,0,1,0,0,9,9\n", "det.csv: line 2: frame '' is not an integer"),
        (GOOD_GT, DET_HEADER + ",9,0,1,0,0,9,9\n", "det.csv: line 2: video '' is empty"),
        (GOOD_GT, DET_HEADER + "a,b,9,0,1,0,0,9,9\n", "det.csv: line 2: 9 fields, but the header has 8"),
        (GOOD_GT, DET_HEADER + DET_ROW + "\nv,9\n", "det.csv: line 4: 2 fields, but the header has 8"),
        (GOOD_GT, DET_HEADER.replace("y2", "y1"), "det.csv: line 1: no column y2"),
        (GT_HEADER, GOOD_DET, "gt.csv: no boxes in it"),
        (
            GT_HEADER + GT_ROW + "v,2,0,9,0,5,9\n",
            GOOD_DET,
            "gt.csv: line 3: ground-truth box 9,0,5,9 has a negative",
        ),
        (b"\xff\xfe" + GOOD_GT.encode(), GOOD_DET, "gt.csv: not UTF-8 text"),
        (gzip.compress(GOOD_GT.encode(), mtime=0)[:-12], GOOD_DET, "gt.csv: damaged gzip file"),
    ],
)
def test_bad_tables_give_one_message(run, gt, det, message):
    code, out, err = run(gt, det)
    assert code == 2 and message in err and len(err.splitlines()) == 1 and out == []


def test_bad_arguments(run, tmp_path):
    code, _, err = run(GOOD_GT, GOOD_DET, "--preset", "pascal")
    assert code == 2 and "'pascal'" in err and "yowo_11pt" in err
    code, _, err = run(GOOD_GT, GOOD_DET, "--iou", "1.5")
    assert code == 2 and "iou_threshold is 1.5" in err
    code, _, err = run(GOOD_GT, GOOD_DET, "--classes", str(tmp_path / "no.txt"))
    assert code == 2 and "no.txt" in err
    for text, message in (("a\nb\na\n", "no.txt: the class 'a' occurs twice"), ("\n", "no.txt: no class in it")):
        (tmp_path / "no.txt").write_text(text)
        code, _, err = run(GOOD_GT, GOOD_DET, "--classes", str(tmp_path / "no.txt"))
        assert code == 2 and message in err
    code, _, err = run(GOOD_GT, GOOD_DET, "--truth-format", "table", "--truth-option", "x=1")
    assert code == 2 and "gt.csv: the format table has no option 'x'" in err
    code, _, err = run(GOOD_GT, GOOD_DET, "--truth-format", "table", "--truth-option", "first=one")
    assert code == 2 and "the option first is 'one'; expected a whole number" in err


def test_as_a_command_on_real_tables(real_data):
    folder = real_data / "evaluator"
    command = [
        sys.executable, "-W", "ignore", str(TOOL), "--preset", "act",
        "--ground-truth", str(folder / "multisports_sample_groundtruth.csv"),
        "--detections", str(folder / "multisports_sample_detections.csv"),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "frame-mAP@0.5 = 0.832681"
    command[-1] += ".missing"
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2 and "Traceback" not in done.stderr and "no such file" in done.stderr


# --- the tables themselves ---------------------------------------------------------------------------------

NAMES = st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1, max_size=8).filter(str.strip)
VALUE = st.floats(-1e6, 1e6, width=32)
ROWS = st.lists(st.tuples(NAMES, st.integers(0, 10**9), st.integers(0, 99), *[VALUE] * 5), max_size=8)


@settings(max_examples=50, deadline=None)
@given(rows=ROWS, shuffled=st.permutations(DET_HEADER.strip().split(",")), packed=st.booleans())
def test_reads_what_the_csv_module_writes(tmp_path_factory, rows, shuffled, packed):
    folder = tmp_path_factory.mktemp("tables")
    (folder / "gt.csv").write_text(GOOD_GT)
    text = io.StringIO()
    writer = csv.writer(text)  # quotes commas and quotes, ends lines with CR LF
    writer.writerow([*shuffled, "remark"])
    names = DET_HEADER.strip().split(",")
    for row in rows:
        values = dict(zip(names, row, strict=True))
        writer.writerow([*(values[name] for name in shuffled), 'a "b", c'])
    data = text.getvalue().encode()
    (folder / "det.csv").write_bytes(gzip.compress(data, mtime=0) if packed else data)
    _, det, videos = read_tables(folder / "gt.csv", folder / "det.csv")
    assert videos == sorted({"v", *(row[0] for row in rows)})
    assert [videos[i] for i in det.video] == [row[0] for row in rows]
    columns = np.array([row[1:] for row in rows], dtype=float).reshape(-1, 7)
    for i, column in enumerate((det.frame, det.label, det.score)):
        assert column.tolist() == columns[:, i].tolist()
    assert det.boxes.tolist() == columns[:, 3:].tolist()


@pytest.mark.parametrize("name", ["table.csv", "table.csv.gz"])
def test_written_tables_come_back_exact(tmp_path, name):
    rng = np.random.default_rng(0)
    corner = rng.random((7, 2), dtype=np.float32) * 100
    boxes = np.hstack([corner, corner + rng.random((7, 2), dtype=np.float32)])
    videos = ["b, quoted", 'a "twice"']
    gt = GroundTruth(rng.integers(0, 2, 7), np.arange(7), np.zeros(7, int), boxes)
    det = Detections(gt.video, gt.frame, gt.label, rng.random(7, dtype=np.float32), boxes)
    write_table(tmp_path / "gt.csv", gt, videos)
    write_table(tmp_path / name, det, videos)
    gt_back, det_back, names = read_tables(tmp_path / "gt.csv", tmp_path / name)
    assert names == sorted(videos)
    assert (1 - gt_back.video).tolist() == gt.video.tolist()
    assert np.array_equal(det_back.score.astype(np.float32), det.score)
    assert np.array_equal(det_back.boxes.astype(np.float32), boxes)
    again = (tmp_path / name).read_bytes()
    write_table(tmp_path / name, det, videos)
    assert (tmp_path / name).read_bytes() == again
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["gt.csv", name])


def test_names_that_utf8_cannot_hold_are_written_escaped(tmp_path):
    """A byte of a file name that is no UTF-8, as os.fsdecode gives it."""
    gt = GroundTruth(np.zeros(1, int), np.zeros(1, int), np.zeros(1, int), np.ones((1, 4)))
    write_table(tmp_path / "gt.csv", gt, ["v\udcff"])
    assert b"v\\udcff,0,0" in (tmp_path / "gt.csv").read_bytes()


def test_more_rows_than_a_chunk(tmp_path, monkeypatch):
    monkeypatch.setattr("detect.evaluation.files.csv_tables._CHUNK", 4)
    for count in (3, 4, 5, 8, 9):
        (tmp_path / "gt.csv").write_text(GT_HEADER + "".join(f"v{i},{i},0,0,0,9,9\n" for i in range(count)))
        (tmp_path / "det.csv").write_text(DET_HEADER + "\n".join(f"v{i},{i},0,.5,0,0,9,9" for i in range(count)))
        gt, det, names = read_tables(tmp_path / "gt.csv", tmp_path / "det.csv")
        assert gt.frame.tolist() == det.frame.tolist() == list(range(count)) and len(names) == count
    (tmp_path / "det.csv").write_text(DET_HEADER + DET_ROW * 6 + "v,9,0,x,0,0,9,9\n")
    with pytest.raises(TableError, match="det.csv: line 8: score 'x' is not a number"):
        read_tables(tmp_path / "gt.csv", tmp_path / "det.csv")
