"""The classifier: a network of the family, its input scaling and its loss."""

import copy
import logging
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backbones import InceptionNet, Preprocessing, fold_batch_norm
from detect.d2 import CfgNode, get_event_storage
from detect.modeling.boxes import require_finite
from detect.modeling.context import apply_norm, build_network
from detect.modeling.context_weights import load_context_weights
from detect.modeling.cuda_graphs import record
from detect.modeling.precision import inference_dtype, lower_convolutions
from detect.utils.errors import UserError
from detect.video.modality import modality

logger = logging.getLogger(__name__)
FLOW_SCALE = 127.5  # stored flow, 0 .. 255 for -20 .. 20 pixels a frame, becomes -1 .. 1; it has no other encoding


class ActionClassifier(nn.Module):
    """`network` maps (N, C, T, H, W) to (N, K) logits; its own state dict is what a checkpoint holds.

    pixel_mean, pixel_std: one for each of the C channels, of 0 .. 255 values. label_smoothing: share of the target
    that is spread over all classes.
    """

    def __init__(
        self,
        network: nn.Module,
        pixel_mean: Sequence[float],
        pixel_std: Sequence[float],
        label_smoothing: float = 0.0,
    ):
        super().__init__()
        self.network, self.label_smoothing = network, label_smoothing
        self.register_buffer("pixel_mean", torch.tensor(pixel_mean), persistent=False)
        self.register_buffer("pixel_std", torch.tensor(pixel_std), persistent=False)

    def forward(self, batch: list[dict]) -> dict[str, Tensor] | Tensor:
        """batch: dicts with `clip` (T, H, W, C) uint8, of one shape in training, and there `label`.

        {"loss_cls"} in training, else the logits (N, K) in the order of the batch.
        """
        if self.training:
            logits = self.network(self.stack([item["clip"] for item in batch])).float()
            labels = torch.tensor([item["label"] for item in batch], device=logits.device)
            get_event_storage().put_scalar("train_top1", (logits.argmax(1) == labels).float().mean().item())
            return {"loss_cls": F.cross_entropy(logits, labels, label_smoothing=self.label_smoothing)}
        by_shape: dict[tuple, list[int]] = {}
        for place, item in enumerate(batch):
            by_shape.setdefault(tuple(item["clip"].shape), []).append(place)
        logits = [self.network(self.stack([batch[i]["clip"] for i in places])) for places in by_shape.values()]
        order = [place for places in by_shape.values() for place in places]
        return torch.cat(logits).float()[torch.tensor(order).argsort()]

    def stack(self, clips: list[Tensor]) -> Tensor:
        """(N, C, T, H, W) normalised, from uint8 that is moved to the device first."""
        device = self.pixel_mean.device
        stacked = torch.stack([clip.to(device, non_blocking=True) for clip in clips])
        return ((stacked.float() - self.pixel_mean) / self.pixel_std).permute(0, 4, 1, 2, 3)


def build_classifier(cfg: CfgNode, classes: Sequence[str], *, initial_weights: bool) -> ActionClassifier:
    """The classifier of a config for these classes, on MODEL.DEVICE; with MODEL.CONTEXT.WEIGHTS if asked for."""
    options, head = cfg.MODEL.CONTEXT, cfg.MODEL.CLASSIFIER
    channels = modality(cfg.INPUT.MODALITY).channels
    network = build_network(options, num_classes=len(classes), in_channels=channels, dropout=head.DROPOUT)
    network.preprocessing = Preprocessing(*map(tuple, pixel_scale(cfg)), "RGB" if channels == 3 else "XY")
    if initial_weights and options.WEIGHTS:
        load_start_weights(network, options.WEIGHTS, classes)  # may change the normalisation
    apply_norm(network, options)
    if not 0 <= head.LABEL_SMOOTHING < 1:
        raise UserError(f"MODEL.CLASSIFIER.LABEL_SMOOTHING is {head.LABEL_SMOOTHING}; it must be at least 0, below 1")
    wanted = network.preprocessing
    model = ActionClassifier(network, wanted.mean, wanted.std, head.LABEL_SMOOTHING)
    return model.to(cfg.MODEL.DEVICE)


def inference_copy(
    model: ActionClassifier, precision: str = "fp32", graphs: bool = True, compiled: bool = False
) -> ActionClassifier:
    """A copy for inference: normalisation folded into the convolutions, these in `precision`.

    precision, graphs, compiled: as MODEL.PRECISION, CUDA_GRAPHS, COMPILE; see detect.modeling.precision.
    """
    model = copy.deepcopy(model).eval()
    if isinstance(model.network, InceptionNet):
        fold_network(model.network, precision, model.pixel_mean.device)
        graphs = graphs and model.pixel_mean.is_cuda
        if graphs or compiled:
            record(model.network, graphs, compiled)
    return model


def fold_network(network: InceptionNet, precision: str, device: torch.device) -> None:
    """Fold the normalisation of a network for good, its convolutions in `precision` (as MODEL.PRECISION)."""
    require_finite("network", *network.parameters())  # see backbones.convolution: ReLU may make 0 of no number
    lower_convolutions(fold_batch_norm(network).stages, inference_dtype(precision, device))


def pixel_scale(cfg: CfgNode) -> tuple[list[float], list[float]]:
    """Mean and deviation of each channel; UserError if the config's do not have one for each."""
    if cfg.INPUT.MODALITY == "flow":
        return [FLOW_SCALE] * 2, [FLOW_SCALE] * 2
    mean, std = list(cfg.MODEL.CONTEXT.PIXEL_MEAN), list(cfg.MODEL.CONTEXT.PIXEL_STD)
    if len(mean) != 3 or len(std) != 3:
        raise UserError(f"MODEL.CONTEXT.PIXEL_MEAN {mean} and PIXEL_STD {std} must have three values, for R, G and B")
    return mean, std


def load_start_weights(network: InceptionNet, path: str, classes: Sequence[str]) -> None:
    """Start from a checkpoint of the same network; its head too, where it has these classes in this order.

    The input is normalised as the weights want it, unless the config says otherwise than its default: CheckpointError
    then, as for another network.
    """
    default = Preprocessing.default(network.in_channels)
    data = load_context_weights(network, path, adopt=network.preprocessing == default)
    theirs = data.get("tag", {}).get("classes")
    head = {name: value for name, value in data["model"].items() if name.startswith("logits.")}
    own = network.state_dict()
    fits = bool(head) and all(name in own and own[name].shape == value.shape for name, value in head.items())
    if fits and (theirs is None or list(theirs) == list(classes)):
        network.load_state_dict(head, strict=False)
        logger.info("%s: started from it with its head%s", path, "" if theirs else "; it does not name its classes")
        return
    rows = len(next(iter(head.values()))) if head else 0
    why = "other classes" if fits else f"{rows} classes" if rows else "none"
    logger.info("%s: started from it; its head (%s) is replaced by a random one of %d classes", path, why, len(classes))
