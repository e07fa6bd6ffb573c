"""How time and memory grow with what there is: frames of context, pixels, proposals, videos, detections, hours."""

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from detect.benchmarks import growth_points as points
from detect.benchmarks.alone import Measured, NotMeasuredError, run_alone
from detect.utils.errors import UserError

HUNDRED_MILLION = 100_000_000


class Curve(NamedTuple):
    """title: what is measured; unit: of what grows.  at: the sizes; quick: some for a test.  measure: of
    `growth_points`.
    """

    title: str
    unit: str
    at: tuple[int, ...]
    quick: tuple[int, ...]
    measure: Callable[..., Measured]


DETECTOR = "S3D-G and ResNet-50, one keyframe"
CURVES: dict[str, Curve] = {
    "context": Curve(
        f"{DETECTOR}, 100 proposals, 320 x 400", "frames of context", (8, 16, 32, 48, 64), (4, 8), points.context
    ),
    "training": Curve(
        "its training step, 1 clip, 64 regions", "frames of context", (8, 16, 32, 64), (4, 8), points.training
    ),
    "size": Curve(
        f"{DETECTOR}, 20 frames, 100 proposals", "pixels of a frame", (160, 240, 320, 480, 640), (64, 80),
        points.input_size,
    ),
    "proposals": Curve(
        f"{DETECTOR}, 20 frames, 320 x 400", "proposals", (10, 30, 100, 300, 1000), (5, 10), points.proposals
    ),
    "videos": Curve(
        "reading a set up to its first sample", "videos in a set", (319, 3_194, 31_940, 319_400), (20, 40),
        points.videos,
    ),
    "detections": Curve(
        "frame-mAP of tables in memory", "detections", (1_000_000, 3_000_000, 10_000_000, 30_000_000),
        (20_000, 40_000), points.detections,
    ),
    "stream": Curve(
        "streaming detector, its network sees nothing; 90,000 frames are an hour", "frames of video",
        (1_000, 10_000, 100_000), (50, 100), points.stream,
    ),
}  # fmt: skip


class Grown(NamedTuple):
    """The points of a curve in order, and why there are no more, where one failed."""

    points: tuple[Measured, ...]
    stopped: str = ""


def grow(
    names: Collection[str] = (), *, quick: bool = False, largest: bool = False, annotation: str = ""
) -> Iterator[tuple[str, Grown]]:
    """(name, points) of the curves of `CURVES` with these names, by default all; each point in a process of its own.

    largest: 100 million detections too.  annotation: a pyannot.pkl whose videos are repeated, "" for made ones.
    UserError for an unknown name.
    """
    if unknown := set(names) - CURVES.keys():
        raise UserError(f"there is no curve {', '.join(sorted(unknown))}; the curves are {', '.join(CURVES)}")
    for name, curve in CURVES.items():
        if not names or name in names:
            sizes = curve.quick if quick else curve.at
            more = (HUNDRED_MILLION,) if largest and name == "detections" else ()
            extra = (annotation,) if name == "videos" else ()
            yield name, _measure(curve, [*sizes, *more], quick, extra)


def _measure(curve: Curve, sizes: Sequence[int], quick: bool, extra: tuple) -> Grown:
    found: list[Measured] = []
    for size in sizes:
        try:
            found.append(Measured(*run_alone(curve.measure, size, quick, *extra)))
        except NotMeasuredError as error:
            return Grown(tuple(found), f"stopped at {size:,} {curve.unit}: {error}")
        last = found[-1]
        print(f"{curve.unit} {last.x:,.0f}: {last.seconds:.3f} s, peak {last.peak_gib:.2f} GiB", flush=True)
    return Grown(tuple(found))


def exponent(measured: Sequence[Measured], value: Callable[[Measured], float]) -> float | None:
    """e of value ~ x^e over the last step, 1 for what is linear; None where there is no step or nothing grows."""
    if len(measured) < 2 or min(value(measured[-2]), value(measured[-1])) <= 0:
        return None
    before, last = measured[-2:]
    return math.log(value(last) / value(before)) / math.log(last.x / before.x)


def as_json(curves: Mapping[str, Grown]) -> dict[str, dict]:
    """By name: title, unit, points and why they end."""
    return {
        name: {
            "title": CURVES[name].title,
            "unit": CURVES[name].unit,
            "points": [point._asdict() for point in grown.points],
            "stopped": grown.stopped,
        }
        for name, grown in curves.items()
    }
