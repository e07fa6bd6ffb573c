"""The region proposal network on the keyframe's feature map (Ren et al. 2015), for one feature level.

Interface, parameter names, anchors, matching and losses are Detectron2's `RPN`, so either serves the other's weights.

Naming: N images, A anchors per cell, R = H*W*A anchors, K proposals kept.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import clip_boxes_to_image, nms, remove_small_boxes

from detect.d2 import PROPOSAL_GENERATOR_REGISTRY, Boxes, CfgNode, ImageList, Instances, ShapeSpec, configurable
from detect.modeling.boxes import decode, encode, match, sample, smooth_l1
from detect.utils.errors import UserError


def cell_anchors(sizes: list[float], aspect_ratios: list[float]) -> Tensor:
    """(A, 4) anchors around the origin, size by size; aspect ratio is height / width at area size^2."""
    sides = [(s * r**-0.5 / 2, s * r**0.5 / 2) for s in sizes for r in aspect_ratios]  # half width, half height
    return torch.tensor([[-w, -h, w, h] for w, h in sides])


def grid_anchors(cells: Tensor, height: int, width: int, stride: int) -> Tensor:
    """(height * width * A, 4): the cell anchors at every position, row by row; the first position is (0, 0)."""
    y, x = (torch.arange(n, device=cells.device) for n in (height, width))
    y, x = torch.meshgrid(y, x, indexing="ij")
    shifts = torch.stack([x, y, x, y], -1).reshape(-1, 1, 4).to(cells) * stride
    return (shifts + cells).reshape(-1, 4)


class RPNHead(nn.Module):
    """3x3 convolution, then objectness (A) and box deltas (4A) at every cell."""

    def __init__(self, channels: int, num_anchors: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.objectness_logits = nn.Conv2d(channels, num_anchors, 1)
        self.anchor_deltas = nn.Conv2d(channels, 4 * num_anchors, 1)
        for layer in (self.conv, self.objectness_logits, self.anchor_deltas):
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.bias)

    def forward(self, feature: Tensor) -> tuple[Tensor, Tensor]:
        """(N, C, H, W) -> logits (N, R), deltas (N, R, 4)."""
        hidden = F.relu(self.conv(feature.to(self.conv.weight.dtype))).to(self.objectness_logits.weight.dtype)
        logits = self.objectness_logits(hidden).permute(0, 2, 3, 1).flatten(1)
        deltas = self.anchor_deltas(hidden).permute(0, 2, 3, 1)
        return logits, deltas.reshape(len(deltas), -1, 4)


@PROPOSAL_GENERATOR_REGISTRY.register()
class KeyframeRPN(nn.Module):
    """Proposals for each keyframe, and the two losses that train them."""

    @configurable
    def __init__(
        self,
        *,
        in_feature: str,
        channels: int,
        stride: int,
        sizes: list[float],
        aspect_ratios: list[float],
        iou_thresholds: tuple[float, float],
        batch_size_per_image: int,
        positive_fraction: float,
        bbox_reg_weights: tuple[float, ...],
        smooth_l1_beta: float,
        loss_weight: float,
        bbox_reg_loss_weight: float,
        pre_nms_topk: dict[bool, int],
        post_nms_topk: dict[bool, int],
        nms_thresh: dict[bool, float],
        min_size: float,
        score_thresh: float = 0.0,
    ):
        """pre_nms_topk, post_nms_topk, nms_thresh: {True: in training, False: in inference}.  score_thresh: proposals
        of less objectness (0..1) are dropped in inference, all but the best one.
        """
        super().__init__()
        self.in_feature, self.stride = in_feature, stride
        self.rpn_head = RPNHead(channels, len(sizes) * len(aspect_ratios))
        self.register_buffer("cell_anchors", cell_anchors(sizes, aspect_ratios), persistent=False)
        self.iou_thresholds = iou_thresholds
        self.batch_size_per_image, self.positive_fraction = batch_size_per_image, positive_fraction
        self.bbox_reg_weights, self.smooth_l1_beta = bbox_reg_weights, smooth_l1_beta
        self.loss_weight, self.bbox_reg_loss_weight = loss_weight, bbox_reg_loss_weight
        self.pre_nms_topk, self.post_nms_topk = pre_nms_topk, post_nms_topk
        self.nms_thresh, self.min_size, self.score_thresh = nms_thresh, min_size, score_thresh

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: dict[str, ShapeSpec]) -> dict:
        rpn, anchors = cfg.MODEL.RPN, cfg.MODEL.ANCHOR_GENERATOR
        if len(rpn.IN_FEATURES) != 1 or rpn.IN_FEATURES[0] not in input_shape:
            raise UserError(f"MODEL.RPN.IN_FEATURES is {rpn.IN_FEATURES}; KeyframeRPN takes one of {list(input_shape)}")
        if len(anchors.SIZES) != 1 or len(anchors.ASPECT_RATIOS) != 1:
            raise UserError("MODEL.ANCHOR_GENERATOR.SIZES and ASPECT_RATIOS: one list each, for the one feature map")
        shape = input_shape[rpn.IN_FEATURES[0]]
        return {
            "in_feature": rpn.IN_FEATURES[0],
            "channels": shape.channels,
            "stride": shape.stride,
            "sizes": anchors.SIZES[0],
            "aspect_ratios": anchors.ASPECT_RATIOS[0],
            "iou_thresholds": tuple(rpn.IOU_THRESHOLDS),
            "batch_size_per_image": rpn.BATCH_SIZE_PER_IMAGE,
            "positive_fraction": rpn.POSITIVE_FRACTION,
            "bbox_reg_weights": tuple(rpn.BBOX_REG_WEIGHTS),
            "smooth_l1_beta": rpn.SMOOTH_L1_BETA,
            "loss_weight": rpn.LOSS_WEIGHT,
            "bbox_reg_loss_weight": rpn.BBOX_REG_LOSS_WEIGHT * rpn.LOSS_WEIGHT,
            "pre_nms_topk": {True: rpn.PRE_NMS_TOPK_TRAIN, False: rpn.PRE_NMS_TOPK_TEST},
            "post_nms_topk": {True: rpn.POST_NMS_TOPK_TRAIN, False: rpn.POST_NMS_TOPK_TEST},
            "nms_thresh": {
                True: rpn.NMS_THRESH,
                False: rpn.NMS_THRESH if rpn.NMS_THRESH_TEST is None else rpn.NMS_THRESH_TEST,
            },
            "score_thresh": rpn.SCORE_THRESH_TEST,
            "min_size": cfg.MODEL.PROPOSAL_GENERATOR.MIN_SIZE,
        }

    def forward(
        self, images: ImageList, features: dict[str, Tensor], gt_instances: list[Instances] | None = None
    ) -> tuple[list[Instances], dict[str, Tensor]]:
        """Proposals: one Instances an image with `proposal_boxes` and `objectness_logits`, best first."""
        feature = features[self.in_feature]
        anchors = grid_anchors(self.cell_anchors, *feature.shape[2:], self.stride)  # (R, 4)
        logits, deltas = self.rpn_head(feature)
        losses = self.losses(anchors, logits, deltas, gt_instances) if self.training else {}
        with torch.no_grad():
            proposals = [
                self.select(decode(anchors, d, self.bbox_reg_weights)[:, 0], score, size)
                for d, score, size in zip(deltas.float(), logits.float(), images.image_sizes, strict=True)
            ]
        return proposals, losses

    def select(self, boxes: Tensor, logits: Tensor, image_size: tuple[int, int]) -> Instances:
        """The best boxes of one image after non-maximum suppression."""
        logits, order = logits.topk(min(self.pre_nms_topk[self.training], len(logits)))
        boxes = clip_boxes_to_image(boxes[order], image_size)
        keep = remove_small_boxes(boxes, max(self.min_size, 1e-3))
        boxes, logits = boxes[keep], logits[keep]
        keep = nms(boxes, logits, self.nms_thresh[self.training])[: self.post_nms_topk[self.training]]
        if self.score_thresh and not self.training:
            keep = keep[: max(1, int((logits[keep].sigmoid() >= self.score_thresh).sum()))]
        return Instances(tuple(image_size), proposal_boxes=Boxes(boxes[keep]), objectness_logits=logits[keep])

    def losses(
        self, anchors: Tensor, logits: Tensor, deltas: Tensor, gt_instances: list[Instances]
    ) -> dict[str, Tensor]:
        """Objectness and box losses, each a sum over the sampled anchors over (anchors per image * N)."""
        low, high = self.iou_thresholds
        labels, targets = [], []
        for gt_boxes in (gt.gt_boxes.tensor for gt in gt_instances):
            best, found = match(gt_boxes, anchors, low, high, keep_best=True)
            labels.append(found)
            targets.append(gt_boxes[best] if len(gt_boxes) else anchors)
        labels = torch.stack(labels)  # (N, R)
        chosen, real = sample(labels, self.batch_size_per_image, self.positive_fraction)  # (N, n)
        labels, rows = labels.gather(1, chosen), chosen[..., None].expand(-1, -1, 4)
        loss_cls = F.binary_cross_entropy_with_logits(
            logits.gather(1, chosen), labels.clamp(min=0).to(logits.dtype), real.to(logits.dtype), reduction="sum"
        )
        wanted = encode(
            anchors[chosen].flatten(0, 1), torch.stack(targets).gather(1, rows).flatten(0, 1), self.bbox_reg_weights
        )
        positive = (real & (labels > 0)).flatten()
        loss_box = smooth_l1(deltas.gather(1, rows).flatten(0, 1), wanted, self.smooth_l1_beta, positive)
        normaliser = self.batch_size_per_image * len(logits)
        return {
            "loss_rpn_cls": loss_cls * (self.loss_weight / normaliser),
            "loss_rpn_loc": loss_box * (self.bbox_reg_loss_weight / normaliser),
        }
