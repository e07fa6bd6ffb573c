"""An exported detector in the place of `ActionRCNN`: the same batches in, the same results out."""

import os
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import nn

from detect.config import ActionCfgNode, load_cfg_of_checkpoint
from detect.config_node import leaves
from detect.d2 import Boxes, Instances
from detect.data.keyframe_mapper import keyframe_items
from detect.export.engines import Arrays, open_engine
from detect.export.facts import read_facts
from detect.modeling.boxes import require_finite
from detect.modeling.results import SelectionRules, select_detections, to_original_frame
from detect.utils.checkpoint_files import CheckpointError
from detect.utils.download import local_file

# What of the sections MODEL and INPUT is applied after the graph, or says only where something is.
NOT_IN_THE_GRAPH = (
    "MODEL.ROI_HEADS.SCORE_THRESH_TEST", "MODEL.ROI_HEADS.NMS_THRESH_TEST", "MODEL.WEIGHTS", "MODEL.DEVICE",
    "MODEL.PRECISION", "MODEL.CUDA_GRAPHS", "MODEL.COMPILE",
)  # fmt: skip


class ExportedRCNN(nn.Module):
    """`run` gives the outputs of the whole graph for {"clip": (1, T, H, W, 3)} and, where the detector sees it,
    {"flow": (1, T, H, W, 2)}, uint8; the suppression within classes is done here.

    identity: of the weights, as an evaluation notes it.
    """

    def __init__(self, run, rules: SelectionRules, streams: Sequence[str], identity: str):
        super().__init__()
        self.run, self.rules, self.flow, self.weights_hash = run, rules, "flow" in streams, identity

    def forward(self, batch: list[dict]) -> list[dict[str, Instances]]:
        """As `ActionRCNN.forward` in inference; the windows of a span one by one."""
        inputs = (inputs for item in batch for inputs in window_inputs(item, self.flow))
        return [self._one(*one) for one in zip(inputs, keyframe_items(batch), strict=True)]

    def _one(self, inputs: Arrays, item: dict) -> dict[str, Instances]:
        size = inputs["clip"].shape[2:4]
        found = {name: torch.from_numpy(value) for name, value in self.run(inputs).items()}
        real = found["real"]
        boxes, scores, regions, logits = (found[name][real] for name in ("boxes", "scores", "regions", "objectness"))
        require_finite("exported network", boxes, scores)
        proposals = Instances(size, proposal_boxes=Boxes(regions), objectness_logits=logits)
        detections = select_detections(boxes, scores, size, self.rules)
        return {"instances": to_original_frame(detections, item), "proposals": to_original_frame(proposals, item)}


def window_inputs(item: dict, flow: bool) -> Iterator[Arrays]:
    """The inputs of the graph, for each window of an item as `KeyframeMapper.pack` makes it."""
    streams = {"clip": item["clip"], "flow": item["flow"]} if flow else {"clip": item["clip"]}
    for start, stop in _windows(item):
        yield {name: value[None, start:stop].contiguous().numpy() for name, value in streams.items()}


def _windows(item: dict[str, Any]) -> list[tuple[int, int]]:
    if "offsets" not in item:
        return [(0, len(item["clip"]))]
    last = item["offsets"][-1]
    return [(offset, offset + len(item["clip"]) - last) for offset in item["offsets"]]


class Exported(NamedTuple):
    """model: what takes the place of `ActionRCNN`.  cfg: frozen.  classes: in the order of the labels."""

    model: ExportedRCNN
    cfg: ActionCfgNode
    classes: tuple[str, ...]


def load_exported(
    path: str | os.PathLike,
    engine: str | None = None,
    overrides: Sequence[Any] = (),
    cfg: ActionCfgNode | None = None,
) -> Exported:
    """The whole detector in an exported file.

    engine: of `detect.export.engines.ENGINES`.  overrides: KEY, VALUE, ... of the config, or `cfg`: all of it; what is
    in the graph must be as it was exported.  CheckpointError for a file that cannot be run, or of a part.
    """
    path = os.fspath(path)
    file = local_file(path)
    facts = read_facts(file)
    if facts.part != "whole":
        raise CheckpointError(f"{path}: is the part {facts.part!r} of a detector; export the whole: --part whole")
    exported = load_cfg_of_checkpoint(facts.config, path, ["MODEL.DEVICE", "cpu"])
    cfg = exported.changed(overrides) if cfg is None else cfg
    _require_as_exported(path, dict(leaves(exported)), dict(leaves(cfg)))
    heads, test = cfg.MODEL.ROI_HEADS, cfg.TEST
    rules = SelectionRules(
        heads.SCORE_THRESH_TEST, heads.NMS_THRESH_TEST, test.DETECTIONS_PER_CLASS, test.DETECTIONS_PER_IMAGE
    )
    run = open_engine(file, facts, engine, cfg.MODEL.PRECISION)
    return Exported(ExportedRCNN(run, rules, cfg.MODEL.STREAMS, facts.identity), cfg, tuple(facts.classes))


def _require_as_exported(path: str, exported: dict[str, Any], wanted: dict[str, Any]) -> None:
    for name, value in exported.items():
        if name.startswith(("MODEL.", "INPUT.")) and name not in NOT_IN_THE_GRAPH and wanted[name] != value:
            raise CheckpointError(
                f"{path}: was exported with {name} {value!r}, which cannot become {wanted[name]!r} now; export the "
                "checkpoint anew with it"
            )
