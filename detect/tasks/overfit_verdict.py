"""From the numbers of a training on a few clips to what is in the way; no reason is given without its numbers."""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from detect.evaluation.overfit_measures import IOU, LOOSE_IOU, Measures

# "chosen": no measurement is behind the number.
REACHED = 0.999  # frame-mAP: 1, but for rounding
FLAT = 0.8  # of the loss at the start: what stays above it has not fallen; chosen
FALLING = 0.9  # of the loss in the third quarter: what ends below it falls on; chosen
SMALL = 0.25  # of the loss at the start: what ends below it is small, and its rate not to blame; chosen
BETTER = 0.7  # of the loss, or of what lacks in score: a change of the config that comes below it is better; chosen
RATES = (0.01, 0.1, 10.0, 100.0)  # times the learning rate: powers of ten, since each costs a short training; chosen
LOW_RECALL = 0.9  # proposals that cover fewer of so few boxes lack something; chosen
POOR_ANCHOR = 0.5  # in the middle of MODEL.RPN.IOU_THRESHOLDS, 0.3 and 0.7: fewer anchors are positive below; chosen
GOOD = 0.9  # from here on recall, or the score at the loose IoU, is not what lacks; chosen
NEAR = 0.6  # mean IoU: boxes just above the 0.5 that a hit takes are not found for certain; chosen
QUICK = 0.1  # momentum, PyTorch's default: after 40 steps 0.9 ** 40 = 1.5 % of where the statistics began is left
DIVERGED = 10.0  # times the first loss, as the median of all: more than a start that leaps; chosen


class Finding(NamedTuple):
    """A reason, the numbers that it rests on, and what to do."""

    reason: str
    evidence: str
    next_step: str


