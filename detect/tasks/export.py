"""What `tools/export.py` does: a checkpoint in; a file that ONNX Runtime, OpenVINO or PyTorch runs out."""

import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from detect.api import ActionDetector
from detect.config import ActionCfgNode
from detect.export.engines import open_engine
from detect.export.facts import SUFFIXES, ExportFacts, is_exported, require
from detect.export.graphs import part_graph
from detect.export.quantise import quantise
from detect.export.write import write_graph
from detect.tasks.calibration import calibration_clips
from detect.utils.errors import UserError
from detect.utils.files import refuse_to_overwrite


def export(
    weights: str,
    output: str,
    *,
    config_file: str = "",
    opts: Sequence[Any] = (),
    part: str = "whole",
    proposals: int | None = None,
    int8: bool = False,
    calibrate: Sequence[str] = (),
) -> None:
    """See the docstring of tools/export.py. UserError for bad input."""
    _check(weights, output, part, proposals, int8, calibrate)
    overrides = [*opts, "MODEL.PRECISION", "fp32", "MODEL.COMPILE", False]  # engines have ways of their own
    detector = ActionDetector.load(weights, device="cpu", config_file=config_file, overrides=overrides)
    cfg = _of_windows(detector.cfg, proposals)
    regions = cfg.MODEL.RPN.POST_NMS_TOPK_TEST
    graph, inputs = part_graph(detector.model, cfg, part, regions=regions)
    text = cfg.changed(["MODEL.WEIGHTS", "", "OUTPUT_DIR", "."]).dump()
    facts = ExportFacts(part, list(detector.classes), text, detector.weights_hash, regions, int8)
    if int8:
        write_int8(output, graph, inputs, facts, cfg, calibrate)
    else:
        write_graph(output, graph, inputs, facts)
    what = f"the {part} of {weights}, {regions} regions{', int8' * int8}"
    print(f"{output}: {os.path.getsize(output) / 1e6:.1f} MB, {what}")
    if not int8:  # its regions are others, in another order: `tools/train_net.py --eval-only` says what that costs
        for name, (difference, deviation) in differences(output, graph, inputs, facts).items():
            print(f"  {name}: at most {difference:.2g} from PyTorch's on a random input (deviation {deviation:.2g})")


def _check(weights: str, output: str, part: str, proposals: int | None, int8: bool, calibrate: Sequence[str]) -> None:
    if not output.endswith(SUFFIXES):
        raise UserError(f"--output {output}: the name must end in {' or '.join(SUFFIXES)}")
    if is_exported(weights):
        raise UserError(f"--weights {weights}: is exported already; give the checkpoint (.pth)")
    if proposals is not None and proposals < 1:
        raise UserError(f"--proposals {proposals}: it must be at least 1")
    if int8 and not (output.endswith(".onnx") and part == "whole"):
        raise UserError(f"--int8 is for the whole detector as .onnx, not the part {part!r} as {output}")
    if int8 != bool(calibrate):
        raise UserError("--int8 and --calibrate VIDEO ... go together: the clips give the ranges of the 8 bits")
    refuse_to_overwrite({"--weights": weights, "--output": output})
    for package in ("onnx", "onnxscript", "onnxruntime") if output.endswith(".onnx") else ():
        require(package)  # before the work, not after


def _of_windows(cfg: ActionCfgNode, proposals: int | None) -> ActionCfgNode:
    """The config of what is exported: windows, and as many regions as are wanted."""
    if cfg.INPUT.SPAN_FRAMES:
        print(
            f"note: INPUT.SPAN_FRAMES is {cfg.INPUT.SPAN_FRAMES}; exported is the detector that gives each keyframe a "
            "window of its own (INPUT.SPAN_FRAMES 0)",
            file=sys.stderr,
        )
    regions = cfg.MODEL.RPN.POST_NMS_TOPK_TEST if proposals is None else proposals
    return cfg.changed(["INPUT.SPAN_FRAMES", 0, "MODEL.RPN.POST_NMS_TOPK_TEST", regions])


def write_int8(
    output: str,
    graph: nn.Module,
    inputs: dict[str, Tensor],
    facts: ExportFacts,
    cfg: ActionCfgNode,
    sources: Sequence[str],
) -> None:
    """The graph in 8 bits; sources: videos or sets, see `calibration_clips`."""
    clips = calibration_clips(cfg, sources)  # before the work: a wrong name is found now
    with tempfile.TemporaryDirectory() as folder:
        single = str(Path(folder) / "single.onnx")
        write_graph(single, graph, inputs, facts)
        quantise(single, output, clips, facts)


@torch.no_grad()
def differences(
    path: str, graph: nn.Module, inputs: dict[str, Tensor], facts: ExportFacts, engine: str | None = None
) -> dict[str, tuple[float, float]]:
    """Of each output of an exported file: its largest difference from the graph's in PyTorch, and the deviation of
    those.
    """
    found = open_engine(path, facts, engine)({name: value.numpy() for name, value in inputs.items()})
    expected = graph(*inputs.values())
    expected = (expected,) if isinstance(expected, Tensor) else expected
    pairs = zip(found.items(), expected, strict=True)
    rows = {name: (torch.from_numpy(value).double(), wanted.double()) for (name, value), wanted in pairs}
    return {name: (float((a - b).abs().max()), float(b.std())) for name, (a, b) in rows.items()}
