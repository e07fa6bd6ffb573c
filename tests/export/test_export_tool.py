"""tools/export.py, and the evaluation of what it writes."""

import json

import numpy as np
import pytest

from detect import ActionDetector
from detect.export.facts import PARTS, read_facts
from detect.tasks.calibration import CLIPS, calibration_clips
from detect.tasks.demo import suited_threshold
from detect.video.writer import save_video
from tests.export.lively import save_lively_detector
from tests.running import load_tool, run_tool
from tests.tiny import tiny_cfg

LENGTH = 10


@pytest.fixture(scope="module")
def own_set(checkpoint, tmp_path_factory):
    """`json:FILE` of a video of 10 frames with one actor of each of the classes a, b and c, some of which are found."""
    folder = tmp_path_factory.mktemp("own")
    frames = np.random.default_rng(1).integers(0, 256, (LENGTH, 60, 80, 3), dtype=np.uint8)
    save_video(folder / "video.avi", frames, fps=10)
    found = ActionDetector.load(checkpoint, device="cpu").detect_clip(frames)
    boxes = [found.boxes[found.labels == label][0].tolist() for label in range(3)]
    boxes = [[x0, y0, x1 - x0, y1 - y0] for x0, y0, x1, y1 in boxes]
    annotations = [
        {"id": k, "video_id": 1, "category_id": k, "start": 0, "bboxes": [box] * LENGTH}
        for k, box in enumerate(boxes, 1)
    ]
    categories = [{"id": k, "name": name} for k, name in enumerate("abc", 1)]
    content = {"videos": [{"id": 1, "file_name": "video.avi"}], "categories": categories, "annotations": annotations}
    (folder / "set.json").write_text(json.dumps(content))
    return f"json:{folder / 'set.json'}"


def results(folder):
    (path,) = folder.glob("evaluation/*/results.json")
    return json.loads(path.read_text())


def evaluate(weights, own_set, *words):
    options = ("DATASETS.TEST", f"('{own_set}',)", "TEST.SAVE_PROPOSALS", True)
    return run_tool("train_net", "--eval-only", "--weights", weights, *words, *options)


def test_an_exported_file_is_evaluated_as_its_checkpoint(checkpoint, onnx_file, pt2_file, own_set, tmp_path):
    done = evaluate(checkpoint, own_set, "OUTPUT_DIR", tmp_path)
    assert done.returncode == 0, done.stderr
    expected = results(tmp_path)
    for path, words in ((onnx_file, ()), (pt2_file, ("--engine", "torch", "OUTPUT_DIR", tmp_path / "pt2"))):
        again = evaluate(path, own_set, *words)
        assert again.returncode == 0, again.stderr
        assert again.stdout.splitlines()[-1] == done.stdout.splitlines()[-1]
        found = results(tmp_path / "pt2" if words else path.with_suffix(""))  # beside it, not in the checkpoint's place
        assert found["provenance"]["weights_hash"] == expected["provenance"]["weights_hash"]
        assert found["results"]["frame_ap"]["mAP"] == pytest.approx(expected["results"]["frame_ap"]["mAP"], abs=1e-6)
    assert not (checkpoint.parent / "evaluation").exists()
    threshold = expected["protocols"][0]["best_f1"]["threshold"]
    found = suited_threshold(str(onnx_file), ActionDetector.load(onnx_file).weights_hash)
    assert found == pytest.approx(max(threshold, 0.2), abs=1e-4)


def test_an_evaluation_takes_no_other_options_for_an_exported_file(onnx_file, checkpoint):
    done = run_tool("train_net", "--weights", onnx_file, "OUTPUT_DIR", onnx_file.parent / "run")
    assert done.returncode == 2 and "an exported file has its config inside, and is for --eval-only" in done.stderr
    done = run_tool("train_net", "--eval-only", "--weights", checkpoint, "--engine", "openvino")
    assert done.returncode == 2 and "--engine openvino is for an .onnx file" in done.stderr


