"""A config node whose merges check everything first and say clearly what is wrong."""

from __future__ import annotations

import copy
import difflib
from ast import literal_eval
from collections.abc import Iterator, Sequence
from typing import Any

import yaml

from detect.d2 import HAS_DETECTRON2, CfgNode
from detect.utils.errors import UserError


class ConfigError(UserError, KeyError):
    """A config that cannot be used; plain yacs raises a KeyError or a ValueError."""

    def __str__(self) -> str:  # KeyError would show the message in quotes
        return str(self.args[0])


class CheckedCfgNode(CfgNode):
    """Detectron2's config node; a bad merge raises one ConfigError and changes nothing.

    The error names the file, every unknown key with the closest legal ones, and every value of another type
    than the default's. An int may stand for a float, a list for a tuple, any value for a default of None.
    """

    def merge_from_file(self, cfg_filename: str, allow_unsafe: bool = False) -> None:
        """Merge a YAML file. A file named by `_BASE_:` in it, relative to it, is read first."""
        try:
            tree = self.load_yaml_with_base(cfg_filename, allow_unsafe=allow_unsafe)
        except TypeError as error:  # what fvcore does on an empty file
            raise ConfigError(f"{cfg_filename}: this config, or its _BASE_, has no KEY: VALUE lines") from error
        except RecursionError:
            raise ConfigError(f"{cfg_filename}: its _BASE_ leads back to itself") from None
        except (OSError, yaml.YAMLError, AssertionError, UnicodeDecodeError) as error:
            raise ConfigError(f"{cfg_filename}: cannot be read as a config: {error}") from error
        self.merge_tree(tree, cfg_filename)

    def merge_from_list(self, cfg_list: Sequence[Any]) -> None:
        """Merge `[KEY, VALUE, KEY, VALUE, ...]`: dotted keys; values are Python literals or plain strings."""
        if len(cfg_list) % 2:
            raise ConfigError(f"overrides are KEY VALUE pairs, but {list(cfg_list)} has an odd number of words")
        tree: dict[str, Any] = {}
        for name, value in zip(cfg_list[0::2], cfg_list[1::2], strict=True):
            put(tree, name, value)
        self.merge_tree(tree, "overrides")

    def merge_from_other_cfg(self, cfg_other: dict) -> None:
        self.merge_tree(cfg_other, "merged config")

    def changed(self, opts: Sequence[Any]) -> CheckedCfgNode:
        """A frozen copy with `[KEY, VALUE, KEY, VALUE, ...]` merged into it."""
        cfg = self.clone()
        cfg.defrost()
        cfg.merge_from_list(opts)
        cfg.freeze()
        return cfg

    def merge_tree(self, tree: Any, origin: str) -> None:
        """Merge nested dicts; `origin` names them in an error."""
        if self.is_frozen():
            raise AttributeError(f"{origin}: this config is frozen; merge into cfg.clone() after .defrost()")
        problems: list[str] = []
        changes = list(_check(tree, self, "", _names(self), problems))
        if problems:
            raise ConfigError(f"{origin}: " + "; ".join(problems))
        for node, key, value in changes:
            node[key] = value


def leaves(node: dict, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted name, value) of everything that is not a section."""
    for key, value in node.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def put(tree: dict, name: str, value: Any) -> None:
    """Set the entry of a dotted name, making its sections."""
    *sections, last = name.split(".")
    for section in sections:
        tree = tree.setdefault(section, {})
        if not isinstance(tree, dict):
            raise ConfigError(f"{name}: {section} already has a value and cannot be a section")
    tree[last] = value


def _names(node: dict, prefix: str = "") -> list[str]:
    """Dotted names of all keys and sections."""
    names = [prefix + key for key in node]
    for key, value in node.items():
        if isinstance(value, dict):
            names += _names(value, f"{prefix}{key}.")
    return names


def _check(tree: Any, node: CfgNode, prefix: str, legal: list[str], problems: list[str]) -> Iterator[tuple]:
    """Yield (section, key, value) for each change; append to `problems` what is wrong."""
    if not isinstance(tree, dict):
        where = f"{prefix.rstrip('.')} is a section" if prefix else "a config is a mapping"
        problems.append(f"{where} of KEY: VALUE lines, not {tree!r}")
        return
    for key, value in tree.items():
        name = f"{prefix}{key}"
        if key in node and isinstance(node[key], CfgNode):
            yield from _check(value, node[key], f"{name}.", legal, problems)
        elif key in node:
            try:
                yield node, key, _convert(value, node[key])
            except TypeError as error:
                problems.append(f"{name} {error}")
        elif node.is_new_allowed():
            yield node, key, literal(copy.deepcopy(value))
        else:
            problems.append(_unknown(name, legal))


def _unknown(name: str, legal: list[str]) -> str:
    def likeness(candidate: str) -> tuple[float, float]:  # of the last parts or of the whole names
        pairs = ((name.upper().rsplit(".")[-1], candidate.rsplit(".")[-1]), (name.upper(), candidate))
        last, whole = (difflib.SequenceMatcher(None, a, b).ratio() for a, b in pairs)
        return max(last, whole), whole

    close = [key for key in sorted(legal, key=likeness, reverse=True)[:3] if max(likeness(key)) > 0.6]
    hint = f"closest legal keys: {', '.join(close)}" if close else "no legal key is close"
    other = "" if HAS_DETECTRON2 else "; keys of Detectron2's own components need Detectron2 installed"
    return f"unknown key {name}, {hint} (every key is in detect/config_keys.py{other})"


def literal(value: Any) -> Any:
    """YAML and the command line leave `1e-3` and `(1, 2)` as strings."""
    if isinstance(value, str):
        try:
            return literal_eval(value)
        except (ValueError, SyntaxError):
            return value
    return value


def _convert(value: Any, default: Any) -> Any:
    """`value` in the type of `default`; TypeError with the message's second half if it has another."""
    if isinstance(default, str) and isinstance(value, str):
        return value
    value = copy.deepcopy(literal(value))
    if default is None and not isinstance(value, dict) or type(value) is type(default) and not default:
        return value
    if isinstance(default, float) and type(value) is int:
        return float(value)
    if isinstance(default, (list, tuple)) and isinstance(value, (list, tuple)):
        return type(default)(_convert_items(value, default))
    if type(value) is not type(default):
        raise TypeError(f"must be like its default {default!r} ({type(default).__name__}), not {value!r}")
    return value


def _convert_items(values: Sequence, defaults: Sequence) -> list:
    example = defaults[0] if defaults else None
    if isinstance(example, (int, float)):
        wrong = [v for v in values if type(v) not in (int, float)]
        if wrong:
            raise TypeError(f"must hold numbers like its default {defaults!r}, not {wrong[0]!r}")
        return list(values)
    return [_convert(v, example) for v in values]
