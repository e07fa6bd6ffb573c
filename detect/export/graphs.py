"""The detector and its parts as modules of tensors alone, of fixed shapes, that `torch.export` can trace.

    keyframe  keyframe (1, H, W, 3) uint8 -> objectness (A,), deltas (A, 4), and the selected regions
    context   clip (1, T, H, W, 3) uint8, flow (1, T, H, W, 2) uint8 -> context (1, C, T', H', W')
    head      context, regions (R, 4) -> boxes (R, K, 4), scores (R, K)
    whole     clip, flow -> boxes, scores, regions (R, 4), real (R,) bool, objectness (R,)

Naming: A anchors, R regions, K classes. Boxes are x0 y0 x1 y1 in pixels of the input. A graph always gives R regions;
`real` says which of them are some, the first ones, and the rest is 0.
"""

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import clip_boxes_to_image, nms

from backbones.layers import Conv, pad, paddings
from detect.config import ActionCfgNode
from detect.export.facts import PARTS
from detect.modeling import ActionRCNN
from detect.modeling.boxes import decode
from detect.modeling.keyframe import KeyframeResNet
from detect.modeling.roi_head import ActionROIHead
from detect.modeling.roi_pool_matrix import matrix_roi_pool3d
from detect.modeling.rpn import KeyframeRPN, grid_anchors
from detect.utils.errors import UserError


