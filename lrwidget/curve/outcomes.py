"""The results of several short trainings, compared with the best one of them."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

import numpy as np

from lrwidget.curve.standard_error import mean_with_error, weighted_mean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lrwidget.curve.arrays import FloatArray
    from lrwidget.curve.training_curve import TrainingCurve

# A lane is a short training. "close" is the best lane, or not to be told apart from it;
# "nothing" is a lane that learned nothing.
LaneState: TypeAlias = Literal["close", "worse", "unstable", "nothing", "unfinished"]

ERRORS = 2.0  # standard errors; a smaller difference of two lanes tells nothing
_FEWEST = 8  # validation batches; with fewer, training losses are compared
_FIRST = 3  # training losses of which the loss at the start is the mean
QUARTER, TENTH = 4, 10  # parts of the losses whose mean is the loss at the end


class Outcome(NamedTuple):
    """
    The result of a lane, compared with the best one.

    ``above`` is the mean loss above that of the best lane on the same batches, and
    ``error`` its standard error; both are NaN for the best lane, and for a lane that
    cannot be compared with it.
    """

    lane: TrainingCurve
    loss: float  # at the end; NaN without one
    state: LaneState
    above: float = math.nan
    error: float = math.nan


def compared(
    lanes: Sequence[TrainingCurve],
    start_loss: float | None = None,
    *,
    last: int = QUARTER,
) -> tuple[list[Outcome], float]:
    """
    Return the outcome of each lane, and the loss at the start.

    Parameters
    ----------
    lanes:
        Short trainings from the same start on the same batches, in increasing order of
        their rates.
    start_loss:
        Validation loss before the first step; None for the mean of the first finite
        training losses of the lowest lane. If it is not finite, training losses are
        compared.
    last:
        Part of the training losses of which the loss at the end is the mean: 4 for a
        quarter.
    """
    usable = list(lanes)
    if start_loss is not None and not math.isfinite(start_loss):
        none, start_loss = np.array([]), None
        usable = [replace(x, val_losses=none, val_samples=none) for x in lanes]
    start = _start_of(usable) if start_loss is None else start_loss
    found = [_outcome(lane, start, last) for lane in usable]
    learned = [outcome for outcome in found if outcome.state == "close"]
    if learned:
        best = min(learned, key=lambda outcome: outcome.loss).lane
        found = [_beside(outcome, best, last) for outcome in found]
    return found, start


def best_of(outcomes: Sequence[Outcome]) -> Outcome | None:
    """Return the outcome with the lowest loss; None if no lane has learned."""
    learned = [x for x in outcomes if x.state in ("close", "worse")]
    return min(learned, key=lambda outcome: outcome.loss, default=None)


def _outcome(lane: TrainingCurve, start: float, last: int) -> Outcome:
    """Return the result of a lane alone; "close" if it has learned."""
    loss = _end_of(lane, last)
    state: LaneState = "close"
    if lane.stop_reason in ("diverged", "non_finite"):
        state = "unstable"
    elif lane.stop_reason != "completed":
        state = "unfinished"
    elif not math.isfinite(loss):
        state = "unstable"
    elif not loss < start:
        state = "nothing"
    return Outcome(lane, loss, state)


def _beside(outcome: Outcome, best: TrainingCurve, last: int) -> Outcome:
    """Return the outcome of a lane with its difference from the best one."""
    if outcome.lane is best or outcome.state not in ("close", "nothing"):
        return outcome
    above, error = _difference(outcome.lane, best, last)
    worse = outcome.state == "close" and above > ERRORS * error
    state: LaneState = "worse" if worse else outcome.state
    return outcome._replace(state=state, above=above, error=error)


def _start_of(lanes: list[TrainingCurve]) -> float:
    """Return the mean of the first training losses; NaN if there are none."""
    finite = (lane.losses[np.isfinite(lane.losses)] for lane in lanes)
    first = next((losses for losses in finite if len(losses)), np.array([math.nan]))
    return float(first[:_FIRST].mean())


def _end_of(lane: TrainingCurve, last: int) -> float:
    """Return the loss of a lane at its end."""
    if len(lane.val_losses):
        return lane.val_loss
    return float(_last(lane, last).mean()) if len(lane) else math.nan


def _last(lane: TrainingCurve, last: int) -> FloatArray:
    return lane.losses[-max(len(lane) // last, 1) :]


# Infinite or huge losses give NaN without a warning.
@np.errstate(invalid="ignore", over="ignore")
def _difference(
    lane: TrainingCurve, best: TrainingCurve, last: int
) -> tuple[float, float]:
    """Return the mean difference of two lanes and its error; NaN without one."""
    count = len(lane.val_losses)
    if count >= _FEWEST and count == len(best.val_losses):
        return weighted_mean(lane.val_losses - best.val_losses, lane.val_samples)
    own, others = _last(lane, last), _last(best, last)
    count = min(len(own), len(others))
    apart = own[-count:] - others[-count:]
    apart = apart[np.isfinite(apart)]
    return mean_with_error(apart) if len(apart) else (math.nan, math.nan)