def test_int8(checkpoint, onnx_file, own_set):
    path = onnx_file.with_name("int8.onnx")
    video = own_set.removeprefix("json:").replace("set.json", "video.avi")
    done = run_tool("export", "--weights", checkpoint, "--output", path, "--int8", "--calibrate", video, own_set)
    assert done.returncode == 0, done.stderr
    assert "12 regions, int8" in done.stdout and path.stat().st_size < 0.5 * onnx_file.stat().st_size
    facts, single = read_facts(str(path)), read_facts(str(onnx_file))
    assert facts.int8 and not single.int8 and facts.identity == f"{single.identity}-int8"
    onnx = pytest.importorskip("onnx")
    graph = onnx.load(path).graph
    made_by = {output: node for node in graph.node for output in node.output}
    kinds = {"Conv": [], "Gemm": [], "MatMul": []}
    for node in graph.node:
        if node.op_type in kinds:
            kinds[node.op_type].append(getattr(made_by.get(node.input[1]), "op_type", "") == "DequantizeLinear")
    assert kinds["Conv"].count(False) == 2 + 2  # the stems, objectness and box deltas of the RPN
    assert sum(kinds["Conv"]) > 90 and not any(kinds["Gemm"] + kinds["MatMul"])  # gates, pooling and the head's layers
    one, other = ActionDetector.load(onnx_file), ActionDetector.load(path)
    frames = np.random.default_rng(1).integers(0, 256, (9, 60, 80, 3), dtype=np.uint8)
    scores = [np.sort(detector.detect_clip(frames).scores)[::-1][:5] for detector in (one, other)]
    np.testing.assert_allclose(*scores, atol=0.15)
    done = evaluate(path, own_set)
    assert done.returncode == 0 and "frame-mAP@0.5 = " in done.stdout
    assert results(path.with_suffix(""))["provenance"]["weights_hash"] == facts.identity


def test_calibration_clips_are_spread_over_the_sources(own_set):
    cfg = tiny_cfg()
    video = own_set.removeprefix("json:").replace("set.json", "video.avi")
    clips = list(calibration_clips(cfg, [video]))
    assert len(clips) == LENGTH  # each frame once
    assert all(clip["clip"].shape == (1, 8, 48, 64, 3) and clip["clip"].dtype == np.uint8 for clip in clips)
    assert len(list(calibration_clips(cfg, [own_set] * 8))) == CLIPS == 32
    with_flow = tiny_cfg("MODEL.STREAMS", ("rgb", "flow"))
    first = next(iter(calibration_clips(with_flow, [video])))
    assert first["flow"].shape == (1, 8, 48, 64, 2)


def test_bad_requests(checkpoint, onnx_file, own_set, tmp_path):
    for words, message in (
        (("--output", tmp_path / "x.pth"), "the name must end in .onnx or .pt2"),
        (("--output", tmp_path / "x.onnx", "--proposals", 0), "--proposals 0: it must be at least 1"),
        (("--output", tmp_path / "x.onnx", "--int8"), "--int8 and --calibrate VIDEO ... go together"),
        (("--output", tmp_path / "x.onnx", "--calibrate", "a.mp4"), "--int8 and --calibrate VIDEO ... go together"),
        (("--output", tmp_path / "x.pt2", "--int8", "--calibrate", "a"), "--int8 is for the whole detector as .onnx"),
        (("--output", tmp_path / "x.onnx", "--int8", "--calibrate", "nowhere.mp4"), "nowhere.mp4"),
    ):
        done = run_tool("export", "--weights", checkpoint, *words)
        assert done.returncode == 2 and message in done.stderr, done.stderr
    done = run_tool("export", "--weights", onnx_file, "--output", tmp_path / "x.onnx")
    assert done.returncode == 2 and "is exported already" in done.stderr
    assert not list(tmp_path.iterdir())


def test_spans_are_exported_as_windows_and_said(tmp_path):
    """The keyframe part, which is quick."""
    spans = ("INPUT.SPAN_FRAMES", 32, "MODEL.RPN.POST_NMS_TOPK_TEST", 9)
    weights = save_lively_detector(tmp_path / "model.pth", *spans)
    options = ("--part", "keyframe", "--proposals", 7)
    done = run_tool("export", "--weights", weights, "--output", tmp_path / "part.pt2", *options)
    assert done.returncode == 0 and "note: INPUT.SPAN_FRAMES is 32; exported is the detector that" in done.stderr
    lines = done.stdout.splitlines()
    assert "the keyframe of" in lines[0] and "7 regions" in lines[0]
    assert [line.split(":")[0].strip() for line in lines[1:]] == ["objectness", "deltas", "regions", "real"]
    facts = read_facts(str(tmp_path / "part.pt2"))
    assert (facts.part, facts.regions) == ("keyframe", 7) and "SPAN_FRAMES: 0" in facts.config
    assert "OUTPUT_DIR: ." in facts.config and str(tmp_path) not in facts.config


def test_the_parts_of_the_help_are_all_of_them():
    assert set(load_tool("export").PARTS) == set(PARTS)
