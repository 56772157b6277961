"""The events of a job, and the histories of its runs that they add up to."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np

from lrwidget.curve.lr_curve import LRCurve

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lrwidget.curve.lr_curve import Step, StopReason


class Plan(NamedTuple):
    """The range of the rates of a run, and the number of its steps."""

    start_lr: float
    end_lr: float  # in a race the same one
    num_it: int


class Started(NamedTuple):
    """The start of a run: its number in the job, from 0, and its rates."""

    run: int
    plan: Plan


class Stepped(NamedTuple):
    """A step of a run."""

    run: int
    step: Step


class Ended(NamedTuple):
    """The end of a run, and the reason."""

    run: int
    reason: StopReason


Event: TypeAlias = Started | Stepped | Ended


class RunHistory:
    """
    The steps of one run so far, which become an `LRCurve` at any time.

    One thread appends; any other may read meanwhile.
    """

    def __init__(self, plan: Plan | None) -> None:
        self.plan = plan  # None if the rates become known at the start
        self.starts = 0  # more than one if another test took its place
        self.stop_reason: StopReason | None = None  # None also after an error
        self._columns = array("d"), array("d")
        self._curve: LRCurve | None = None

    @property
    def num_it(self) -> int:
        """The number of steps planned; 0 while that is not known."""
        return 0 if self.plan is None else self.plan.num_it

    def __len__(self) -> int:
        return len(self._columns[1])

    def start(self, plan: Plan) -> None:
        """Begin with no steps, perhaps in place of an earlier test."""
        self.plan = plan
        self.starts += 1
        # New arrays, since another thread may read the old ones at the moment.
        self._columns = array("d"), array("d")

    def append(self, step: Step) -> None:
        """Add the next step."""
        lrs, losses = self._columns
        lrs.append(step.lr)
        losses.append(step.loss)

    def columns(self) -> tuple[array[float], array[float]]:
        """Return copies of the rates and the losses so far, of one length."""
        lrs, losses = self._columns
        # The other thread may be between its two appends.
        count = len(losses)
        return lrs[:count], losses[:count]

    def curve(self) -> LRCurve:
        """Return the steps so far; the same object while nothing is new."""
        reason, num_it, curve = self.stop_reason, self.num_it, self._curve
        lrs, losses = self._columns
        if (
            curve is None
            or len(curve) != len(losses)
            or (curve.stop_reason, curve.num_it) != (reason, num_it)
            or (len(curve) and curve.lrs[0] != lrs[0])
        ):
            rates, values = self.columns()
            curve = LRCurve(np.array(rates), np.array(values), reason, num_it)
            self._curve = curve
        return curve


class JobHistory:
    """The histories of the runs of one job, in their order."""

    def __init__(self, plans: Sequence[Plan | None]) -> None:
        self.runs = [RunHistory(plan) for plan in plans]
        self.stop_reason: StopReason | None = None  # None also after an error

    def __len__(self) -> int:
        """Return the number of steps so far, of all runs together."""
        return sum(map(len, self.runs))

    @property
    def num_it(self) -> int:
        """The number of steps planned; of several runs, an ended one has no more."""
        if len(self.runs) == 1:
            return self.runs[0].num_it
        return sum(
            run.num_it if run.stop_reason is None else len(run) for run in self.runs
        )

    def apply(self, event: Event) -> None:
        """Add an event."""
        run = self.runs[event.run]
        if isinstance(event, Stepped):
            run.append(event.step)
        elif isinstance(event, Ended):
            run.stop_reason = event.reason
        else:
            run.start(event.plan)

    def finish(self, reason: StopReason | None) -> None:
        """Add the end of the job; the reason is None if runs may go on elsewhere."""
        unfinished = [run for run in self.runs if run.stop_reason is None]
        self.stop_reason = reason if unfinished else "completed"
        for run in unfinished:
            if len(run) == run.num_it > 0:  # its end was still to come
                run.stop_reason = "completed"
            elif len(run) or len(self.runs) == 1:
                run.stop_reason = reason
