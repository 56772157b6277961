"""The result of the check of a suggestion by short trainings."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lrwidget.curve.outcomes import compared
from lrwidget.curve.verdict import (
    allowed_range,
    final_suggestion,
    lane_results,
    unchecked_suggestion,
    unusable_validation,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lrwidget.curve.lr_curve import LRCurve
    from lrwidget.curve.outcomes import Outcome
    from lrwidget.curve.training_curve import TrainingCurve

# A lane is a short training, and a sweep is the range test before the lanes.
_ROUNDING = 1e-9


class Tuning(NamedTuple):
    """The constants of the lanes and of the allowed rates; `verification` has ``L``."""

    lanes: int = 5
    apart: float = 0.5  # decades between two lanes
    part: int = 10  # steps of the real training for each step of a lane
    fewest: int = 60  # steps of a lane
    most: int = 300  # steps of a lane
    usual: int = 100  # steps of a lane, if those of the real training are not known
    below: float = 0.8  # decades from the best to the lowest allowed rate, if L is 1
    above: float = 0.2  # decades from the best to the highest allowed rate, if L is 1
    width: float = 0.3  # standard deviation, in decades, of the kernel over the lanes
    beyond: float = 0.25  # decades above the top lane; further up nothing is learned
    step: float = 0.05  # decades between two places of the smoothed losses


TUNING = Tuning()


@dataclass(frozen=True, eq=False)
class Verification:
    """
    The suggestion of a range test, checked by short trainings.

    Attributes
    ----------
    lr:
        Suggested learning rate; None if neither the range test nor the trainings
        suggest one.
    low, high:
        Ends of the range of rates that the trainings allow; those of the range test
        if the trainings allow no range.
    curve:
        Curve of the range test.
    lanes:
        Short trainings, in increasing order of their rates. A training that did not
        begin has no losses.
    total_steps:
        Optimizer steps of the real training; None if not known.
    verdict:
        Result in words, with its uncertainty.
    checked:
        Whether the trainings allow a range; without one, the rates are those of the
        range test alone.
    """

    lr: float | None
    low: float | None
    high: float | None
    curve: LRCurve
    lanes: list[TrainingCurve]
    total_steps: int | None
    verdict: str
    checked: bool

    def __repr__(self) -> str:
        """Return one short line."""
        lr, low, high = (
            "None" if rate is None else f"{rate:.3g}"
            for rate in (self.lr, self.low, self.high)
        )
        return f"<Verification: lr={lr}, {low} to {high}, {len(self.lanes)} lanes>"


def verification(
    curve: LRCurve,
    lanes: Sequence[TrainingCurve],
    start_loss: float | None = None,
    total_steps: int | None = None,
    tuning: Tuning = TUNING,
) -> Verification:
    """
    Check the suggestion of a sweep by short trainings from the same start.

    The rate of the best lane is a bound, and no suggestion: a longer training needs a
    lower rate. ``L`` is the decimal logarithm of the steps of the real training over
    those of a lane. The rates from 0.8 ``L`` to 0.2 ``L`` decades below the best one
    are allowed, and the suggestion of the sweep is moved into this range.

    Parameters
    ----------
    curve:
        Curve of the sweep.
    lanes:
        Short trainings. The loss of a lane is its mean validation loss, or else the
        mean of the last quarter of its training losses.
    start_loss:
        Validation loss before the first step; None for the mean of the first finite
        training losses of the lowest lane. If it is not finite, training losses are
        compared.
    total_steps:
        Optimizer steps of the real training; None for ten times those of a lane.
    tuning:
        Constants; benchmarks pass other ones than the default.
    """
    lanes = sorted(lanes, key=lambda lane: lane.lr)
    suggestion = curve.suggestion()
    lr, low, high, _ = suggestion
    not_validated = []
    if start_loss is not None and not math.isfinite(start_loss):
        not_validated = [unusable_validation(start_loss)]
    outcomes, start = compared(lanes, start_loss)
    steps = max((lane.num_it for lane in lanes), default=0)
    states = {outcome.state for outcome in outcomes}
    # An unfinished lane has a higher rate, and may be better than all finished ones.
    checked = "close" in states and "unfinished" not in states
    words = [*not_validated, lane_results(outcomes, steps)]
    if checked:
        decades = 1.0
        if total_steps is not None:
            decades = max(math.log10(total_steps / steps), 0.0)
        best = _best_place(outcomes, start, tuning)
        ends = 10.0 ** (best - decades * np.array([tuning.below, tuning.above]))
        lowest = min(curve.lrs[0], lanes[0].lr)  # a test may begin too high
        low, high = np.clip(ends, lowest, curve.lrs[-1]).tolist()
        lr = math.sqrt(low * high) if lr is None else min(max(lr, low), high)
        words.append(allowed_range(low, high, decades, total_steps))
        words.append(final_suggestion(suggestion.lr, lr))
    else:
        words.append(unchecked_suggestion(suggestion))
    verdict = " ".join(words)
    return Verification(lr, low, high, curve, lanes, total_steps, verdict, checked)


def _best_place(outcomes: list[Outcome], start: float, tuning: Tuning) -> float:
    """Return the logarithm of the rate at which the smoothed loss is lowest."""
    places = np.log10([outcome.lane.lr for outcome in outcomes])
    # As high as at the start where it has not fallen.
    losses = np.array(
        [x.loss if x.state in ("close", "worse") else start for x in outcomes]
    )
    margin = 4 * tuning.width
    count = round((places[-1] - places[0] + 2 * margin) / tuning.step) + 1
    grid = np.linspace(places[0] - margin, places[-1] + margin, count)
    heights = np.interp(grid, places, losses)
    top = places[-1] + _ROUNDING
    heights[grid > top + tuning.beyond] = start
    inside = grid[(grid > places[0] - _ROUNDING) & (grid < top)]
    kernel = np.exp(-0.5 * np.square((inside[:, None] - grid) / tuning.width))
    smoothed = (kernel @ heights) / kernel.sum(1)
    # The lowest of the rates whose losses differ by rounding alone.
    lowest = float(smoothed.min())
    return float(inside[np.argmax(smoothed <= lowest + _ROUNDING * (start - lowest))])
