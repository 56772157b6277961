"""The rates of a race, and its history."""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from lrwidget.curve.checks import invalid, positive_rate
from lrwidget.curve.history import JobHistory, Plan, Validated
from lrwidget.curve.outcomes import TENTH, compared
from lrwidget.curve.training_curve import TrainingCurve

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lrwidget.curve.history import RunHistory
    from lrwidget.curve.outcomes import Outcome
    from lrwidget.curve.suggestion import Suggestion

_BEYOND = 3.0
_NEAR = 1.1
_EXAMPLE = "pass for example rates=[1e-3, 3e-3, 1e-2]"


def checked_rates(
    rates: object, low: float = 0.0, high: float = math.inf
) -> list[float]:
    """
    Return the rates of a race in increasing order; raise unless they can be used.

    If the range of a chart is given, a rate outside of it is a ValueError, too.
    """
    if isinstance(rates, str) or not isinstance(rates, Iterable):
        problem = f"must be a list of numbers; {_EXAMPLE}"
        raise invalid(rates, "rates", problem, TypeError)
    checked = sorted(positive_rate(f"rates[{i}]", x) for i, x in enumerate(rates))
    if not checked:
        raise invalid(rates, "rates", f"is empty; {_EXAMPLE}")
    for rate, following in pairwise(checked):
        if rate == following:
            raise invalid(rates, "rates", f"holds {rate!r} twice; pass each rate once")
    if not low <= checked[0] <= checked[-1] <= high:
        problem = (
            f"must be from {low!r} to {high!r}, the rates of the widget's tests; make "
            "the widget with a lower start_lr or a higher end_lr"
        )
        raise invalid(checked, "rates", problem)
    return checked


def neighbours(
    suggestion: Suggestion, chosen: float | None, start_lr: float, end_lr: float
) -> list[float]:
    """
    Return increasing rates that are worth a race: a choice and what lies around it.

    The rates are the chosen rate, the suggestion, the ends of its band, and three times
    beyond these. Of two within ten per cent of each other, the one that comes first in
    this list stays. A suggestion without a band has one of three times to both sides.
    Without suggestion and choice there are none.
    """
    centre = chosen if suggestion.lr is None else suggestion.lr
    if centre is None:
        return []
    low = centre / _BEYOND if suggestion.low is None else suggestion.low
    high = centre * _BEYOND if suggestion.high is None else suggestion.high
    wanted = [centre, low, high, low / _BEYOND, high * _BEYOND]
    kept: list[float] = []
    for rate in wanted if chosen is None else [chosen, *wanted]:
        inside = min(max(rate, start_lr), end_lr)
        if all(max(inside, x) > _NEAR * min(inside, x) for x in kept):
            kept.append(inside)
    return sorted(kept)


def race_plans(rates: Sequence[float], steps: int) -> list[Plan]:
    """Return the plan of each training of a race."""
    return [Plan(rate, rate, steps) for rate in rates]


class RaceHistory(JobHistory):
    """The steps of a race so far: trainings of some steps at increasing rates."""

    def __init__(self, rates: Sequence[float], steps: int) -> None:
        super().__init__(race_plans(rates, steps))
        self.rates = rates
        self.steps = steps

    def curves(self) -> dict[int, TrainingCurve]:
        """Return the trainings that have begun, by the position of their rates."""
        return training_curves(self.runs)

    def outcomes(self, curves: Mapping[int, TrainingCurve]) -> dict[int, Outcome]:
        """Return the results of trainings, whose loss is `final_loss`."""
        found, _start = compared([*curves.values()], last=TENTH)
        return dict(zip(curves, found, strict=True))


def training_curves(runs: Sequence[RunHistory]) -> dict[int, TrainingCurve]:
    """Return the trainings at constant rates that have begun, by their positions."""
    curves = {}
    for number, run in enumerate(runs):
        lrs, losses = run.columns()
        if run.plan is None or not (losses or run.stop_reason is not None):
            continue
        # The rate of the first step, since a tensor may have rounded it.
        used = lrs[0] if lrs else run.plan.start_lr
        ends = [x for x in run.validations if x.iteration] or [Validated(0, 0, (), ())]
        curves[number] = TrainingCurve(
            used,
            np.array(losses),
            run.stop_reason,
            run.num_it,
            np.array(ends[-1].losses),
            np.array(ends[-1].samples, float),
        )
    return curves
