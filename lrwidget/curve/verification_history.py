"""The rates and steps of the lanes of a verification, and its history."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lrwidget.curve.checks import invalid, usable_count
from lrwidget.curve.history import JobHistory
from lrwidget.curve.lr_curve import MOST_STEPS, LRCurve
from lrwidget.curve.outcomes import compared
from lrwidget.curve.race_history import training_curves
from lrwidget.curve.training_curve import TrainingCurve
from lrwidget.curve.verification import TUNING, verification

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lrwidget.curve.history import Plan
    from lrwidget.curve.outcomes import Outcome
    from lrwidget.curve.verification import Tuning, Verification

LANES = TUNING.lanes
_ENDS = {
    "completed": "it was completed",
    "diverged": "its loss became unstable",
    "non_finite": "its loss became infinite or NaN",
    "exhausted": "its batches ended",
    "stopped": "it was stopped",
    None: "it has not ended",
}


def lane_rates(curve: LRCurve, tuning: Tuning = TUNING) -> list[float]:
    """
    Return the increasing rates of the lanes after the curve of a sweep.

    The highest one is the rate from which on the sweep is unstable, or else its last
    rate. RuntimeError if the sweep has ended too early to know it.
    """
    top, suggestion = curve.unstable_from, curve.suggestion()
    if top is None:
        if not len(curve) or (
            suggestion.lr is None and curve.stop_reason != "completed"
        ):
            msg = (
                "the range test is too short to tell at which rates to train: "
                f"{_ENDS[curve.stop_reason]}, and {suggestion.reason}; change its "
                "settings, or pass curve=..."
            )
            raise RuntimeError(msg)
        top = float(curve.lrs[-1])
    return [top * 10 ** -(k * tuning.apart) for k in reversed(range(tuning.lanes))]


def lane_steps(total_steps: int | None, tuning: Tuning = TUNING) -> int:
    """Return the number of steps of a lane for that of the real training."""
    if total_steps is None:
        return tuning.usual
    steps = min(max(total_steps // tuning.part, tuning.fewest), tuning.most)
    return min(steps, total_steps)


def is_verifiable(curve: LRCurve) -> bool:
    """Whether the rates of the lanes can be taken from a curve."""
    return curve.suggestion().lr is not None or curve.unstable_from is not None


def check_curve(curve: object) -> None:
    """Raise unless the argument ``curve`` is None, or can be verified."""
    if curve is None:
        return
    if not isinstance(curve, LRCurve):
        problem = "must be an LRCurve; pass that of a range test, or None for a new one"
        raise invalid(curve, "curve", problem, TypeError)
    if not is_verifiable(curve):
        reason = curve.suggestion().reason
        problem = (
            f"suggests no rate ({reason}), and its loss does not rise; pass "
            "the curve of a test with more steps or a higher end_lr, or None for a new "
            "one"
        )
        raise invalid(curve, "curve", problem)


def usable_total(total_steps: object) -> int | None:
    """Return the argument ``total_steps`` as an integer; raise if it is invalid."""
    if total_steps is None:
        return None
    example = "5000, or None if it is not known"
    return usable_count("total_steps", total_steps, example=example, most=MOST_STEPS)


class VerificationHistory(JobHistory):
    """
    The steps of a verification so far: run 0 is the sweep, the others are the lanes.

    The sweep has no steps here if its curve is given. The ``rates`` of the lanes are
    empty until `plan_lanes`, after the sweep.
    """

    def __init__(
        self, plan: Plan | None, curve: LRCurve | None, total_steps: int | None
    ) -> None:
        super().__init__([plan if curve is None else None, *[None] * LANES])
        self.total_steps = total_steps
        self.steps = lane_steps(total_steps)  # of each lane
        self.rates: list[float] = []
        self._given = curve
        if curve is not None:
            self.plan_lanes()
            self.runs[0].stop_reason = "completed"

    @property
    def num_it(self) -> int:
        """The number of steps planned, also of lanes whose rates are not known yet."""
        unknown = [run.plan is None for run in self.runs[1:]]
        return super().num_it + self.steps * sum(unknown)

    def sweep_has_ended(self) -> bool:
        """Whether the sweep has ended by itself, or its curve was given."""
        return self.runs[0].stop_reason not in (None, "stopped")

    @property
    def sweep(self) -> LRCurve:
        """The curve of the sweep so far."""
        return self.runs[0].curve() if self._given is None else self._given

    def plan_lanes(self) -> list[float]:
        """Take the rates of the lanes from the sweep, and return them."""
        self.rates = lane_rates(self.sweep)
        return self.rates

    def curves(self) -> dict[int, TrainingCurve]:
        """Return the lanes that have begun, by the position of their rates."""
        return training_curves(self.runs[1:])

    def outcomes(self, curves: Mapping[int, TrainingCurve]) -> dict[int, Outcome]:
        """Return the results of lanes, by the position of their rates."""
        found, _start = compared([*curves.values()], self._start_loss)
        return dict(zip(curves, found, strict=True))

    def verification(self) -> Verification:
        """Return the result so far; lanes that have not begun have no losses."""
        begun, none = self.curves(), np.array([])
        lanes = [
            begun.get(i, TrainingCurve(rate, none, None, self.steps))
            for i, rate in enumerate(self.rates)
        ]
        return verification(self.sweep, lanes, self._start_loss, self.total_steps)

    @property
    def _start_loss(self) -> float | None:
        """The validation loss before the first step; None if it is not measured."""
        starts = [x for run in self.runs for x in run.validations if not x.iteration]
        return starts[0].loss if starts else None
