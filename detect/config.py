"""The config: defaults from the table `config_keys.KEYS`, files and overrides merged into them, and their checks."""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence
from typing import Any

import torch
import yaml

from detect import config_checks as checks
from detect import d2
from detect.config_keys import KEYS
from detect.config_node import CheckedCfgNode, ConfigError, leaves, put


class ActionCfgNode(CheckedCfgNode):
    """The config of this project: checked merges and a portable dump."""

    def merge_tree(self, tree: Any, origin: str) -> None:
        super().merge_tree(checks.without_alias(tree, origin), origin)

    def dump(self, **kwargs: Any) -> str:
        """YAML of the keys of the table and of those Detectron2 keys that differ from Detectron2's default.

        So a config saved with Detectron2 installed loads without it, unless it depends on Detectron2.
        """
        defaults, own = dict(leaves(d2.get_cfg())), {key.name for key in KEYS}
        tree: dict[str, Any] = {}
        for name, value in leaves(self):
            if name in own or name not in defaults or defaults[name] != value:
                put(tree, name, value)
        return yaml.safe_dump(tree, **kwargs)


def get_cfg() -> ActionCfgNode:
    """A fresh config: the defaults of the table, over Detectron2's own where it is installed."""
    tree: dict[str, Any] = d2.get_cfg()
    for key in KEYS:
        put(tree, key.name, copy.deepcopy(key.default))
    cfg = ActionCfgNode(tree)
    cfg.MODEL.CONTEXT.OVERRIDES.set_new_allowed(True)
    cfg.MODEL.FLOW.OVERRIDES.set_new_allowed(True)
    cfg.MODEL.DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
    return cfg


def check_values(cfg: ActionCfgNode) -> None:
    """ConfigError with every key whose value is not legal."""
    if problems := [*checks.violations(KEYS, dict(leaves(cfg))), *checks.contradictions(cfg)]:
        raise ConfigError(". ".join(problems))


def load_cfg_of_checkpoint(text: str, path: str, overrides: Sequence[Any] = ()) -> ActionCfgNode:
    """The config `text` in the checkpoint at `path`, which becomes MODEL.WEIGHTS, then the overrides; frozen.

    The device is this machine's. Results go to the checkpoint's folder: a file from elsewhere names no folder to write.
    """
    cfg = get_cfg()
    here = os.path.dirname(path) if os.path.isfile(path) else cfg.OUTPUT_DIR
    kept = {"MODEL.DEVICE": cfg.MODEL.DEVICE, "MODEL.WEIGHTS": path, "OUTPUT_DIR": here or "."}
    try:
        tree = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"the config in {path} cannot be read: {error}") from error
    cfg.merge_tree(tree, f"the config in {path}")
    cfg.merge_from_list([*(word for pair in kept.items() for word in pair), *overrides])
    check_values(cfg)
    cfg.freeze()
    return cfg


def changed_keys(cfg: dict) -> dict[str, Any]:
    """{dotted name: value} of what is not the default."""
    defaults = dict(leaves(get_cfg()))
    return {name: value for name, value in leaves(cfg) if name not in defaults or defaults[name] != value}


def check_read(cfg: ActionCfgNode, reader: str, unread: Sequence[str] = (), tool: str = "") -> None:
    """ConfigError for keys that are set to something else than their default and would be ignored.

    reader: "detector" or "classifier", whose architecture MODEL.META_ARCHITECTURE must be. unread: further keys that
    `tool` does not read.
    """
    checks.check_architecture(cfg.MODEL.META_ARCHITECTURE, reader)
    changed = changed_keys(cfg)
    problems = [f"{key} is {changed[key]!r}, and {tool} does not read it" for key in unread if key in changed]
    problems += [*checks.unread_keys(KEYS, cfg, changed, reader), *checks.unread_options(cfg.SOLVER, changed)]
    if problems:
        raise ConfigError(f"{'; '.join(problems)}. Leave {'it' if len(problems) == 1 else 'them'} at the default")


def load_cfg(config_file: str | os.PathLike = "", overrides: Sequence[Any] = ()) -> ActionCfgNode:
    """Defaults, then `config_file` unless empty, then `[KEY, VALUE, ...]` overrides; frozen."""
    cfg = get_cfg()
    if config_file:
        cfg.merge_from_file(os.fspath(config_file))
    cfg.merge_from_list(overrides)
    check_values(cfg)
    cfg.freeze()
    return cfg
