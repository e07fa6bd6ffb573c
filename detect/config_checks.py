"""What a config key may be: the legal values that stand beside each row of `detect.config.KEYS`."""

import copy
import math
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch

import backbones
from detect.config_node import ConfigError, literal, put


class Legal(NamedTuple):
    """The words for a message, and whether a value is among them."""

    text: str
    holds: Callable[[Any], bool]


class Key(NamedTuple):
    """One row: dotted name, default, legal values (None: any of its type), meaning with its source."""

    name: str
    default: Any
    legal: Legal | None
    meaning: str

    @property
    def readers(self) -> tuple[str, ...]:
        """Of "detector" and "classifier", or the one component that reads it, by its name in the config."""
        if match := re.search(r"\((\w+) only\)$", self.meaning):
            return (match[1],)
        if " classifier: " in self.meaning:
            return ("classifier",)
        return ("detector",) if self.name.startswith(DETECTOR_ONLY) else ("detector", "classifier")


# The sections and keys of the detector's parts.
DETECTOR_ONLY = (
    "MODEL.PIXEL_", "MODEL.BACKBONE.", "MODEL.RESNETS.", "MODEL.STREAMS", "MODEL.CONTEXT.TAP", "MODEL.FLOW.",
    "MODEL.CONTEXT.SHARE_UP_TO",
    "MODEL.ANCHOR_GENERATOR.", "INPUT.SPAN_", "INPUT.BACKGROUND_PROB", "TEST.KEYFRAME_STRIDE", "TEST.SPAN_PHASES",
    "MODEL.PROPOSAL_GENERATOR.", "MODEL.RPN.", "MODEL.ROI_HEADS.", "MODEL.ROI_BOX_HEAD.", "INPUT.FORMAT",
    "TEST.DETECTIONS_PER_", "TEST.PRESET", "TEST.FRAMES", "TEST.IOU_THRESHOLD", "TEST.PICTURES", "TEST.COCO",
)  # fmt: skip


def one_of(*values: Any) -> Legal:
    shown = ", ".join(repr(value) for value in values)
    return Legal(f"one of {shown}" if len(values) > 1 else shown, lambda value: value in values)


def within(low: float, high: float) -> Legal:
    return Legal(f"{low} to {high}", lambda value: low <= value <= high)


def list_of(item: Legal, count: int | None = None, rising: bool = False) -> Legal:
    """A list or tuple of `count` (None: any number of) legal values, each above the one before where they rise."""

    def holds(values: Sequence) -> bool:
        enough = count is None or len(values) == count
        return enough and all(map(item.holds, values)) and (not rising or _rises(values, strict=count is None))

    number = "values" if count is None else f"{count} value{'s' * (count != 1)}"
    return Legal(f"a list of {number}, each {item.text}" + ", rising" * (rising and count != 1), holds)


def lists_of(item: Legal) -> Legal:
    """For each feature map a list of one or more legal values."""
    each = list_of(item)
    return Legal(
        f"for each feature map a list of one or more, each {item.text}",
        lambda value: len(value) > 0 and all(len(part) > 0 and each.holds(part) for part in value),
    )


def optional(legal: Legal) -> Legal:
    return Legal(f"None or {legal.text}", lambda value: value is None or is_number(value) and legal.holds(value))


def nullable(legal: Legal) -> Legal:
    """As `optional`, of what is no number."""
    return Legal(f"None or {legal.text}", lambda value: value is None or legal.holds(value))


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _rises(values: Sequence[float], strict: bool) -> bool:
    """Pairs such as (low, high) may be equal, steps may not."""
    return all(a < b or (a == b and not strict) for a, b in zip(values, values[1:], strict=False))


def _is_device(value: str) -> bool:
    try:
        device = torch.device(value)
    except RuntimeError:
        return False
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return device.type != "cuda" or (device.index or 0) < count


FINITE = Legal("a finite number", is_number)
POSITIVE = Legal("above 0", lambda value: is_number(value) and value > 0)
NOT_NEGATIVE = Legal("0 or more", lambda value: is_number(value) and value >= 0)
COUNT = Legal("a whole number, 1 or more", lambda value: type(value) is int and value >= 1)
SHARE = within(0, 1)
BELOW_ONE = Legal("at least 0 and below 1", lambda value: 0 <= value < 1)
OVERLAP = Legal("above 0, at most 1", lambda value: 0 < value <= 1)
EIGHTS = Legal("a multiple of 8, 8 or more", lambda value: value >= 8 and value % 8 == 0)
FILLED = Legal("a name, not empty", lambda value: bool(value.strip()))
SOME = Legal("a list of one or more", lambda value: len(value) > 0)
NAMES = Legal("a list of names", lambda value: all(isinstance(name, str) and name for name in value))
NETWORK = Legal(
    "a network of the family, such as i3d, s3d or s3dg (backbones.names() lists all)",
    lambda value: value in backbones.names(),
)
DEVICE = Legal("a device of this machine, such as cpu, cuda or cuda:1", _is_device)


