"""Stand-ins for `detectron2.config`: a config that fills the arguments of a constructor."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from fvcore.common.config import CfgNode
from yacs.config import CfgNode as YacsCfgNode


def get_cfg() -> CfgNode:
    """An empty tree: without Detectron2 every key comes from the table of `detect.config`."""
    return CfgNode()


def configurable(init: Callable) -> Callable:
    """Let `__init__` be called with a config in place of its explicit arguments.

    The class's `from_config(cfg, ...)` classmethod gives the arguments as a dict. Keyword arguments that it does not
    take go straight to `__init__` and win over its own.
    """
    assert inspect.isfunction(init) and init.__name__ == "__init__", "@configurable decorates __init__"
    return _configurable_init(init)


def _configurable_init(init: Callable) -> Callable:
    @functools.wraps(init)
    def wrapped(self, *args, **kwargs):
        name, translate = type(self).__name__, getattr(type(self), "from_config", None)
        if translate is None:
            raise AttributeError(f"{name} uses @configurable and needs a from_config classmethod")
        if not inspect.ismethod(translate):
            raise TypeError(f"{name}.from_config must be a classmethod")
        if _has_config(args, kwargs):
            init(self, **_explicit_arguments(translate, args, kwargs))
        else:
            init(self, *args, **kwargs)

    return wrapped


def _has_config(args: tuple, kwargs: dict) -> bool:
    return bool(args and isinstance(args[0], YacsCfgNode)) or isinstance(kwargs.get("cfg"), YacsCfgNode)


def _explicit_arguments(translate: Callable, args: tuple, kwargs: dict) -> dict[str, Any]:
    parameters = inspect.signature(translate).parameters
    if next(iter(parameters), None) != "cfg":
        raise TypeError(f"{translate.__qualname__} must take 'cfg' as its first argument")
    if any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in parameters.values()):
        return translate(*args, **kwargs)
    direct = {name: value for name, value in kwargs.items() if name not in parameters}
    translated = {name: value for name, value in kwargs.items() if name in parameters}
    return {**translate(*args, **translated), **direct}
