"""From the keyframes that the detector looked at to every frame that is evaluated."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from detect.d2 import DatasetEvaluator
from detect.data.keyframe_mapper import keyframe_items
from detect.data.records import KeyframeDataset
from detect.modeling.between import interpolate
from detect.tasks.model_labels import ModelLabels


def every_nth(dataset: KeyframeDataset, stride: int) -> KeyframeDataset:
    """The frames 0, n, 2 n, ... of each video that the dataset's keyframes lie on or between."""
    if stride == 1:
        return dataset
    keyframes = []
    for video, wanted in zip(dataset.dataset.videos, dataset.keyframes, strict=True):
        before = wanted // stride * stride
        after = before[before != wanted] + stride
        keyframes.append(np.union1d(before, after[after < video.num_frames]))
    return dataset.at(keyframes)


class EveryFrame(DatasetEvaluator):
    """Gives each of `evaluators` the detections of every keyframe of `dataset`: those of the model, which ran on
    `every_nth(dataset, stride)`, and between them interpolated ones (`interpolate`).

    A frame between of which one neighbour is lacking, at a video's end or because it could not be read, repeats the
    other; where both are, it has no detections and counts as missing. `proposals` are those of the nearest one.
    `classes`: of the model; the evaluators get the labels of the dataset's, see `ModelLabels`.
    """

    def __init__(
        self,
        dataset: KeyframeDataset,
        stride: int,
        evaluators: Sequence[DatasetEvaluator],
        classes: Sequence[str] | None = None,
    ):
        self.dataset, self.stride, self.evaluators = dataset, stride, list(evaluators)
        self._labels = ModelLabels(dataset.name, dataset.classes if classes is None else classes, dataset.classes)
        self._number = {video.name: index for index, video in enumerate(dataset.dataset.videos)}
        self._expected = [len(keyframes) for keyframes in every_nth(dataset, stride).keyframes]
        self.reset()

    def reset(self) -> None:
        self._found: dict[str, dict[int, dict[str, Any]]] = {}  # video -> frame -> output, until it is complete
        self._labels.reset()
        for evaluator in self.evaluators:
            evaluator.reset()

    def process(self, inputs: list[dict], outputs: list[dict]) -> None:
        """inputs: a batch as the loader gives it, clips or spans.  outputs: the model's, one a keyframe."""
        items, outputs = keyframe_items(inputs), [self._labels(output) for output in outputs]
        if self.stride == 1:
            self._give(items, outputs)
            return
        for item, output in zip(items, outputs, strict=True):
            found = self._found.setdefault(item["video"], {})
            found[item["frame_index"]] = {name: value.to("cpu") for name, value in output.items()}
            if len(found) == self._expected[self._number[item["video"]]]:
                self._fill(item["video"])

    def evaluate(self) -> dict[str, Any]:
        """The results of all evaluators, {} on ranks above 0."""
        for video in list(self._found):  # of which some keyframes could not be read
            self._fill(video)
        self._labels.report()
        results: dict[str, Any] = {}
        for evaluator in self.evaluators:
            results |= evaluator.evaluate() or {}
        return results

    def _give(self, items: list[dict], outputs: list[dict]) -> None:
        for evaluator in self.evaluators:
            evaluator.process(items, outputs)

    def _fill(self, video: str) -> None:
        found, index = self._found.pop(video), self._number[video]
        items, outputs, group = [], [], {}
        for frame in self.dataset.keyframes[index].tolist():
            before = frame - frame % self.stride
            if before not in group:
                group = {before: self._between(found.get(before), found.get(before + self.stride))}
            if (output := group[before][frame - before]) is not None:
                items.append(self.dataset.sample(index, frame))
                outputs.append(output)
        self._give(items, outputs)

    def _between(self, first: dict | None, second: dict | None) -> list[dict | None]:
        """The outputs of a keyframe and of the stride - 1 frames after it."""
        if first is None or second is None:
            return [first, *[first or second] * (self.stride - 1)]
        shares = [step / self.stride for step in range(1, self.stride)]
        moved = interpolate(first["instances"], second["instances"], shares)
        nearer = (first if share < 0.5 else second for share in shares)
        return [first, *({**near, "instances": found} for near, found in zip(nearer, moved, strict=True))]
