"""The detector on the built-in set: RGB, flow and both, for several networks and seeds."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from detect.config import load_cfg
from detect.d2 import CfgNode
from detect.data.catalog import load_action_dataset, set_datasets_root
from detect.evaluation import evaluate_frame_ap, preset
from detect.evaluation.files.formats import find_table, read_detections
from detect.evaluation.fusion import fuse
from detect.evaluation.tables import GroundTruth
from detect.tasks.extract_flow import extract_flow
from detect.tasks.runs import finish_run, mean_and_spread, network_table
from detect.tasks.splits import tested
from detect.utils.files import write_json, write_text
from detect.utils.provenance import code_version
from detect.video.flow_extraction import FlowSettings

NETWORKS = ("s3dg", "i3d")
STREAMS = {"RGB": ("rgb",), "flow": ("flow",), "RGB + flow": ("rgb", "flow")}
LATE = "RGB, flow fused late"


def gather_stream_evidence(
    config_file: str, opts: Sequence[Any], networks: Sequence[str] = NETWORKS, seeds: Sequence[int] = (0, 1, 2)
) -> dict[str, dict[str, Any]]:
    """Train and test each network with each of `STREAMS` and each seed in OUTPUT_DIR/<network>_<streams>_seed<n>,
    finished ones not again; the flow, by DIS, is computed first where it is not there yet.

    Returns {network: {column: `mean_and_spread` of frame-mAP}}; writes OUTPUT_DIR/results.json and table.md.
    """
    cfg = load_cfg(config_file, opts)
    output, runs = Path(cfg.OUTPUT_DIR), {}
    compute_flow(cfg)
    for seed in seeds:
        for network in networks:
            for column, streams in STREAMS.items():
                changed = [*opts, "MODEL.CONTEXT.NAME", network, "MODEL.STREAMS", streams, "SEED", seed]
                folder = output / f"{network}_{'_'.join(streams)}_seed{seed}"
                runs[network, column, seed] = finish_run(config_file, changed, folder, tested)["frame_map"]
            runs[network, LATE, seed] = late_fusion(cfg, output, network, seed)
    found = {
        network: {
            column: mean_and_spread([runs[network, column, seed] for seed in seeds]) for column in (*STREAMS, LATE)
        }
        for network in networks
    }
    write_json(output / "results.json", {"seeds": list(seeds), "networks": found, **code_version()})
    write_text(output / "table.md", f"{stream_table(found)}\n")
    return found


def compute_flow(cfg: CfgNode) -> None:
    """DIS flow of every video of the sets that has none, beside the videos."""
    set_datasets_root(cfg.DATASETS.ROOT)
    for name in (*cfg.DATASETS.TRAIN, *cfg.DATASETS.TEST):
        video = load_action_dataset(name).videos[0]
        up = len(Path(video.name).parts)
        extract_flow(Path(video.path).parents[up - 1], Path(video.flow).parents[up - 1], FlowSettings("dis"), workers=2)


def late_fusion(cfg: CfgNode, output: Path, network: str, seed: int) -> float:
    """Frame-mAP of the detections of the RGB and the flow detector, fused as tools/fuse_detections.py does."""
    (name,) = cfg.DATASETS.TEST
    folders = (output / f"{network}_{stream}_seed{seed}" / "evaluation" / name for stream in ("rgb", "flow"))
    tables, names = read_detections([find_table(folder, "detections") for folder in folders])
    dataset = load_action_dataset(name)
    number = {video: index for index, video in enumerate(names)}
    table = dataset.ground_truth_table()
    videos = [number.setdefault(dataset.videos[v].name, len(number)) for v in table["video"]]
    truth = GroundTruth(videos, table["frame"], table["label"], table["boxes"])
    return evaluate_frame_ap(truth, fuse(tables), len(dataset.classes), preset(cfg.TEST.PRESET)).mean


def stream_table(found: dict[str, dict[str, Any]]) -> str:
    """A row for each network: frame-mAP in per cent, mean and standard deviation over seeds."""
    return network_table(found, (*STREAMS, LATE))
