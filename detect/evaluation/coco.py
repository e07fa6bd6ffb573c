"""COCO-style box scores of frames, by pycocotools (20 s and 1.5 GiB a million detections)."""

import contextlib
import io

import numpy as np

from detect.evaluation.tables import Detections, GroundTruth

MAX_DETECTIONS = 100  # per frame and class, COCO's own limit


def coco_scores(gt: GroundTruth, det: Detections, frames: str = "all") -> dict[str, float]:
    """{"AP50", "AP50:95", "AR"} in [0, 1], means over the classes with ground truth; nan without any.

    COCO's rules: 101-point envelope, best free ground truth, thresholds .50:.05:.95, at most 100 detections per
    frame and class (AR is at 100), boxes of every size. `frames` as in FrameAPOptions.
    """
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    if not len(gt):
        return dict.fromkeys(("AP50", "AP50:95", "AR"), float("nan"))
    image_of_gt, image_of_det, num_images = _images(gt, det)
    rows = np.arange(len(det))
    if frames == "annotated":
        rows = rows[np.isin(image_of_det, image_of_gt)]
    if not len(rows):
        return dict.fromkeys(("AP50", "AP50:95", "AR"), 0.0)

    size = gt.boxes[:, 2:] - gt.boxes[:, :2]
    columns = (image_of_gt, gt.label, np.hstack([gt.boxes[:, :2], size]), size.prod(axis=1))
    # Ids from 1: pycocotools reads a match with annotation 0 as no match.
    annotations = [
        {"id": i, "image_id": image, "category_id": label, "bbox": box, "area": area, "iscrowd": 0}
        for i, (image, label, box, area) in enumerate(zip(*(c.tolist() for c in columns), strict=True), start=1)
    ]
    boxes = det.boxes[rows].astype(np.float64)
    found = np.column_stack(
        [image_of_det[rows], boxes[:, :2], boxes[:, 2:] - boxes[:, :2], det.score[rows], det.label[rows]]
    )
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {
            "images": [{"id": i} for i in range(num_images)],
            "annotations": annotations,
            "categories": [{"id": i} for i in np.unique(np.r_[gt.label, det.label]).tolist()],
            "info": {},
        }
        truth.createIndex()
        run = COCOeval(truth, truth.loadRes(found), "bbox")
        run.params.areaRng, run.params.areaRngLbl = [[0, 1e10]], ["all"]
        run.params.maxDets = [MAX_DETECTIONS]
        run.evaluate()
        run.accumulate()
    precision, recall = run.eval["precision"], run.eval["recall"]  # (T, R, K, 1, 1), (T, K, 1, 1); -1: no truth
    return {"AP50": _mean(precision[0]), "AP50:95": _mean(precision), "AR": _mean(recall)}


def _mean(values: np.ndarray) -> float:
    return float(values[values > -1].mean())


def _images(gt: GroundTruth, det: Detections) -> tuple[np.ndarray, np.ndarray, int]:
    """Image numbers of both tables' rows, from 0, and how many there are."""
    pairs = np.stack([np.r_[gt.video, det.video], np.r_[gt.frame, det.frame]], axis=1)
    unique, number = np.unique(pairs, axis=0, return_inverse=True)
    number = number.reshape(-1)  # numpy 2.0 gives it two dimensions
    return number[: len(gt)], number[len(gt) :], len(unique)