@dataclass
class Learned:
    """What came of a training on a few clips.

    losses: of each step.  measures: of each look at the score.  not_finite: the message that ended it, or "".
    refreshed: the last look again, after the running statistics of batch normalisation were taken anew from the clips;
    None where that was not tried.  momentum: the least with which they follow the batches.
    """

    losses: list[float] = field(default_factory=list)
    measures: list[Measures] = field(default_factory=list)
    not_finite: str = ""
    refreshed: Measures | None = None
    momentum: float = 1.0

    @property
    def reached(self) -> bool:
        return bool(self.measures) and self.measures[-1].frame_map >= REACHED

    def loss(self, share: float) -> float:
        """Median loss of a tenth of the steps, which begins at this share of them; inf without any."""
        count = max(3, len(self.losses) // 10)
        start = min(int(share * len(self.losses)), max(len(self.losses) - count, 0))
        return float(np.median(self.losses[start : start + count])) if self.losses else math.inf

    def loss_line(self) -> str:
        return f"loss {self.loss(0.0):.3g} in the first steps, {self.loss(1.0):.3g} in the last of {len(self.losses)}"


@dataclass(frozen=True)
class Circumstances:
    """What a verdict needs of the config and the clips.

    rate: SOLVER.BASE_LR.  anchor: median over the boxes of the IoU with the anchor that has the best shape.  sizes:
    anchors that would fit.  frozen: keys of batch normalisation that is frozen at random weights.  clashes: actors of
    the clips that have two labels, in words.  see: how to look at the clips.
    """

    rate: float
    anchor: float
    sizes: Sequence[int]
    frozen: Sequence[str]
    classes: Sequence[str]
    clashes: Sequence[str] = ()
    see: str = "look at the clips"


class FailedTraining(NamedTuple):
    """A training that did not get there. `trial`: from changes of the config, KEY VALUE ..., to what comes of a short
    training with them or, if asked to get there, of a whole one; it takes a while.
    """

    learned: Learned
    about: Circumstances
    trial: Callable[[Sequence, bool], Learned]


def reason(failed: FailedTraining) -> Finding:
    """Why the clips were not learned: the first of PARTS that says so. Trials are made only where they decide."""
    if failed.learned.not_finite:
        step = f"lower SOLVER.BASE_LR, {failed.about.rate:g}, ten times"
        return Finding("learning rate: the loss is not finite", failed.learned.not_finite, step)
    rest = Finding("no single reason shows", failed.learned.measures[-1].line(), failed.about.see)
    return next((finding for part in PARTS for finding in part(failed)), rest)


def _anchors(failed: FailedTraining) -> Iterator[Finding]:
    about, recall = failed.about, failed.learned.measures[-1].recall
    if recall < LOW_RECALL and about.anchor < POOR_ANCHOR:
        step = f"set MODEL.ANCHOR_GENERATOR.SIZES to [{list(about.sizes)}], in pixels of INPUT.SIZE"
        yield Finding("the RPN finds little: no anchor fits the boxes", _recall_line(failed), step)


def _running_statistics(failed: FailedTraining) -> Iterator[Finding]:
    learned, again = failed.learned, failed.learned.refreshed
    last = learned.measures[-1].frame_map
    if again is None or not _is_better(again.frame_map, last):
        return
    evidence = (
        f"frame-mAP@{IOU} {last:.3f}, and {again.frame_map:.3f} with statistics taken anew from the clips; they follow "
        f"{len(learned.losses)} steps with momentum {learned.momentum:g}"
    )
    step = "raise SOLVER.MAX_ITER"
    if learned.momentum < QUICK:
        step = f"set MODEL.CONTEXT.OVERRIDES.bn_momentum to {QUICK}, or start from weights with FrozenBN"
    yield Finding("batch normalisation: its running statistics lag behind the weights", evidence, step)


def _frozen_statistics(failed: FailedTraining) -> Iterator[Finding]:
    if frozen := failed.about.frozen:
        free, last = failed.trial([word for key in frozen for word in (key, "BN")], True), failed.learned.measures[-1]
        if free.measures and _is_better(free.measures[-1].frame_map, last.frame_map):
            evidence = f"frame-mAP@{IOU} {last.frame_map:.3f}, with BN {free.measures[-1].frame_map:.3f}"
            step = f"give weights, or set {' and '.join(frozen)} to BN"
            yield Finding("frozen batch normalisation with random statistics", evidence, step)


def _rate(failed: FailedTraining) -> Iterator[Finding]:
    """The learning rate, by trying others."""
    rate, fell = failed.about.rate, _has_fallen(failed.learned)
    first, typical = failed.learned.losses[0], float(np.median(failed.learned.losses))
    if typical > DIVERGED * first:
        evidence = f"the first loss is {first:.3g}, the median of all {typical:.3g}"
        yield Finding(f"learning rate: SOLVER.BASE_LR {rate:g} is too high", evidence, "lower it ten times")
    if failed.learned.loss(1.0) < SMALL * failed.learned.loss(0.0):  # what lacks then is not in the loss
        return
    now = _end(failed.trial((), False))
    losses = {factor: _end(failed.trial(["SOLVER.BASE_LR", rate * factor], False)) for factor in RATES}
    best = min(losses, key=losses.get)
    numbers = ", ".join(f"{loss:.3g} with {rate * factor:.2g}" for factor, loss in losses.items())
    evidence = f"after as many steps the loss is {now:.3g} with {rate:.2g}, {numbers}"
    if losses[best] < BETTER * now:
        level = "low" if best > 1 else "high"
        step = f"set SOLVER.BASE_LR to {rate * best:.2g}"
        yield Finding(f"learning rate: SOLVER.BASE_LR {rate:g} is too {level}", evidence, step)
    if not fell:
        evidence = f"{failed.learned.loss_line()}; {evidence}"
        yield Finding("the loss does not fall, at any rate", evidence, failed.about.see)


def _twice_labelled(failed: FailedTraining) -> Iterator[Finding]:
    if clashes := failed.about.clashes:
        evidence = f"{len(clashes)} in these clips, such as {clashes[0]}"
        yield Finding("labels contradict each other: an actor has two at once", evidence, "keep one of them")


def _proposals(failed: FailedTraining) -> Iterator[Finding]:
    if failed.learned.measures[-1].recall < LOW_RECALL and not _still_falls(failed.learned):
        step = "raise MODEL.RPN.POST_NMS_TOPK_TEST, lower MODEL.PROPOSAL_GENERATOR.MIN_SIZE, or see whether boxes fit"
        yield Finding("the RPN finds little", _recall_line(failed), step)


def _more_steps(failed: FailedTraining) -> Iterator[Finding]:
    if _still_falls(failed.learned):
        why = "learning rate or steps: the loss still falls at the last step"
        yield Finding(why, failed.learned.loss_line(), "raise SOLVER.BASE_LR, or SOLVER.MAX_ITER")


def _places(failed: FailedTraining) -> Iterator[Finding]:
    last = failed.learned.measures[-1]
    if last.frame_map < GOOD <= last.loose_map and last.overlap < NEAR:
        scores = f"frame-mAP@{LOOSE_IOU} {last.loose_map:.3f}, @{IOU} {last.frame_map:.3f}"
        evidence = f"{scores}; mean IoU {last.overlap:.2f}"
        yield Finding("boxes are off: labels fit and places do not", evidence, failed.about.see)


def _confusions(failed: FailedTraining) -> Iterator[Finding]:
    last = failed.learned.measures[-1]
    if last.confused and last.recall >= GOOD:
        (label, found), times = Counter(last.confused).most_common(1)[0]
        names = failed.about.classes
        most = f"{names[label]} is taken for {names[found]} {times} times"
        evidence = f"{last.recall:.0%} of the boxes are proposed, {last.label_right:.0%} get their label; {most}"
        yield Finding("labels do not follow from what is seen", evidence, failed.about.see)


PARTS = (
    _anchors, _running_statistics, _frozen_statistics, _rate, _twice_labelled, _proposals, _more_steps, _places,
    _confusions,
)  # fmt: skip


def _recall_line(failed: FailedTraining) -> str:
    share = f"{failed.learned.measures[-1].recall:.0%} of the boxes are proposed"
    return f"{share}; IoU with the anchor of the best shape {failed.about.anchor:.2f}"


def _is_better(score: float, than: float) -> bool:
    return 1 - score <= BETTER * (1 - than)


def _end(learned: Learned) -> float:
    return math.inf if learned.not_finite else learned.loss(1.0)


def _has_fallen(learned: Learned) -> bool:
    return learned.loss(1.0) < FLAT * learned.loss(0.0)


def _still_falls(learned: Learned) -> bool:
    """And is not small yet."""
    return SMALL * learned.loss(0.0) < learned.loss(1.0) < FALLING * learned.loss(0.65)
