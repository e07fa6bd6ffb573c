"""The options of `tools/evaluate.py`, and which of them need others."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from detect.evaluation.frame_ap import FrameAPOptions, preset
from detect.utils.errors import UserError


@dataclass(frozen=True)
class Request:
    """The options of tools/evaluate.py, by the names of its parser; see its help. UserError where they do not fit."""

    detections: Sequence[str] = ()
    dataset: str | None = None
    ground_truth: str | None = None
    truth_format: str | None = None
    truth_options: Sequence[str] = ()
    format: str | None = None
    options: Sequence[str] = ()
    classes_file: str | None = None
    preset_name: str = "voc"
    protocol: str | None = None
    frames: str | None = None
    iou_thresholds: Sequence[float] = (0.5,)
    proposals: str | None = None
    errors: bool = False
    coco: bool = False
    compared: bool = False
    tubes: str | None = None
    link: str | None = None
    switch_cost: float | None = None
    tube_nms: float | None = None
    spatial_only: bool = False
    tubes_output: str | None = None
    pictures: str | None = None
    report_folder: str | None = None
    json_file: str | None = None

    def __post_init__(self) -> None:
        _check_files(self)
        for need, options in NEEDS.items():
            if lacking := [name for name, given in options.items() if given(self) and not need.met(self)]:
                raise UserError(f"{lacking[0]} {need.words}")
        for name, value in (("--trim", self.switch_cost), ("--tube-nms", self.tube_nms)):
            if value is not None and not value >= 0:
                raise UserError(f"{name} is {value:g}; it must be 0 or more")

    @property
    def rules(self) -> list[FrameAPOptions]:
        """The protocol of the boxes at each IoU threshold."""
        changes = {"frames": self.frames} if self.frames else {}
        return [preset(self.preset_name, iou_threshold=value, **changes) for value in self.iou_thresholds]


def _check_files(request: Request) -> None:
    """UserError for no, or too many, files to evaluate."""
    count = len(request.detections)
    if not (count or request.tubes):
        raise UserError("nothing to evaluate: give a file of detections, or --tubes FILE")
    if request.compared and count != 2:
        raise UserError(f"--compare takes two files of detections, not {count}")
    if count > 1 and not request.compared:
        raise UserError(f"{count} files of detections: one is evaluated; --compare puts two side by side")
    if request.link and request.tubes:
        raise UserError("--link makes tubes of detections, --tubes reads them; give one of them")


@dataclass(frozen=True)
class Need:
    """A condition on a request, and the message, after the name of the option, if it is not met."""

    met: Callable[[Request], Any]
    words: str


ONE_FILE = {
    "--protocol": lambda request: request.protocol,
    "--proposals": lambda request: request.proposals,
    "--errors": lambda request: request.errors,
    "--coco": lambda request: request.coco,
    "--link": lambda request: request.link,
    "--report": lambda request: request.report_folder,
    "--pictures": lambda request: request.pictures,
    "--iou with several thresholds": lambda request: len(request.iou_thresholds) > 1,
}
# Without its need an option would silently do nothing.
NEEDS: dict[Need, dict[str, Callable[[Request], Any]]] = {
    Need(lambda request: request.detections, "is about detections; name their file"): {
        **ONE_FILE,
        "--iou": lambda request: tuple(request.iou_thresholds) != (0.5,),
        "--frames": lambda request: request.frames,
        "--format": lambda request: request.format,
        "--option": lambda request: request.options,
    },
    Need(lambda request: not request.compared, "is for one file of detections; leave it or --compare out"): ONE_FILE,
    Need(lambda request: request.ground_truth, "is about the file of --ground-truth; give that"): {
        "--truth-format": lambda request: request.truth_format,
        "--truth-option": lambda request: request.truth_options,
    },
    Need(lambda request: request.link, "trims tubes made of detections; add --link"): {
        "--trim": lambda request: request.switch_cost is not None,
    },
    Need(lambda request: request.tubes or request.link, "is about tubes; add --tubes FILE or --link RULE"): {
        "--tube-nms": lambda request: request.tube_nms is not None,
        "--spatial-only": lambda request: request.spatial_only,
        "--tubes-output": lambda request: request.tubes_output,
    },
}
