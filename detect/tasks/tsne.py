"""What tools/tsne.py does: the activations of a checkpoint for a set, embedded and drawn."""

from collections.abc import Sequence
from pathlib import Path

from detect.analysis.tsne import draw_grid, embed, pooled_endpoints, save_points
from detect.classification.class_table import check_known, read_class_table
from detect.classification.records import VideoSet
from detect.config import check_read
from detect.data.catalog import set_datasets_root
from detect.engine.checkpoint import load_cfg_and_checkpoint
from detect.tasks.classification import CLASSIFICATION, evaluation_batches
from detect.tasks.runner import load_evaluated
from detect.utils.errors import UserError
from detect.utils.plots import import_extra

NO_GROUP = "other"


def draw_tsne(
    config_file: str,
    opts: Sequence,
    weights: str,
    endpoints: Sequence[str],
    groups_file: str | None,
    output: Path,
    perplexity: float,
) -> None:
    """Write `output` (.png) and the coordinates beside it (.npz) for the one set of DATASETS.TEST.

    config_file, opts, weights: as for `detect.tasks.runner.run`. Colours are classes, or their groups in `groups_file`,
    lines `class group`; classes that it leaves out are "other".
    """
    cfg, contents = load_cfg_and_checkpoint(config_file, opts, weights)
    check_read(cfg, CLASSIFICATION.reader)
    set_datasets_root(cfg.DATASETS.ROOT)
    if len(cfg.DATASETS.TEST) > 1:
        raise UserError(f"DATASETS.TEST is {cfg.DATASETS.TEST}; give one set")
    if output.suffix != ".png":
        raise UserError(f"--output {output}: the picture is a .png")
    import_extra("sklearn.manifold", "matplotlib")  # before the hours, not after
    model, videos, _ = load_evaluated(CLASSIFICATION, cfg, contents)
    group_of = _groups(videos, groups_file)
    rows, pooled = pooled_endpoints(model, evaluation_batches(cfg, videos, 1), videos, endpoints)
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
