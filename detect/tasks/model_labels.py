"""From the classes of a model to those of a set of one's own, which may be fewer and in another order."""

import logging
from collections.abc import Sequence
from typing import Any

import torch

from detect.utils.comm import gather_object
from detect.utils.errors import UserError

logger = logging.getLogger(__name__)


def left_out(classes: Sequence[str], others: Sequence[str]) -> list[str]:
    """Those of `classes` that are not among the others."""
    return [label for label in classes if label not in others]


def require_known(name: str, found: Sequence[str], of_model: Sequence[str]) -> None:
    """UserError where the set `name` has classes `found` that the model has not."""
    if unknown := left_out(found, of_model):
        named = ", ".join(map(repr, unknown))
        raise UserError(
            f"{name}: the model has no class {named}; it has {', '.join(of_model)}. Rename it in the file's "
            "categories, or take it out with its annotations"
        )


class ModelLabels:
    """Gives detections the labels of the set's classes `of_set`, by name; those of other classes are left out and
    counted.
    """

    def __init__(self, name: str, of_model: Sequence[str], of_set: Sequence[str]):
        self.name, self.of_model, self.of_set = name, tuple(of_model), tuple(of_set)
        place = {label: index for index, label in enumerate(self.of_set)}
        self._table = torch.tensor([place.get(label, -1) for label in self.of_model])
        self.reset()

    def reset(self) -> None:
        self._dropped = torch.zeros(len(self.of_model), dtype=torch.int64)

    def __call__(self, output: dict[str, Any]) -> dict[str, Any]:
        """The model's output for a keyframe with the set's labels in `instances`."""
        if self.of_model == self.of_set:
            return output
        found = output["instances"]
        labels = self._table.to(found.pred_classes.device)[found.pred_classes]
        known = labels >= 0
        self._dropped += torch.bincount(found.pred_classes[~known].cpu(), minlength=len(self.of_model))
        kept = found[known]
        kept.pred_classes = labels[known]
        return {**output, "instances": kept}

    def report(self) -> None:
        """Say, on the main process, how many detections were left out; call it on every process."""
        parts = gather_object(self._dropped)
        if parts and (lacking := left_out(self.of_model, self.of_set)):
            counts = dict(zip(self.of_model, sum(parts).tolist(), strict=True))
            each = ", ".join(f"{label} {counts[label]}" for label in lacking)
            logger.info(
                "%s has %d of the model's %d classes; %d detections of the others are left out: %s",
                self.name, len(self.of_set), len(self.of_model), sum(counts.values()), each,
            )  # fmt: skip
