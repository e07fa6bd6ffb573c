"""RGB and flow from the videos to the figure and to a drawn video; spans in training; two processes."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from detect import ActionDetector
from detect.d2 import HAS_DETECTRON2
from detect.data import synthetic
from detect.data.keyframe_mapper import KeyframeMapper
from detect.utils.checkpoint_files import read_checkpoint
from detect.utils.errors import UserError
from detect.video.readers import read_frames
from detect.video.video_flow import flow_as_frames_arrive
from detect.video.windows import clip_indices
from tests.running import run_tool
from tests.test_tools import LAST_LINE, TOY, last_line, run_alone
from tests.tiny import save_detector, tiny_cfg

BOTH = ["MODEL.STREAMS", ("rgb", "flow")]
NAME = f"v{synthetic.VERSION}"


@pytest.fixture(scope="module")
def datasets(tmp_path_factory):
    """The toy set and its flow, made by the tool."""
    root = tmp_path_factory.mktemp("datasets")
    folder = root / "synthetic" / NAME
    synthetic.write_dataset(folder, num_train=3, num_test=2)
    done = run_tool("extract_flow", "--input", folder / "videos", "--output", folder / "flow", "--method", "dis")
    assert done.returncode == 0, done.stderr
    return root


@pytest.fixture(scope="module")
def run(datasets):
    return lambda tool, *arguments: run_tool(tool, *arguments, DETECT_DATASETS=str(datasets))


@pytest.fixture(scope="module")
def trained(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    return folder, last_line(run("train_net", *TOY, *BOTH, "OUTPUT_DIR", folder))


def test_it_trains_resumes_and_evaluates_from_its_checkpoint(run, trained, tmp_path):
    folder, line = trained
    assert LAST_LINE.fullmatch(line)
    contents = read_checkpoint(folder / "model_final.pth")
    assert contents["tag"]["streams"] == ["rgb", "flow"]
    assert contents["preprocessing"]["flow"] == {"mean": [127.5] * 2, "std": [127.5] * 2, "channel_order": "XY"}
    arguments = ("--eval-only", "--weights", folder / "model_final.pth", "OUTPUT_DIR", tmp_path)
    assert last_line(run("train_net", *arguments)) == line
    assert last_line(run("train_net", "--resume", *TOY, *BOTH, "OUTPUT_DIR", folder)) == line
    refused = run("train_net", *arguments, "MODEL.STREAMS", ("rgb",))
    assert refused.returncode == 2 and "a checkpoint of another architecture" in refused.stderr


def test_speeds_in_evaluation(run, trained, tmp_path):
    arguments = ("--eval-only", "--weights", trained[0] / "model_final.pth")
    for speed in ("balanced", "fast"):
        done = run("train_net", *arguments, "--speed", speed, "OUTPUT_DIR", tmp_path / speed)
        assert LAST_LINE.fullmatch(last_line(done))
        found = json.loads((tmp_path / speed / "evaluation" / "synthetic_test" / "results.json").read_text())
        coverage = found["results"]["coverage"]
        assert coverage["frames_predicted"] == coverage["frames_expected"] == 64  # whatever the keyframes
    refused = run("train_net", "--speed", "fast", *TOY, "OUTPUT_DIR", tmp_path)
    assert refused.returncode == 2 and "--speed fast is for --eval-only" in refused.stderr


@pytest.mark.parametrize("streams", [("flow",), ("rgb", "flow")])
def test_training_on_spans(run, streams, tmp_path):
    spans = ("INPUT.SPAN_FRAMES", 12, "INPUT.SPAN_KEYFRAMES", 3, "SOLVER.MAX_ITER", 2)
    done = run("train_net", *TOY, *spans, "MODEL.STREAMS", streams, "OUTPUT_DIR", tmp_path)
    assert LAST_LINE.fullmatch(last_line(done))


def test_two_processes_train_on_spans_of_both_streams(datasets, tmp_path):
    spans = ("INPUT.SPAN_FRAMES", 12, "SOLVER.MAX_ITER", 2, "MODEL.CONTEXT.NAME", "s3dg")
    done = run_alone(datasets, "train_net", "--num-gpus", 2, *TOY, *BOTH, *spans, "OUTPUT_DIR", tmp_path)
    assert LAST_LINE.fullmatch(last_line(done))


@pytest.mark.skipif(not HAS_DETECTRON2, reason="Detectron2 is not installed")
def test_detectron2_gives_the_same_figure(run, trained, tmp_path):
    arguments = ("--eval-only", "--weights", trained[0] / "model_final.pth")
    for options in ((), ("TEST.KEYFRAME_STRIDE", 4, "INPUT.SPAN_FRAMES", 20)):
        ours = last_line(run("train_net", *arguments, "OUTPUT_DIR", tmp_path / "a", *options))
        assert last_line(run("d2_train_net", *arguments, "OUTPUT_DIR", tmp_path / "b", *options)) == ours


def test_a_video_without_flow_is_named_and_counted(run, datasets, tmp_path):
    flow = datasets / "synthetic" / NAME / "flow"
    video = sorted(path for path in flow.glob("*/*_train_*"))[0]
    aside = video.rename(tmp_path / "aside")
    try:
        done = run("train_net", *TOY, *BOTH, "DATASETS.TEST", "()", "OUTPUT_DIR", tmp_path, "SOLVER.MAX_ITER", 8)
        assert done.returncode == 0, done.stderr
        listed = (tmp_path / "bad_inputs.txt").read_text()
        assert f"{video}: there is no such folder of flow images" in listed
    finally:
        aside.rename(video)


def test_the_demo_computes_flow_as_frames_arrive(trained, datasets, tmp_path):
    (video,) = (datasets / "synthetic" / NAME / "videos").glob("*/*_test_0000.avi")
    weights = trained[0] / "model_final.pth"
    found = {}
    for speed in ("exact", "balanced", "fast"):
        files = ("--output", tmp_path / f"{speed}.mp4", "--json", tmp_path / f"{speed}.json")
        done = run_tool("demo", "--weights", weights, "--input", video, *files, "--threshold", 0, "--speed", speed)
        assert done.returncode == 0, done.stderr
        found[speed] = json.loads((tmp_path / f"{speed}.json").read_text())["frames"]
        assert [item["frame"] for item in found[speed]] == list(range(32))
        assert len(read_frames(tmp_path / f"{speed}.mp4", range(32))) == 32
    assert found["exact"] != found["balanced"] != found["fast"]
    assert not list(Path(tmp_path).glob("**/flow*"))  # nothing stored
    wrong = run_tool("demo", "--weights", weights, "--input", video, "--json", tmp_path / "x.json", "--flow", "brox")
    assert wrong.returncode == 2


def test_detections_are_those_of_the_model_on_frames_and_flow(tmp_path):
    """Each clip mapped anew, its flow computed pair by pair, run alone."""
    path = save_detector(tmp_path / "detector.pth", *BOTH)
    detector = ActionDetector.load(path, device="cpu")
    rng = np.random.default_rng(0)
    frames = list(rng.integers(0, 256, (12, 60, 80, 3), dtype=np.uint8))
    flows = [flow for _, flow in flow_as_frames_arrive(frames, "dis")]
    assert len(flows) == 12 and np.array_equal(flows[-1], flows[-2]) and not np.array_equal(flows[0], flows[1])
    mapper = KeyframeMapper.from_config(tiny_cfg(*BOTH), is_train=False)
    results = list(detector.detect(frames, batch_size=3))
    for k in (0, 6, 11):
        pairs = [mapper.prepare({"height": 60, "width": 80}, frames[i], flows[i]) for i in clip_indices(k, 12, 8)]
        item = {name: torch.from_numpy(np.stack([getattr(pair, field) for pair in pairs]))
                for name, field in (("clip", "rgb"), ("flow", "flow"))}  # fmt: skip
        with torch.no_grad():
            (expected,) = detector.model([{**item, "height": 60, "width": 80}])
        np.testing.assert_allclose(results[k].boxes, expected["instances"].pred_boxes.tensor.numpy(), atol=1e-3)
        np.testing.assert_allclose(results[k].scores, expected["instances"].scores.numpy(), atol=1e-6)
    clip = detector.detect_clip(frames)
    np.testing.assert_allclose(clip.scores, results[6].scores, atol=1e-6)
    one = list(detector.detect(frames[:1]))  # one frame: at rest
    assert len(one) == 1 and len(one[0]) > 0
    with pytest.raises(UserError, match="flow by 'brox'; legal methods are tvl1, dis"):
        next(detector.detect(frames, flow="brox"))


def test_speeds_of_the_detector(tmp_path):
    path = save_detector(tmp_path / "detector.pth")
    frames = list(np.random.default_rng(0).integers(0, 256, (30, 60, 80, 3), dtype=np.uint8))
    found = {s: list(ActionDetector.load(path, device="cpu", speed=s).detect(frames)) for s in ("balanced", "fast")}
    assert all([one.frame for one in results] == list(range(30)) for results in found.values())
    with pytest.raises(UserError, match="the speed 'slow' is not known; legal are exact, balanced, fast"):
        ActionDetector.load(path, speed="slow")
