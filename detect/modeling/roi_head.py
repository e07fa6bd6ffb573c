"""The region head: pool every proposal from the context features, run the rest of the 3D network, classify and refine.

Naming: R regions, K classes, background is class K.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import clip_boxes_to_image

from backbones.stages import Stages
from detect.d2 import ROI_HEADS_REGISTRY, Boxes, CfgNode, ImageList, Instances, configurable
from detect.modeling.boxes import decode, encode, match, require_finite, sample, smooth_l1
from detect.modeling.results import SelectionRules, select_detections
from detect.modeling.roi_pool3d import roi_pool3d
from detect.utils.comm import mean_of_ranks

IGNORED = -100  # the class of what stands for no region, see `sample`
REGIONS_AT_ONCE = 320  # in inference: at the paper's size 0.7 GB of pooled features; a span has 12 keyframes of 300


@ROI_HEADS_REGISTRY.register()
class ActionROIHead(nn.Module):
    """Proposals of the keyframe and context features in; actions with boxes, or two losses, out."""

    @configurable
    def __init__(
        self,
        *,
        tail: Stages,
        channels: int,
        stride: int,
        num_classes: int,
        pooler_resolution: int,
        sampling_ratio: int,
        max_pool: bool,
        dropout: float,
        batch_size_per_image: int,
        positive_fraction: float,
        iou_threshold: float,
        append_gt: bool,
        bbox_reg_weights: tuple[float, ...],
        smooth_l1_beta: float,
        cls_loss_weight: float,
        bbox_reg_loss_weight: float,
        score_thresh: float,
        nms_thresh: float,
        detections_per_class: int,
        detections_per_image: int,
        surroundings: tuple[float, float] = (1.0, 1.0),
    ):
        """channels: of the tail's output.  max_pool: pool to twice the resolution, then 2 x 2 max.  surroundings: how
        many times as wide and as high as a region what is pooled for it is.
        """
        super().__init__()
        self.tail, self.num_classes = tail, num_classes
        self.pool = roi_pool3d  # an exported graph has another form of it
        self.pooler_resolution, self.sampling_ratio, self.max_pool = pooler_resolution, sampling_ratio, max_pool
        self.scale, self.surroundings = 1.0 / stride, surroundings
        self.dropout = nn.Dropout(dropout)
        self.cls_score = nn.Linear(channels, num_classes + 1)
        self.bbox_pred = nn.Linear(channels, 4 * num_classes)
        nn.init.normal_(self.cls_score.weight, std=0.01)
        nn.init.normal_(self.bbox_pred.weight, std=0.001)
        for layer in (self.cls_score, self.bbox_pred):
            nn.init.zeros_(layer.bias)
        self.batch_size_per_image, self.positive_fraction = batch_size_per_image, positive_fraction
        self.iou_threshold, self.append_gt = iou_threshold, append_gt
        self.bbox_reg_weights, self.smooth_l1_beta = bbox_reg_weights, smooth_l1_beta
        self.cls_loss_weight, self.bbox_reg_loss_weight = cls_loss_weight, bbox_reg_loss_weight
        self.score_thresh, self.nms_thresh = score_thresh, nms_thresh
        self.detections_per_class, self.detections_per_image = detections_per_class, detections_per_image

    @classmethod
    def from_config(cls, cfg: CfgNode, feature_info: dict, tail: Stages) -> dict:
        """feature_info: {"channels", "stride": (time, space)} of the pooled map; tail: the stages after it."""
        heads, box = cfg.MODEL.ROI_HEADS, cfg.MODEL.ROI_BOX_HEAD
        last = list(tail.feature_info.values())[-1] if len(tail) else feature_info
        return {
            "tail": tail,
            "channels": last["channels"],
            "stride": feature_info["stride"][1],
            "num_classes": heads.NUM_CLASSES,
            "pooler_resolution": box.POOLER_RESOLUTION,
            "sampling_ratio": box.POOLER_SAMPLING_RATIO,
            "max_pool": box.MAX_POOL,
            "surroundings": tuple(box.SURROUNDINGS),
            "dropout": box.DROPOUT,
            "batch_size_per_image": heads.BATCH_SIZE_PER_IMAGE,
            "positive_fraction": heads.POSITIVE_FRACTION,
            "iou_threshold": heads.IOU_THRESHOLDS[0],
            "append_gt": heads.PROPOSAL_APPEND_GT,
            "bbox_reg_weights": tuple(box.BBOX_REG_WEIGHTS),
            "smooth_l1_beta": box.SMOOTH_L1_BETA,
            "cls_loss_weight": box.CLS_LOSS_WEIGHT,
            "bbox_reg_loss_weight": box.BBOX_REG_LOSS_WEIGHT,
            "score_thresh": heads.SCORE_THRESH_TEST,
            "nms_thresh": heads.NMS_THRESH_TEST,
            "detections_per_class": cfg.TEST.DETECTIONS_PER_CLASS,
            "detections_per_image": cfg.TEST.DETECTIONS_PER_IMAGE,
        }

    def forward(
        self,
        images: ImageList,
        context: Tensor,
        proposals: list[Instances],
        gt_instances: list[Instances] | None = None,
    ) -> tuple[list[Instances], dict[str, Tensor]]:
        """context: (N, C, T, H, W). Returns (detections, {}) in inference and ([], losses) in training."""
        if self.training:
            proposals = [self.sample_proposals(p, gt) for p, gt in zip(proposals, gt_instances, strict=True)]
            logits, deltas = self.predict(context, [p.proposal_boxes.tensor for p in proposals])
            return [], self.losses(logits, deltas, proposals)
        boxes = [p.proposal_boxes.tensor for p in proposals]
        found = []
        for part in parts(list(map(len, boxes)), REGIONS_AT_ONCE):
            logits, deltas = self.predict(context[part], boxes[part])
            require_finite("region head", logits, deltas)
            counts = [len(b) for b in boxes[part]]
            columns = (boxes[part], logits.split(counts), deltas.split(counts), images.image_sizes[part])
            found += [self.select(*one) for one in zip(*columns, strict=True)]
        return found, {}

    def predict(self, context: Tensor, boxes: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Class logits (R, K+1) and class-specific box deltas (R, 4K) of all regions."""
        if sum(map(len, boxes)) == 0:
            # every parameter stays in the graph: DistributedDataParallel waits for all their gradients
            unused = context.sum() + sum(parameter.sum() for parameter in self.tail.parameters())
            nothing = unused * 0 + context.new_zeros(0, self.cls_score.in_features)
            return self.cls_score(nothing), self.bbox_pred(nothing)
        if self.surroundings != (1.0, 1.0):
            boxes = [grown(of_image, *self.surroundings) for of_image in boxes]
        pooled = self.pool(
            context, boxes, self.pooler_resolution, self.scale, self.sampling_ratio, max_pool=self.max_pool
        )
        features = self.dropout(self.tail(pooled).mean(dim=(2, 3, 4), dtype=self.cls_score.weight.dtype))  # (R, C)
        return self.cls_score(features), self.bbox_pred(features)

    @torch.no_grad()
    def sample_proposals(self, proposals: Instances, gt: Instances) -> Instances:
        """A training sample of one image's proposals, with their classes and the boxes they should become."""
        boxes, gt_boxes = proposals.proposal_boxes.tensor, gt.gt_boxes.tensor
        if self.append_gt:
            boxes = torch.cat([boxes, gt_boxes])
        best, labels = match(gt_boxes, boxes, self.iou_threshold, self.iou_threshold, keep_best=False)
        chosen, real = (found[0] for found in sample(labels[None], self.batch_size_per_image, self.positive_fraction))
        if not boxes.is_cuda:  # there to know how many are real is to wait
            chosen, real = chosen[real], real[real]
        positive = real & (labels[chosen] > 0)
        classes, targets = torch.where(real, self.num_classes, IGNORED), boxes[chosen]
        if len(gt):
            classes = torch.where(positive, gt.gt_classes[best[chosen]], classes)
            targets = torch.where(positive[:, None], gt_boxes[best[chosen]], targets)
        return Instances(
            proposals.image_size, proposal_boxes=Boxes(boxes[chosen]), gt_classes=classes, gt_boxes=Boxes(targets)
        )

    def losses(self, logits: Tensor, deltas: Tensor, sampled: list[Instances]) -> dict[str, Tensor]:
        """Cross-entropy over the sampled regions, and the box loss of the positives over the same count: the mean of
        all processes' counts, so that the mean of their losses is the loss of one process on all images.
        """
        classes = torch.cat([s.gt_classes for s in sampled])
        boxes = torch.cat([s.proposal_boxes.tensor for s in sampled])
        targets = torch.cat([s.gt_boxes.tensor for s in sampled])
        count = mean_of_ranks((classes != IGNORED).sum().float()).clamp(min=1)
        positive = (classes != IGNORED) & (classes < self.num_classes)
        of_class = classes.clamp(0, self.num_classes - 1)[:, None, None].expand(-1, 1, 4)
        chosen = deltas.reshape(len(deltas), self.num_classes, 4).gather(1, of_class)[:, 0]  # (R, 4)
        wanted = encode(boxes, targets, self.bbox_reg_weights)
        loss_cls = F.cross_entropy(logits, classes, ignore_index=IGNORED, reduction="sum")
        loss_box = smooth_l1(chosen, wanted, self.smooth_l1_beta, positive)
        return {
            "loss_cls": loss_cls * (self.cls_loss_weight / count),
            "loss_box_reg": loss_box * (self.bbox_reg_loss_weight / count),
        }

    def select(self, proposals: Tensor, logits: Tensor, deltas: Tensor, image_size: tuple[int, int]) -> Instances:
        """One image's detections after per-class suppression, best first."""
        rules = SelectionRules(
            self.score_thresh, self.nms_thresh, self.detections_per_class, self.detections_per_image
        )
        return select_detections(*self.refined(proposals, logits, deltas, image_size), image_size, rules)

    def refined(
        self, proposals: Tensor, logits: Tensor, deltas: Tensor, image_size: tuple[int, int]
    ) -> tuple[Tensor, Tensor]:
        """Boxes (R, K, 4) inside the image and scores (R, K) of every class."""
        scores = logits.float().softmax(1)[:, :-1]
        return clip_boxes_to_image(decode(proposals, deltas.float(), self.bbox_reg_weights), image_size), scores


def grown(boxes: Tensor, wide: float, high: float) -> Tensor:
    """Boxes (n, 4) about the same centres, `wide` times as wide and `high` times as high; they may leave the image."""
    centre, half = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2
    half = torch.stack([half[:, 0] * wide, half[:, 1] * high], 1)
    return torch.cat([centre - half, centre + half], 1)


def parts(counts: list[int], most: int) -> Iterator[slice]:
    """Runs of images with at most so many regions together; an image is never cut in two."""
    start = 0
    while start < len(counts):
        stop, total = start + 1, counts[start]
        while stop < len(counts) and total + counts[stop] <= most:
            total, stop = total + counts[stop], stop + 1
        yield slice(start, stop)
        start = stop
