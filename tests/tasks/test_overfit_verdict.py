"""From numbers to a reason: each has its case, and none is given without its numbers."""

import math
from dataclasses import replace

import pytest

from detect.evaluation.overfit_measures import Measures
from detect.tasks.overfit_verdict import RATES, Circumstances, FailedTraining, Learned, reason

FELL = [3.0] * 10 + [0.5] * 90  # small in the end: no rate is tried
BAD = Measures(0.3, 0.4, 1.0, 0.5, 0.7)
ABOUT = Circumstances(0.01, 0.8, (16, 40), (), ("run", "jump"), see="see the clips: ...")


def found(learned, about=ABOUT, trials=None):
    """The reason, with `trials`: {learning rate, or "BN", or None for the config as it is: final loss or score}."""
    asked = []

    def trial(opts, whole):
        key = None if not opts else "BN" if "BN" in opts else round(opts[1], 12)
        asked.append(key)
        value = trials[key]
        if whole:
            return Learned([1.0], [replace(BAD, frame_map=value)])
        return Learned([], not_finite="nan") if value == math.inf else Learned([value] * 5)

    finding = reason(FailedTraining(learned, about, trial))
    assert asked or trials is None
    return finding


def rates(now, **others):
    by_factor = {f"{factor:g}": now for factor in RATES} | others
    return {None: now, **{round(0.01 * float(factor), 12): loss for factor, loss in by_factor.items()}}


def test_reached():
    assert Learned([1.0], [replace(BAD, frame_map=0.9995)]).reached
    assert not Learned([1.0], [BAD]).reached and not Learned().reached


def test_a_loss_that_is_not_finite():
    finding = found(Learned([1.0], [], "not finite at iteration 3: loss_cls = nan"))
    assert finding.reason == "learning rate: the loss is not finite" and "iteration 3" in finding.evidence
    assert finding.next_step == "lower SOLVER.BASE_LR, 0.01, ten times"


def test_anchors_that_do_not_fit():
    learned = Learned(FELL, [replace(BAD, recall=0.5)])
    finding = found(learned, replace(ABOUT, anchor=0.1))
    assert finding.reason == "the RPN finds little: no anchor fits the boxes"
    assert finding.evidence == "50% of the boxes are proposed; IoU with the anchor of the best shape 0.10"
    assert "MODEL.ANCHOR_GENERATOR.SIZES to [[16, 40]]" in finding.next_step
    finding = found(learned)  # they fit
    assert finding.reason == "the RPN finds little" and "POST_NMS_TOPK_TEST" in finding.next_step


@pytest.mark.parametrize("momentum, step", [(0.001, "bn_momentum to 0.1"), (0.1, "raise SOLVER.MAX_ITER")])
def test_running_statistics_that_lag(momentum, step):
    finding = found(Learned(FELL, [BAD], refreshed=replace(BAD, frame_map=0.95), momentum=momentum))
    assert finding.reason.startswith("batch normalisation: its running statistics lag") and step in finding.next_step
    assert "0.300, and 0.950" in finding.evidence
    finding = found(Learned(FELL, [BAD], refreshed=replace(BAD, frame_map=0.4), momentum=momentum))
    assert "batch normalisation" not in finding.reason  # hardly better


def test_frozen_random_statistics_are_blamed_only_if_others_do_better():
    about = replace(ABOUT, frozen=("MODEL.RESNETS.NORM",))
    finding = found(Learned(FELL, [BAD]), about, {"BN": 1.0})
    assert finding.reason == "frozen batch normalisation with random statistics"
    assert finding.evidence == "frame-mAP@0.5 0.300, with BN 1.000"
    assert "frozen" not in found(Learned(FELL, [BAD]), about, {"BN": 0.35}).reason


def test_the_learning_rate_by_trial():
    flat = Learned([3.0] * 100, [BAD])
    low = found(flat, trials=rates(3.0, **{"100": 0.7, "10": 2.0}))
    assert low.reason == "learning rate: SOLVER.BASE_LR 0.01 is too low" and low.next_step == "set SOLVER.BASE_LR to 1"
    assert "the loss is 3 with 0.01" in low.evidence and "0.7 with 1" in low.evidence
    high = found(flat, trials=rates(3.0, **{"0.1": 0.5, "10": math.inf, "100": math.inf}))
    assert high.reason.endswith("is too high") and high.next_step == "set SOLVER.BASE_LR to 0.001"
    neither = found(flat, trials=rates(3.0))
    assert neither.reason == "the loss does not fall, at any rate" and neither.next_step == "see the clips: ..."


def test_a_loss_that_rises_needs_no_trial():
    finding = found(Learned([2.0] + [900.0] * 99, [BAD]))
    assert finding.reason.endswith("too high") and finding.evidence == "the first loss is 2, the median of all 900"


def test_a_loss_that_still_falls():
    falling = Learned([3.0 * 0.99**step for step in range(100)], [BAD])
    finding = found(falling, trials=rates(1.0))
    assert finding.reason == "learning rate or steps: the loss still falls at the last step"
    assert found(falling, trials=rates(1.0, **{"10": 0.2})).reason.endswith("is too low")


def test_a_loss_that_is_small_is_not_blamed():
    """Where proposals are dropped, the loss falls to nothing and the score stays at 0."""
    learned = Learned([3.0 * 0.95**step for step in range(100)], [replace(BAD, recall=0.0)])
    assert found(learned).reason == "the RPN finds little"


def test_two_labels_at_once():
    finding = found(Learned(FELL, [BAD]), replace(ABOUT, clashes=("run at v frame 3 and jump at v frame 3",)))
    assert finding.reason == "labels contradict each other: an actor has two at once"
    assert "1 in these clips, such as run at v frame 3" in finding.evidence


def test_places_and_labels():
    off = found(Learned(FELL, [Measures(0.2, 0.95, 1.0, 0.6, 0.35)]))
    assert off.reason == "boxes are off: labels fit and places do not" and "mean IoU 0.35" in off.evidence
    mixed = found(Learned(FELL, [Measures(0.2, 0.3, 1.0, 0.25, 0.9, ((0, 1), (0, 1), (1, 0)))]))
    assert mixed.reason == "labels do not follow from what is seen"
    assert "25% get their label; run is taken for jump 2 times" in mixed.evidence


def test_no_reason_is_made_up():
    finding = found(Learned(FELL, [BAD]))
    assert finding.reason == "no single reason shows" and finding.evidence == BAD.line()