def violations(keys: Sequence[Key], values: dict[str, Any]) -> Iterator[str]:
    """`KEY is VALUE; it must be LEGAL` for every value that is not."""
    for key in keys:
        if key.legal is None or key.name not in values:
            continue
        try:
            holds = key.legal.holds(values[key.name])
        except (TypeError, AttributeError):  # of another type inside a list
            holds = False
        if not holds:
            yield f"{key.name} is {values[key.name]!r}; it must be {key.legal.text}"


def contradictions(cfg: Any) -> Iterator[str]:
    """What is legal alone and not together."""
    size, resize, test = cfg.INPUT.SIZE, cfg.INPUT.RESIZE, cfg.TEST
    if cfg.MODEL.META_ARCHITECTURE == "ActionClassifier" and any(a > b for a, b in zip(size, resize, strict=False)):
        yield f"INPUT.SIZE is {size}; it must fit into INPUT.RESIZE, {resize}"
    if test.PAD_FRAMES > test.CHUNK_FRAMES:
        yield f"TEST.PAD_FRAMES is {test.PAD_FRAMES}; it must be at most TEST.CHUNK_FRAMES, {test.CHUNK_FRAMES}"


def check_architecture(architecture: str, reader: str) -> None:
    """ConfigError unless the architecture is the detector's or a classifier's, as `reader` says."""
    if (architecture == "ActionClassifier") == (reader == "classifier"):
        return
    other, base = ("tools/train_net.py", "ActionClassifier") if reader == "classifier" else (
        "tools/train_classifier.py", "ActionRCNN"
    )  # fmt: skip
    raise ConfigError(
        f"MODEL.META_ARCHITECTURE is {architecture}, and this tool is for a {reader}; give a config over "
        f"configs/Base-{base}.yaml, or use {other}"
    )


READERS = {
    "detector": "the detector (tools/train_net.py)",
    "classifier": "a classifier (tools/train_classifier.py)",
}  # else a component of Detectron2


def unread_keys(keys: Sequence[Key], cfg: Any, changed: dict[str, Any], reader: str) -> Iterator[str]:
    """`KEY is VALUE, and only ... reads it` for those of `changed` that the config's components do not read."""
    active = {reader, cfg.MODEL.BACKBONE.NAME, cfg.MODEL.PROPOSAL_GENERATOR.NAME, cfg.MODEL.ROI_HEADS.NAME}
    for key in keys:
        if key.name in changed and not active & set(key.readers):
            (who,) = key.readers
            who = READERS.get(who, f"Detectron2's {who}")
            yield f"{key.name} is {changed[key.name]!r}, and only {who} reads it"


# Keys that a choice leaves without effect.
UNREAD_WITH = (
    ("OPTIMIZER", "adamw", ("MOMENTUM", "NESTEROV")),
    ("LR_SCHEDULER_NAME", "WarmupCosineLR", ("STEPS", "GAMMA")),
    ("LR_SCHEDULER_NAME", "WarmupMultiStepLR", ("BASE_LR_END",)),
)


def unread_options(solver: Any, changed: dict[str, Any]) -> Iterator[str]:
    """`KEY is VALUE, and SOLVER.OPTIMIZER adamw does not read it` for those of SOLVER that are not the default."""
    for choice, value, names in UNREAD_WITH:
        for name in names if solver[choice] == value else ():
            if f"SOLVER.{name}" in changed:
                yield f"SOLVER.{name} is {solver[name]!r}, and SOLVER.{choice} {value} does not read it"


def without_alias(tree: Any, origin: str) -> Any:
    """Detectron2's MODEL.ROI_HEADS.IN_FEATURES [name] as MODEL.CONTEXT.TAP name; the rest as it is."""
    model = tree.get("MODEL") if isinstance(tree, dict) else None
    heads = model.get("ROI_HEADS") if isinstance(model, dict) else None
    if not isinstance(heads, dict) or "IN_FEATURES" not in heads:
        return tree
    tree = copy.deepcopy(tree)
    value = literal(tree["MODEL"]["ROI_HEADS"].pop("IN_FEATURES"))
    if not isinstance(value, (list, tuple)) or len(value) != 1:
        raise ConfigError(f"{origin}: MODEL.ROI_HEADS.IN_FEATURES is {value!r}; one feature map is pooled: [mixed_4e]")
    put(tree, "MODEL.CONTEXT.TAP", value[0])
    return tree
