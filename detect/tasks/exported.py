"""An exported detector in place of a checkpoint, for an evaluation."""

import os
from collections.abc import Sequence
from typing import Any

from torch import nn

from detect.d2 import CfgNode
from detect.export.facts import read_facts
from detect.export.model import load_exported
from detect.tasks.detection import DetectionTask
from detect.utils.download import local_file


class ExportedTask(DetectionTask):
    """engine: of `detect.export.engines.ENGINES`, None for the default one."""

    def __init__(self, engine: str | None = None):
        self.engine = engine

    def read(self, path: str) -> dict[str, Any]:
        facts = read_facts(local_file(path))
        return {"model": {}, "config": facts.config, "tag": {"classes": list(facts.classes)}}

    def build(self, cfg: CfgNode, classes: Sequence[str], *, initial_weights: bool) -> nn.Module:
        return load_exported(cfg.MODEL.WEIGHTS, self.engine, cfg=cfg).model


def config_lines(weights: str) -> list[str]:
    """KEY, VALUE, ... of an evaluation: its results go to a folder named after the file, beside it, where they take not
    the place of the checkpoint's.
    """
    return ["MODEL.DEVICE", "cpu", "OUTPUT_DIR", os.path.splitext(weights)[0]]
