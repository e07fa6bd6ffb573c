"""MODEL.BACKBONE.WEIGHTS into the keyframe's trunk and, from a file of a whole detector, into its proposal network."""

import functools
import logging

import numpy as np
from torch import Tensor, nn

from backbones.report import LoadReport
from backbones.resnet import ResNetTrunk
from backbones.resnet_importers import Convention, import_resnet, to_tensor
from detect.config_node import ConfigError
from detect.d2 import CfgNode
from detect.modeling.rpn import cell_anchors
from detect.utils.checkpoint_files import CheckpointError, read_arrays

RPN = "proposal_generator.rpn_head."
CELL_ANCHORS = "proposal_generator.anchor_generator.cell_anchors.0"  # in Detectron2's files of 2019
C4_SIZES, C4_ASPECT_RATIOS = (32, 64, 128, 256, 512), (0.5, 1.0, 2.0)  # Detectron2's defaults, 15 anchors
PIXEL_TOLERANCE = 0.01  # Detectron2's files hold 103.53 in single precision
ANCHOR_TOLERANCE = 0.01  # pixels

logger = logging.getLogger(__name__)


def load_keyframe_weights(cfg: CfgNode, trunk: ResNetTrunk, proposal_generator: nn.Module) -> None:
    """Load the file `cfg.MODEL.BACKBONE.WEIGHTS`: all that fits is checked first, so nothing is loaded by halves.

    The file: a state dict of torchvision's ResNet (.pth), Detectron2's R-50.pkl, or one of its detectors (.pkl, .pth),
    whose region proposal network is loaded too if it stands on res4 and ours has Detectron2's parameters.
    CheckpointError with the report if the file does not fit the networks; ConfigError with the lines to set if the
    file's network was trained with another stride placement, normalisation or other anchors than `cfg` says.
    """
    path = cfg.MODEL.BACKBONE.WEIGHTS
    arrays, author = read_arrays(path)
    try:
        state, report, convention = import_resnet(arrays, cfg.MODEL.RESNETS.DEPTH, author)
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}; see MODEL.BACKBONE.WEIGHTS") from None
    rpn_state: dict[str, Tensor] = {}
    has_rpn = "backbone.stem.conv1.weight" in arrays and any(name.startswith(RPN) for name in arrays)
    if has_rpn and cfg.MODEL.PROPOSAL_GENERATOR.NAME in ("KeyframeRPN", "RPN"):  # of the same parameters
        rpn_state = import_rpn_head(arrays, proposal_generator.rpn_head, cfg, report)
    if not report.ok:
        raise CheckpointError(
            f"{path} does not fit the keyframe network; nothing was loaded:\n{report.text()}\n"
            f"check MODEL.BACKBONE.WEIGHTS and MODEL.RESNETS.DEPTH (now {cfg.MODEL.RESNETS.DEPTH})"
        )
    check_convention(cfg, convention)
    trunk.load_imagenet(state)
    if rpn_state:
        proposal_generator.rpn_head.load_state_dict(rpn_state)
    logger.info("keyframe weights of %s:\n%s", path, report.text())


def import_rpn_head(
    arrays: dict[str, np.ndarray | Tensor], head: nn.Module, cfg: CfgNode, report: LoadReport
) -> dict[str, Tensor]:
    """State dict of the proposal head: of objectness and deltas the rows of the configured anchors.

    Adds to `report`; the state is of use only if that stays `ok`.  ConfigError if the file lacks a configured anchor.
    """
    wanted = head.state_dict()
    if missing := [RPN + name for name in wanted if RPN + name not in arrays]:
        report.missing += missing
        return {}
    count = len(arrays[f"{RPN}objectness_logits.bias"])
    rows = anchor_rows(arrays, count, cfg)
    state: dict[str, Tensor] = {}
    for name, like in wanted.items():
        value = to_tensor(arrays[RPN + name])
        outputs = len(like) if name.startswith("conv.") else len(like) // len(rows) * count
        if value.shape != (outputs, *like.shape[1:]):
            report.wrong_shape.append(f"{RPN}{name}: {tuple(value.shape)}, not {(outputs, *like.shape[1:])}")
            continue
        if not name.startswith("conv."):  # anchor by anchor, of the deltas four each
            value = value.unflatten(0, (count, -1))[rows].flatten(0, 1)
        state[name] = value
        report.used.append(RPN + name)
        report.ignored.remove(RPN + name)  # the trunk had no use for it
    return state


