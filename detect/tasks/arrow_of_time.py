"""Does a network know which way time runs? Its accuracy with the frames in normal and in reversed order.

Source: Xie et al., "Rethinking Spatiotemporal Feature Learning", ECCV 2018, Table 1.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tabulate import tabulate

from detect.classification.class_table import check_known, read_class_table
from detect.classification.evaluation import folder_name, score_videos
from detect.classification.model import ActionClassifier
from detect.classification.records import VideoSet
from detect.classification.scores import NO_LABEL, top_k
from detect.config import check_read
from detect.d2 import CfgNode
from detect.data.catalog import set_datasets_root
from detect.data.checks import AnnotationError
from detect.engine.checkpoint import load_cfg_and_checkpoint
from detect.tasks.classification import CLASSIFICATION, evaluation_batches
from detect.tasks.runner import load_evaluated
from detect.utils.files import write_json

logger = logging.getLogger(__name__)


def run_arrow_of_time(config_file: str, opts: Sequence[Any], weights: str, partners_file: str | None) -> None:
    """See tools/arrow_of_time.py; config_file, opts, weights: as for `detect.tasks.runner.run`."""
    cfg, contents = load_cfg_and_checkpoint(config_file, opts, weights)
    check_read(cfg, CLASSIFICATION.reader)
    set_datasets_root(cfg.DATASETS.ROOT)
    partners = read_class_table(partners_file) if partners_file else None
    for name, result in arrow_of_time(cfg, partners, contents).items():
        print(f"{name}, {result['videos']} videos\n{order_table(result)}")


def arrow_of_time(
    cfg: CfgNode, partners: Mapping[str, str] | None = None, contents: dict[str, Any] | None = None
) -> dict[str, dict[str, Any]]:
    """Test MODEL.WEIGHTS on the sets of DATASETS.TEST in both orders: {set: what `compare_orders` gives}.

    partners: {class: the class that it is in opposite order}. Writes evaluation/<set>/arrow_of_time.json below
    OUTPUT_DIR. contents: of MODEL.WEIGHTS, where it was read already.
    """
    model, _, classes = load_evaluated(CLASSIFICATION, cfg, contents)
    pairs = None if partners is None else partner_indices(partners, classes)
    results = {}
    for name in cfg.DATASETS.TEST:
        videos = CLASSIFICATION.load_set(name, cfg, classes)
        labels = np.array([NO_LABEL if item.label is None else item.label for item in videos.items], np.int64)
        results[name] = compare_orders(labels, *score_both_orders(cfg, model, videos), pairs)
        facts = {"dataset": name, "network": cfg.MODEL.CONTEXT.NAME, "weights": cfg.MODEL.WEIGHTS, **results[name]}
        write_json(Path(cfg.OUTPUT_DIR) / "evaluation" / folder_name(name) / "arrow_of_time.json", facts)
    return results


def score_both_orders(cfg: CfgNode, model: ActionClassifier, videos: VideoSet) -> tuple[np.ndarray, np.ndarray]:
    """Softmax scores (V, K) with frames in normal and in reversed order, tested as the config says.

    A row of zeros belongs to a video that cannot be read, and is never right.
    """
    found = []
    for order in (iter, reverse_time):
        batches = evaluation_batches(cfg, videos, cfg.TEST.IMS_PER_BATCH)
        keeper = score_videos(model, order(batches), videos, len(videos.items))
        found.append(np.stack([keeper.scores[index] for index in range(len(videos.items))]))
    for index, why in sorted(keeper.errors.items()):
        logger.warning("%s counts as wrong: %s", videos.items[index].name, why)
    normal, backward = found
    return normal, backward


def reverse_time(batches: Iterable[list[dict]]) -> Iterator[list[dict]]:
    """The batches of a test loader with the frames of every part in reverse order.

    That is the video reversed where it is tested in one part, as all are of at most TEST.CHUNK_FRAMES frames.
    """
    for batch in batches:
        yield [{**item, "clip": item["clip"].flip(0)} if "clip" in item else item for item in batch]


def partner_indices(partners: Mapping[str, str], classes: Sequence[str]) -> np.ndarray:
    """(K,) the index of each class's partner, -1 without one, of {class: partner}.

    AnnotationError unless partners are classes, two different ones, and each other's.
    """
    for name, partner in partners.items():
        if partners.get(partner) != name or partner == name:
            raise AnnotationError(f"the class {name!r} has the partner {partner!r}, which must have {name!r} in turn")
    check_known(partners, classes, "the partners")
    index = {name: i for i, name in enumerate(classes)}
    return np.array([index[partners[name]] if name in partners else -1 for name in classes], np.int64)


def compare_orders(
    labels: np.ndarray, normal: np.ndarray, backward: np.ndarray, partners: np.ndarray | None = None
) -> dict[str, Any]:
    """Shares of the videos, each as {"normal", "reversed"}; None without labelled videos.

    labels (V,), NO_LABEL where unknown; normal, backward: scores (V, K); partners (K,), -1 for none. "top1": the label
    has the highest score. Of the videos whose class has a partner: "top1_as_partner", the partner has the highest
    score; "within_pair", the label scores higher than the partner, ties a half: 0.5 is chance. "same_answer" is the
    share of all videos with the same highest class in both orders.
    """
    orders: Mapping[str, np.ndarray] = {"normal": normal, "reversed": backward}
    result: dict[str, Any] = {
        "videos": len(labels),
        "top1": {order: top_k(scores, labels, 1) for order, scores in orders.items()},
        "same_answer": float((normal.argmax(1) == backward.argmax(1)).mean()),
    }
    if partners is None:
        return result
    swapped = np.where(labels == NO_LABEL, NO_LABEL, partners[labels])
    paired = swapped != NO_LABEL
    rows, own, other = np.flatnonzero(paired), labels[paired], swapped[paired]
    result["videos_with_partner"] = len(rows)
    result["top1_as_partner"] = {order: top_k(scores, swapped, 1) for order, scores in orders.items()}
    result["within_pair"] = {
        order: _mean((1 + np.sign(scores[rows, own] - scores[rows, other])) / 2) for order, scores in orders.items()
    }
    return result


def _mean(values: np.ndarray) -> float | None:
    return float(values.mean(dtype=np.float64)) if len(values) else None


ROWS = {
    "top1": "top-1",
    "top1_as_partner": "top-1, the partner as the right answer",
    "within_pair": "right between a class and its partner",
}


def order_table(result: Mapping[str, Any]) -> str:
    """The result of one set as a table for people."""
    rows = [
        (text, *("-" if (value := result[key][order]) is None else f"{value:.3f}" for order in ("normal", "reversed")))
        for key, text in ROWS.items()
        if key in result
    ]
    table = tabulate(rows, ("", "normal", "reversed"), tablefmt="pipe", disable_numparse=True)
    return f"{table}\n\nsame answer in both orders: {result['same_answer']:.3f}"
