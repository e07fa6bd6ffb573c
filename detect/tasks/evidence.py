"""Table 1 of the paper on the synthetic set: networks at equal budget, several seeds, both orders of the frames."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from detect.classification.synthetic import PARTNERS
from detect.config import load_cfg
from detect.d2 import CfgNode
from detect.tasks.arrow_of_time import arrow_of_time
from detect.tasks.runs import finish_run, mean_and_spread, network_table
from detect.utils.files import write_json, write_text
from detect.utils.provenance import code_version

logger = logging.getLogger(__name__)
NETWORKS = ("i2d", "i3d", "s3d", "s3dg", "fast_s3d")
COLUMNS = {  # heading -> where in the result of `compare_orders`
    "top-1": ("top1", "normal"),
    "top-1, reversed": ("top1", "reversed"),
    "reversed, the partner as right": ("top1_as_partner", "reversed"),
    "within a pair": ("within_pair", "normal"),
    "within a pair, reversed": ("within_pair", "reversed"),
    "same answer in both orders": ("same_answer",),
}


def gather_evidence(
    config_file: str, opts: Sequence[Any], networks: Sequence[str] = NETWORKS, seeds: Sequence[int] = (0, 1, 2)
) -> dict[str, dict[str, Any]]:
    """Train and test each network with each seed in OUTPUT_DIR/<network>_seed<n>, finished ones not again.

    Returns {network: {column of `COLUMNS`: `mean_and_spread` over seeds}}; writes OUTPUT_DIR/results.json and table.md.
    """
    output, runs = Path(load_cfg(config_file, opts).OUTPUT_DIR), {}
    for seed in seeds:
        for network in networks:
            changed = [*opts, "MODEL.CONTEXT.NAME", network, "SEED", seed]
            runs[network, seed] = finish_run(config_file, changed, output / f"{network}_seed{seed}", _both_orders)
    found = {
        network: {
            column: mean_and_spread([_at(runs[network, seed], path) for seed in seeds])
            for column, path in COLUMNS.items()
        }
        for network in networks
    }
    write_json(output / "results.json", {"seeds": list(seeds), "networks": found, **code_version()})
    write_text(output / "table.md", f"{evidence_table(found)}\n")
    return found


def _both_orders(cfg: CfgNode) -> dict[str, Any]:
    cfg = cfg.changed(["MODEL.WEIGHTS", str(Path(cfg.OUTPUT_DIR) / "model_final.pth")])
    (result,) = arrow_of_time(cfg, PARTNERS).values()
    return result


def _at(result: dict[str, Any], path: tuple[str, ...]) -> float:
    value: Any = result
    for key in path:
        value = value[key]
    return value


def evidence_table(found: dict[str, dict[str, Any]]) -> str:
    """A row for each network: per cent of the test videos, mean and standard deviation over seeds."""
    return network_table(found, COLUMNS)
