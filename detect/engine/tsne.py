"""What tools/tsne.py does: the activations of a checkpoint for a set, embedded and drawn."""

from collections.abc import Sequence
from pathlib import Path

from detect.classification.class_table import check_known, read_class_table
from detect.classification.clips import TestPlan
from detect.classification.loader import build_test_loader
from detect.classification.model import build_classifier
from detect.classification.records import VideoSet
from detect.classification.tsne import draw_grid, embed, import_plots, pooled_endpoints, save_points
from detect.d2 import CfgNode
from detect.engine.classification import checkpoint_tag, get_videos, load_weights

NO_GROUP = "other"


def draw_tsne(cfg: CfgNode, endpoints: Sequence[str], groups_file: str | None, output: Path, perplexity: float) -> None:
    """Write `output` (.png) and the coordinates beside it (.npz) for the one set of DATASETS.TEST.

    Colours are classes, or their groups in `groups_file`, lines `class group`; classes that it leaves out are "other".
    """
    if len(cfg.DATASETS.TEST) != 1 or not cfg.MODEL.WEIGHTS:
        raise ValueError(
            f"DATASETS.TEST is {cfg.DATASETS.TEST}, MODEL.WEIGHTS {cfg.MODEL.WEIGHTS!r}; give one set and a checkpoint"
        )
    if output.suffix != ".png":
        raise ValueError(f"--output {output}: the picture is a .png")
    import_plots("sklearn.manifold", "matplotlib")  # before the hours, not after
    videos = get_videos(cfg.DATASETS.TEST[0], cfg)
    group_of = _groups(videos, groups_file)
    model = build_classifier(cfg, videos.classes, initial_weights=False)
    load_weights(cfg, model, checkpoint_tag(cfg, videos))
    batches = build_test_loader(videos, TestPlan.from_config(cfg), 1, num_workers=cfg.DATALOADER.NUM_WORKERS)
    rows, pooled = pooled_endpoints(model, batches, videos, endpoints)
    points = {name: embed(values, max(cfg.SEED, 0), perplexity) for name, values in pooled.items()}
    groups = [group_of[row] for row in rows]
    draw_grid(output, points, groups)
    save_points(output.with_suffix(".npz"), points, [videos.items[row].name for row in rows], groups)


def _groups(videos: VideoSet, groups_file: str | None) -> list[str]:
    """A name for each video: its class, or its class's group."""
    table = read_class_table(groups_file) if groups_file else {name: name for name in videos.classes}
    check_known(table, videos.classes, f"the groups of {groups_file}")
    classes = [None if item.label is None else videos.classes[item.label] for item in videos.items]
    return [table.get(name, NO_GROUP) for name in classes]
