"""t-SNE of what a network's layers make of videos, one panel for each layer (Xie et al., ECCV 2018, Figure 7).

Needs scikit-learn and matplotlib: pip install 'action-detection[plots]'.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from detect.classification.model import ActionClassifier
from detect.classification.records import VideoSet
from detect.utils.errors import UserError
from detect.utils.files import atomic_file
from detect.utils.plots import import_extra, new_figure, save_figure
from detect.visualization.drawing import class_colour

logger = logging.getLogger(__name__)
ENDPOINTS = ("conv2d_2c_3x3", "mixed_3c", "mixed_4c", "mixed_4f", "mixed_5c")
PERPLEXITY = 30.0  # scikit-learn's default, lowered where there are few videos
COLUMNS = 3  # panels in a row


@torch.no_grad()
def pooled_endpoints(
    model: ActionClassifier, batches: Iterable[list[dict]], videos: VideoSet, names: Sequence[str]
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Mean activations over time and space of every video that can be read.

    batches: of `build_video_loader`. Returns the places in `videos.items`, (V,), and {endpoint: (V, C) float32}; the
    parts of a video count by their frames. ValueError for an unknown endpoint or if no video can be read.
    """
    model.eval()
    sums: dict[int, list[np.ndarray]] = {}
    frames: dict[int, int] = {}
    unreadable: set[int] = set()
    with tqdm(total=len(videos.items), desc=f"activations of {videos.name}", unit="video") as progress:
        for item in (item for batch in batches for item in batch):
            index = item["index"]
            if "end" in item:
                progress.update()
                if item["end"] is not None:
                    logger.warning("%s is left out: %s", videos.items[index].name, item["end"])
                    unreadable.add(index)
                continue
            found = model.network.endpoints(model.stack([item["clip"]]), tuple(names))
            means = [found[name].float().mean((0, 2, 3, 4)).cpu().numpy() * len(item["clip"]) for name in names]
            sums[index] = [a + b for a, b in zip(sums[index], means, strict=True)] if index in sums else means
            frames[index] = frames.get(index, 0) + len(item["clip"])
    rows = sorted(sums.keys() - unreadable)
    if not rows:
        raise UserError(f"{videos.name}: none of its {len(videos.items)} videos can be read")
    pooled = {name: np.stack([sums[row][k] / frames[row] for row in rows]) for k, name in enumerate(names)}
    return np.array(rows, np.int64), pooled


def embed(activations: np.ndarray, seed: int = 0, perplexity: float = PERPLEXITY) -> np.ndarray:
    """t-SNE of (V, C) activations, (V, 2), each channel brought to mean 0 and deviation 1 first.

    A perplexity that V is too small for is lowered to V / 4. ValueError for fewer than 4 videos.
    """
    (manifold,) = import_extra("sklearn.manifold")
    count = len(activations)
    if count < 4:
        raise UserError(f"t-SNE of {count} videos; it needs 4 or more")
    scaled = activations - activations.mean(0)
    scaled /= np.maximum(scaled.std(0), 1e-6)
    method = manifold.TSNE(perplexity=min(perplexity, count / 4), init="pca", random_state=seed)
    return method.fit_transform(scaled.astype(np.float32))


def draw_grid(path: Path, points: Mapping[str, np.ndarray], groups: Sequence[str]) -> None:
    """Write a picture with a panel for each endpoint of `points` {endpoint: (V, 2)}; colours by `groups` (V,)."""
    names = sorted(set(groups))
    columns = min(COLUMNS, len(points))
    rows = -(-len(points) // columns)
    figure = new_figure(4 * columns, 4 * rows + 0.6)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    groups_of = np.array(groups)
    for axis, (endpoint, xy) in zip(axes, points.items(), strict=False):
        for number, name in enumerate(names):
            chosen = xy[groups_of == name]
            colour = np.array(class_colour(number)) / 255
            axis.scatter(*chosen.T, s=10, color=colour, label=name)
        axis.set_title(endpoint)
        axis.set_xticks([])
        axis.set_yticks([])
    for axis in axes[len(points) :]:
        axis.set_axis_off()
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=6, fontsize="small")
    save_figure(figure, path)


def save_points(path: Path, points: Mapping[str, np.ndarray], names: Sequence[str], groups: Sequence[str]) -> None:
    """Write `videos`, `groups` and an array (V, 2) under each endpoint's name as an .npz."""
    with atomic_file(path) as file:
        np.savez_compressed(file, videos=np.array(names, str), groups=np.array(groups, str), **points)