def anchor_rows(arrays: dict[str, np.ndarray | Tensor], count: int, cfg: CfgNode) -> list[int]:
    """For each anchor of the config its number among the `count` of the file.

    Those are in the file, or, of 15, Detectron2's defaults; of as many as the config has, they are taken for its own.
    """
    options = cfg.MODEL.ANCHOR_GENERATOR
    sizes, ratios = list(options.SIZES[0]), list(options.ASPECT_RATIOS[0])
    wanted = cell_anchors(sizes, ratios)
    if CELL_ANCHORS in arrays:
        given = to_tensor(arrays[CELL_ANCHORS])
    elif count == len(C4_SIZES) * len(C4_ASPECT_RATIOS):
        given = cell_anchors(C4_SIZES, C4_ASPECT_RATIOS)
    elif count == len(wanted):
        given = wanted
    else:
        raise ConfigError(
            f"{cfg.MODEL.BACKBONE.WEIGHTS} has {count} anchors a cell and does not say which; the config has "
            f"{len(wanted)}: set MODEL.ANCHOR_GENERATOR.SIZES ({sizes}) and ASPECT_RATIOS ({ratios}) as it was trained"
        )
    distance = (wanted[:, None] - given).abs().amax(2)  # (anchors of the config, of the file), pixels
    if bool((distance.amin(1) < ANCHOR_TOLERANCE).all()):
        return distance.argmin(1).tolist()
    width, height = (given[:, 2:] - given[:, :2]).double().unbind(1)
    file_sizes, file_ratios = (
        sorted({round(v, 2) for v in values.tolist()}) for values in ((width * height).sqrt(), height / width)
    )
    raise ConfigError(
        f"{cfg.MODEL.BACKBONE.WEIGHTS} has anchors of the sizes {file_sizes} and aspect ratios {file_ratios}; "
        f"MODEL.ANCHOR_GENERATOR.SIZES is [{sizes}], ASPECT_RATIOS [{ratios}]: choose among the file's, or remove "
        f"its {RPN}* to load the trunk alone"
    )


def check_convention(cfg: CfgNode, convention: Convention) -> None:
    """ConfigError with every line to set, if the file's network was trained otherwise than `cfg` runs it."""
    wanted = {
        "INPUT.FORMAT": convention.input_format,
        "MODEL.PIXEL_MEAN": list(convention.pixel_mean),
        "MODEL.PIXEL_STD": list(convention.pixel_std),
    }
    if cfg.MODEL.RESNETS.DEPTH >= 50:  # with bottlenecks
        wanted["MODEL.RESNETS.STRIDE_IN_1X1"] = convention.stride_in_1x1
    if convention.folded:
        wanted["MODEL.RESNETS.NORM"] = "FrozenBN"
    wrong = {}
    for key, value in wanted.items():
        configured = functools.reduce(getattr, key.split("."), cfg)
        if isinstance(value, list):
            same = len(value) == len(configured) and np.allclose(value, configured, rtol=0, atol=PIXEL_TOLERANCE)
        else:
            same = value == configured
        if not same:
            wrong[key] = value
    if wrong:
        lines = " ".join(f'{key} "{value}"' for key, value in wrong.items())
        raise ConfigError(
            f"{cfg.MODEL.BACKBONE.WEIGHTS} is of a network that was trained otherwise than the config runs it; set\n"
            f"    {lines}\n(arrays pixel_mean and pixel_std in the file, where there are any, decide)"
        )
