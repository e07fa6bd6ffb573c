"""What `tools/fuse_detections.py` does."""

from collections.abc import Sequence

from detect.evaluation.files.formats import read_detections, write_table
from detect.evaluation.fusion import MIN_IOU, fuse, same_boxes
from detect.utils.errors import UserError


def fuse_detections(
    files: Sequence[str], output: str, *, shares: Sequence[float] | None = None, iou: float = MIN_IOU
) -> None:
    """See tools/fuse_detections.py. UserError for bad input."""
    if len(files) < 2:
        raise UserError(f"{files[0]} alone has nothing to be fused with; give two files or more")
    if shares is not None and len(shares) != len(files):
        raise UserError(f"--shares has {len(shares)} values for {len(files)} files")
    tables, names = read_detections(files)
    same = same_boxes(tables)
    how = "scores averaged, the boxes are the same" if same else f"boxes fused from IoU {iou} up"
    fused = fuse(tables, shares, iou, same)
    write_table(output, fused, names)
    print(f"{' + '.join(str(len(table)) for table in tables)} detections: {how}")
    print(f"{output}: {len(fused)} detections")
