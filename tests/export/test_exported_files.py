"""Exported files, run by each engine, against the detector in PyTorch."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from detect import ActionDetector
from detect.api import SpanPlan
from detect.config import load_cfg_of_checkpoint
from detect.export.engines import ENGINES, open_engine
from detect.export.facts import KEY, ExportFacts, read_facts
from detect.export.graphs import part_graph
from detect.export.model import ExportedRCNN, window_inputs
from detect.export.write import write_graph
from detect.modeling import build_model, fold_for_inference
from detect.modeling.results import SelectionRules
from detect.tasks.export import differences
from detect.utils.checkpoint_files import CheckpointError
from detect.utils.errors import MissingExtraError, UserError
from detect.video.readers import iter_frames
from detect.video.writer import save_video
from tests.export.lively import OPEN_GATES
from tests.running import ROOT
from tests.tiny import clip_item, tiny_cfg

LENGTH = 12
SHARE = 1e-4  # largest difference of an output from PyTorch's, as a share of the deviation of its values
FACTS = ExportFacts("whole", ["a"], "", "", 4)


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    path = tmp_path_factory.mktemp("video") / "video.avi"
    frames = np.random.default_rng(0).integers(0, 256, (LENGTH, 60, 80, 3), dtype=np.uint8)
    save_video(path, frames, fps=10)
    return path


@pytest.fixture(scope="module", params=list(ENGINES))
def exported(request):
    """(engine, a file that it runs)."""
    if request.param != "torch":
        pytest.importorskip(request.param)
    return request.param, request.getfixturevalue("pt2_file" if request.param == "torch" else "onnx_file")


def assert_close(found, expected, boxes=0.01, scores=1e-4):
    """Boxes within a hundredth of a pixel."""
    assert (found.frame, found.time, found.names) == (expected.frame, expected.time, expected.names)
    np.testing.assert_allclose(found.boxes, expected.boxes, atol=boxes)
    np.testing.assert_allclose(found.scores, expected.scores, atol=scores)


def test_the_api_gives_what_the_checkpoint_gives(exported, checkpoint, video):
    engine, path = exported
    detector, other = ActionDetector.load(checkpoint, device="cpu"), ActionDetector.load(path, engine=engine)
    assert other.classes == detector.classes and other.weights_hash == detector.weights_hash
    expected = list(detector.detect(video, batch_size=2))
    assert np.concatenate([found.scores for found in expected]).std() > 0.05  # the comparison says something
    for found, wanted in zip(other.detect(video, batch_size=2), expected, strict=True):
        assert_close(found, wanted)
    frames = list(iter_frames(video))
    assert_close(other.detect_clip(frames[:9]), detector.detect_clip(frames[:9]))
    tubes = [list(one.track(video, every=4, threshold=0.2)) for one in (detector, other)]
    for found, wanted in zip(*tubes, strict=True):
        assert_close(found, wanted)
        assert found.tubes.tolist() == wanted.tubes.tolist()
    assert sum(map(len, tubes[0]))


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_a_real_clip(engine, onnx_file, checkpoint, real_data):
    pytest.importorskip(engine)
    path = next(iter(sorted((real_data / "real_people" / "ut_interaction").rglob("*.avi"))), None)
    if path is None:
        pytest.skip("no clip of real people among the sample data")
    frames = [frame for frame, _ in zip(iter_frames(path), range(9), strict=False)]
    one, other = ActionDetector.load(checkpoint, device="cpu"), ActionDetector.load(onnx_file, engine=engine)
    wanted = one.detect_clip(frames)
    assert len(wanted)
    assert_close(other.detect_clip(frames), wanted)


@pytest.fixture(scope="module", params=["keyframe", "context", "head"])
def part(request, tmp_path_factory):
    """(the graph of a part, its inputs, its file as .onnx, its file as .pt2); trunk and tail are short."""
    pytest.importorskip("onnxscript")
    tap = {"keyframe": "conv2d_1a_7x7", "context": "mixed_3b", "head": "mixed_5b"}[request.param]
    torch.manual_seed(0)
    cfg = tiny_cfg("MODEL.CONTEXT.TAP", tap, *OPEN_GATES)
    graph, inputs = part_graph(fold_for_inference(build_model(cfg)), cfg, request.param, regions=6)
    facts = ExportFacts(request.param, list("abc"), cfg.dump(), "", 6)
    files = [str(tmp_path_factory.mktemp("part") / f"{request.param}{suffix}") for suffix in (".onnx", ".pt2")]
    for path in files:
        write_graph(path, graph, inputs, facts)
    return graph, inputs, facts, *files


@pytest.mark.parametrize("engine", list(ENGINES))
def test_parts_agree_with_pytorch(part, engine):
    if engine != "torch":
        pytest.importorskip(engine)
    graph, inputs, facts, onnx_file, pt2_file = part
    path = pt2_file if engine == "torch" else onnx_file
    assert read_facts(path) == facts
    rows = differences(path, graph, inputs, facts, engine)
    for name, (difference, deviation) in rows.items():
        assert difference <= SHARE * deviation, (name, difference, deviation)
    with pytest.raises(CheckpointError, match=f"is the part '{facts.part}' of a detector; export the whole"):
        ActionDetector.load(path)


def test_an_engine_has_as_many_threads_as_pytorch(onnx_file, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    run = open_engine(str(onnx_file), read_facts(str(onnx_file)), "onnxruntime")
    assert run._session.get_session_options().intra_op_num_threads == 2
    pytest.importorskip("openvino")
    run = open_engine(str(onnx_file), read_facts(str(onnx_file)), "openvino")
    assert run._model.get_property("INFERENCE_NUM_THREADS") == 2


def test_only_openvino_runs_another_precision(onnx_file, video):
    lower = ["MODEL.PRECISION", "bf16"]
    with pytest.raises(UserError, match="MODEL.PRECISION is bf16; of an exported file onnxruntime runs fp32 only"):
        ActionDetector.load(onnx_file, overrides=lower)
    openvino = pytest.importorskip("openvino")
    hint = {}
    for words in ([], lower):
        detector = ActionDetector.load(onnx_file, engine="openvino", overrides=words)
        hint[len(words)] = detector.model.run._model.get_property("INFERENCE_PRECISION_HINT")
        assert len(detector.detect_clip(list(iter_frames(video))))
    assert hint[0] == openvino.Type.f32
    if "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        assert hint[2] == openvino.Type.bf16


@torch.no_grad()
def test_the_windows_of_a_span_are_looked_at_one_by_one():
    """A detector whose lower layers see single frames gets spans of keyframes, whose windows are exact."""
    cfg = tiny_cfg("MODEL.CONTEXT.NAME", "i2d", "INPUT.SPAN_FRAMES", 0)
    torch.manual_seed(0)
    model = fold_for_inference(build_model(cfg))
    graph, inputs = part_graph(model, cfg, "whole", regions=12)
    names = ("boxes", "scores", "regions", "real", "objectness")

    def run(arrays):
        found = graph(*map(torch.from_numpy, arrays.values()))
        return {name: value.numpy() for name, value in zip(names, found, strict=True)}

    exported = ExportedRCNN(run, SelectionRules(0.0, 0.5, 100, 100), ["rgb"], "")
    clips = torch.cat([inputs["clip"][0], clip_item(cfg, seed=1)["clip"]])  # of 16 frames
    span = {"clip": clips, "height": 48, "width": 64, "offsets": [0, 3, 8], "positions": [4, 7, 12]}
    span["samples"] = [{"height": 48, "width": 64}] * 3
    together = exported([span])
    for offset, found in zip(span["offsets"], together, strict=True):
        (alone,) = exported([{"clip": clips[offset : offset + 8], "height": 48, "width": 64}])
        assert torch.equal(found["instances"].scores, alone["instances"].scores)
        assert len(found["proposals"]) == 12
    assert len(list(window_inputs(span, flow=False))) == 3


def test_what_is_in_the_graph_cannot_be_changed(onnx_file):
    with pytest.raises(CheckpointError, match=r"was exported with INPUT.SIZE \(48, 64\), which cannot become"):
        ActionDetector.load(onnx_file, overrides=["INPUT.SIZE", (96, 128)])
    for options in ({"speed": "fast"}, {"device": "cuda"}, {"config_file": "x.yaml"}):
        with pytest.raises(UserError, match="an exported file has its config inside"):
            ActionDetector.load(onnx_file, **options)
    of_pytorch = ["MODEL.CUDA_GRAPHS", False, "MODEL.COMPILE", True]  # say nothing to another engine
    found = ActionDetector.load(onnx_file, overrides=["TEST.DETECTIONS_PER_IMAGE", 1, *of_pytorch])
    assert len(found.detect_clip(np.zeros((3, 60, 80, 3), np.uint8))) == 1


def test_engines_that_do_not_fit_are_refused(onnx_file, checkpoint):
    with pytest.raises(UserError, match="the engine is 'torch'; such a file is run by onnxruntime or openvino"):
        ActionDetector.load(onnx_file, engine="torch")
    with pytest.raises(UserError, match="a checkpoint is run by torch, not openvino; tools/export.py"):
        ActionDetector.load(checkpoint, engine="openvino")
    assert ActionDetector.load(checkpoint, device="cpu", engine="torch").classes == ("a", "b", "c")


def test_foreign_and_damaged_files(onnx_file, pt2_file, tmp_path):
    onnx = pytest.importorskip("onnx")

    def refused(name, match, content=None):
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(CheckpointError, match=match) as caught:
            ActionDetector.load(path)
        assert str(path) in str(caught.value)

    refused("none.onnx", "no such file; tools/export.py writes it")
    for suffix, what in ((".onnx", "not an ONNX file, or damaged"), (".pt2", "not a file of torch.export, or damaged")):
        refused(f"text{suffix}", what, b"not a model")
    refused("cut.onnx", "damaged", onnx_file.read_bytes()[:1000])
    refused("cut.pt2", "damaged", pt2_file.read_bytes()[:-2000])
    model = onnx.load(onnx_file)
    text = read_facts(str(onnx_file)).to_json()
    onnx.helper.set_model_props(model, {})
    refused("foreign.onnx", f"an ONNX file .made by pytorch. without '{KEY}'", model.SerializeToString())
    for metadata, match in (
        ("{", "metadata is damaged"),
        (text.replace('"format": 1', '"format": 7'), "of export format 7, this version reads 1"),
        (text.replace('"classes"', '"labels"'), "metadata has classes missing or of another type"),
        (text.replace('"part": "whole"', '"part": "tail"'), "metadata has the part 'tail'"),
        (text.replace('"part": "whole"', '"part": "context"'), r"lacks context among its outputs \(context\)"),
    ):
        onnx.helper.set_model_props(model, {KEY: metadata})
        refused("changed.onnx", match, model.SerializeToString())
    onnx.helper.set_model_props(model, {KEY: text})
    next(node for node in model.graph.node if node.op_type == "Conv").op_type = "Convolve"
    refused("unknown.onnx", "onnxruntime cannot load it", model.SerializeToString())


def test_a_missing_package_is_named(onnx_file, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(MissingExtraError, match=r"this needs openvino: pip install -e '.\[export\]'"):
        ActionDetector.load(onnx_file, engine="openvino")


def test_a_pt2_file_is_read_without_unpickling_objects(pt2_file, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(torch.export, "load", lambda path: seen.append(os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"]))
    with pytest.raises(CheckpointError, match="torch cannot load it"):
        ActionDetector.load(pt2_file)
    assert seen == ["1"]


def test_the_plan_of_an_exported_detector_is_windows(onnx_file):
    detector = ActionDetector.load(onnx_file)
    assert detector._mapper.plan == SpanPlan.stepped(8, 1) and detector.cfg.INPUT.SPAN_FRAMES == 0
    facts = read_facts(str(onnx_file))
    assert load_cfg_of_checkpoint(facts.config, "x").MODEL.RPN.POST_NMS_TOPK_TEST == facts.regions == 12
    assert facts.identity == facts.weights_hash != FACTS.identity


def test_the_demo_runs_a_file_without_the_training_code(exported, video, tmp_path):
    """Nor the networks'; `backbones` is imported for the names that the config's check knows."""
    engine, path = exported
    program = f"""
import sys
sys.path.insert(0, "tools")
import demo
demo.main(["--weights", {str(path)!r}, "--engine", {engine!r}, "--input", {str(video)!r}, "--every", "4",
           "--json", {str(tmp_path / "out.json")!r}])
print(*(name for name in sys.modules if name.startswith("detect")))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": "."}
    )
    assert done.returncode == 0, done.stderr
    names = set(done.stdout.splitlines()[-1].split())
    parts = ("action_rcnn", "build", "keyframe", "context", "rpn", "roi_head", "roi_pool3d", "sharing")
    left_out = {"detect.engine", "detect.export.graphs", *(f"detect.modeling.{part}" for part in parts)}
    assert "detect.export.model" in names and not {n for n in names if n.startswith("detect.engine")} | names & left_out
    assert (tmp_path / "out.json").stat().st_size > 100