class KeyframePart(nn.Module):
    def __init__(self, model: ActionRCNN, regions: int):
        super().__init__()
        self.model, self.count = model, regions

    def forward(self, keyframe: Tensor) -> tuple[Tensor, ...]:
        logits, deltas, anchors = self.raw(keyframe)
        regions, real, _ = self.select(logits, deltas, anchors, tuple(keyframe.shape[1:3]))
        return logits, deltas, regions, real

    def raw(self, keyframe: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Objectness (A,), deltas (A, 4) and the anchors (A, 4)."""
        rpn = self.model.proposal_generator
        feature = self.model.backbone(self.model.keyframes(keyframe[:, None], [{}]).tensor)[rpn.in_feature]
        anchors = grid_anchors(rpn.cell_anchors, *feature.shape[2:], rpn.stride)
        logits, deltas = rpn.rpn_head(feature)
        return logits[0].float(), deltas[0].float(), anchors

    def select(
        self, logits: Tensor, deltas: Tensor, anchors: Tensor, image_size: tuple[int, int]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """As `KeyframeRPN.select`, of a fixed number: regions (R, 4), which are real (R,), their logits (R,)."""
        rpn = self.model.proposal_generator
        logits, order = logits.topk(min(rpn.pre_nms_topk[False], len(logits)))
        boxes = decode(anchors[order], deltas[order], rpn.bbox_reg_weights)[:, 0]
        boxes = clip_boxes_to_image(boxes, image_size)
        large = ((boxes[:, 2:] - boxes[:, :2]) >= max(rpn.min_size, 1e-3)).all(1)
        # by rank, which has no ties that engines break in ways of their own; small boxes last, where they suppress none
        rank = torch.arange(len(logits), 0, -1, dtype=boxes.dtype)
        kept = nms(boxes, torch.where(large, rank, -rank.flip(0)), rpn.nms_thresh[False])
        # as many as are wanted of however many there are
        place = torch.cat([kept, kept.new_full((self.count,), -1)])[torch.arange(self.count)]
        chosen = place.clamp(min=0)
        logits = logits[chosen]
        real = (place >= 0) & large[chosen]
        if rpn.score_thresh:
            real = real & ((logits.sigmoid() >= rpn.score_thresh) | (torch.arange(self.count) == 0))
        return boxes[chosen] * real[:, None], real, logits * real


class ContextPart(nn.Module):
    def __init__(self, model: ActionRCNN):
        super().__init__()
        self.model = model

    def forward(self, *inputs: Tensor) -> Tensor:
        """clip, or clip and flow."""
        clip, *flow = inputs
        return self.model.context_maps(clip, [{"flow": flow[0][0]} if flow else {}])


class HeadPart(nn.Module):
    def __init__(self, model: ActionRCNN, image_size: tuple[int, int]):
        super().__init__()
        self.model, self.image_size = model, image_size

    def forward(self, context: Tensor, regions: Tensor) -> tuple[Tensor, Tensor]:
        head = self.model.roi_heads
        return head.refined(regions, *head.predict(context, [regions]), self.image_size)


class WholePart(nn.Module):
    def __init__(self, model: ActionRCNN, regions: int, image_size: tuple[int, int]):
        super().__init__()
        self.keyframe, self.context = KeyframePart(model, regions), ContextPart(model)
        self.head = HeadPart(model, image_size)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        clip = inputs[0]
        raw = self.keyframe.raw(clip[:, clip.shape[1] // 2])
        regions, real, objectness = self.keyframe.select(*raw, self.head.image_size)
        boxes, scores = self.head(self.context(*inputs), regions)
        return boxes * real[:, None, None], scores * real[:, None], regions, real, objectness


class PlainConv(Conv):
    """One 3D convolution, which engines place in memory as suits them: the 2D convolutions on views, which are the fast
    way in PyTorch, would be two transpositions each.
    """

    def forward(self, x: Tensor, relu: bool = False) -> Tensor:
        pads = paddings(x, self.kernel_size, self.stride, self.rules)
        if any(before != after for before, after in pads):
            x, pads = pad(x, pads), [(0, 0)] * 3
        y = F.conv3d(x, self.weight, self.bias, self.stride, [before for before, _ in pads])
        return F.relu(y) if relu else y


def plain(module: nn.Module) -> nn.Module:
    """The module, in place, with every `Conv` a `PlainConv`."""
    for child in module.modules():
        if type(child) is Conv:
            child.__class__ = PlainConv  # the same attributes; another forward
    return module


def part_graph(
    model: ActionRCNN, cfg: ActionCfgNode, part: str, *, regions: int
) -> tuple[nn.Module, dict[str, Tensor]]:
    """The graph of one of `PARTS`, of a copy of the model, and random inputs for it by name, in order.

    model: folded for inference, on the CPU.  regions: R.  UserError for a component of other code.
    """
    _require_own(model)
    if part not in PARTS:
        raise UserError(f"the part is {part!r}; choose one of {', '.join(PARTS)}")
    model = plain(copy.deepcopy(model).requires_grad_(False).eval())
    model.roi_heads.pool = matrix_roi_pool3d
    inputs, size = random_inputs(cfg), tuple(cfg.INPUT.SIZE)
    if part == "whole":
        return WholePart(model, regions, size).eval(), inputs
    if part == "keyframe":
        model.context = model.flow = None
        model.roi_heads = nn.Identity()
        return KeyframePart(model, regions).eval(), {"keyframe": inputs["clip"][:, 0]}
    model.backbone = model.proposal_generator = nn.Identity()
    if part == "context":
        model.roi_heads = nn.Identity()
        return ContextPart(model).eval(), inputs
    with torch.no_grad():
        context = model.context_maps(inputs["clip"], [{"flow": inputs["flow"][0]} if "flow" in inputs else {}])
    model.context = model.flow = None
    return HeadPart(model, size).eval(), {"context": context, "regions": random_regions(regions, size)}


def random_inputs(cfg: ActionCfgNode, seed: int = 0) -> dict[str, Tensor]:
    """clip (1, T, H, W, 3) and, where the detector sees it, flow (1, T, H, W, 2), uint8."""
    generator, shape = torch.Generator().manual_seed(seed), (1, cfg.INPUT.NUM_FRAMES, *cfg.INPUT.SIZE)
    channels = {"clip": 3, "flow": 2} if "flow" in cfg.MODEL.STREAMS else {"clip": 3}
    return {n: torch.randint(256, (*shape, c), generator=generator, dtype=torch.uint8) for n, c in channels.items()}


def random_regions(count: int, size: tuple[int, int], seed: int = 0) -> Tensor:
    """(count, 4) boxes in an image of `size` (height, width)."""
    corners = torch.rand(count, 2, 2, generator=torch.Generator().manual_seed(seed)) * torch.tensor(size[::-1])
    return torch.cat([corners.amin(1), corners.amax(1)], 1)


def _require_own(model: nn.Module) -> None:
    own = {"backbone": KeyframeResNet, "proposal_generator": KeyframeRPN, "roi_heads": ActionROIHead}
    if not isinstance(model, ActionRCNN):
        raise UserError(f"the model is a {type(model).__name__}; an ActionRCNN can be exported")
    for name, kind in own.items():
        if type(found := getattr(model, name)) is not kind:
            raise UserError(f"the model's {name} is a {type(found).__name__}; only a {kind.__name__} can be exported")
