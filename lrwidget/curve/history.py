"""The events of a job, and the histories of its runs that they add up to."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np

from lrwidget.curve.lr_curve import LRCurve

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lrwidget.curve.lr_curve import Step, StopReason
    from lrwidget.curve.schedule import StepMode


class Plan(NamedTuple):
    """The rates of a run, its steps, its optimizer's memory and its spacing."""

    start_lr: float
    end_lr: float  # in a race the same one
    num_it: int
    optimizer_memory: float = 1.0  # as that of an `LRCurve`
    step_mode: StepMode = "exp"


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


class Validated(NamedTuple):
    """
    The validation losses of a run, without those of its steps.

    Attributes
    ----------
    run:
        Number of the run in the job, from 0.
    iteration:
        Number of the steps before.
    losses:
        Mean loss of each batch of the ``val_loader``.
    samples:
        Number of the samples of each of these batches.
    """

    run: int
    iteration: int
    losses: tuple[float, ...]
    samples: tuple[int, ...]

    @property
    def loss(self) -> float:
        """The mean loss of all samples."""
        return float(np.average(self.losses, weights=self.samples))


Event: TypeAlias = Started | Stepped | Validated | Ended


class _Steps(NamedTuple):
    """The plan of a run, and the columns of its steps so far."""

    plan: Plan | None
    lrs: array[float]
    losses: array[float]
    train_losses: array[float]  # empty without a ``val_loader``

    @classmethod
    def of(cls, plan: Plan | None) -> _Steps:
        return cls(plan, array("d"), array("d"), array("d"))

    @property
    def num_it(self) -> int:
        return 0 if self.plan is None else self.plan.num_it

    def columns(self) -> tuple[array[float], array[float]]:
        # Another thread may be between its appends, of which that of a loss is last.
        count = len(self.losses)
        return self.lrs[:count], self.losses[:count]


class RunHistory:
    """
    The steps of one run so far, which become an `LRCurve` at any time.

    One thread appends; any other may read meanwhile.
    """

    def __init__(self, plan: Plan | None) -> None:
        self.starts = 0  # more than one if another test took its place
        self.stop_reason: StopReason | None = None  # None also after an error
        self.validations: list[Validated] = []
        # Each is assigned at once, since another thread may read at any moment.
        self._steps = _Steps.of(plan)
        self._latest: tuple[_Steps, LRCurve] | None = None

    @property
    def plan(self) -> Plan | None:
        """The rates and the number of steps; None before a start that tells them."""
        return self._steps.plan

    @property
    def num_it(self) -> int:
        """The number of steps planned; 0 while that is not known."""
        return self._steps.num_it

    def __len__(self) -> int:
        return len(self._steps.losses)

    def start(self, plan: Plan) -> None:
        """Begin with no steps, perhaps in place of an earlier test."""
        self.starts += 1
        self._steps = _Steps.of(plan)

    def append(self, step: Step) -> None:
        """Add the next step."""
        self._steps.lrs.append(step.lr)
        if step.train_loss is not None:
            self._steps.train_losses.append(step.train_loss)
        self._steps.losses.append(step.loss)

    def columns(self) -> tuple[array[float], array[float]]:
        """Return copies of the rates and the losses so far, of one length."""
        return self._steps.columns()

    def curve(self) -> LRCurve:
        """Return the steps so far; the same object while nothing is new."""
        # The reason first: it comes after the last step.
        reason, steps, latest = self.stop_reason, self._steps, self._latest
        if latest is not None and latest[0] is steps:
            curve = latest[1]
            if (len(curve), curve.stop_reason) == (len(steps.losses), reason):
                return curve
        lrs, losses = steps.columns()
        memory = 1.0 if steps.plan is None else steps.plan.optimizer_memory
        trained = steps.train_losses[: len(losses)]
        curve = LRCurve(
            np.array(lrs),
            np.array(losses),
            reason,
            steps.num_it,
            memory,
            np.array(trained) if trained else None,
        )
        self._latest = steps, curve
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
        elif isinstance(event, Validated):
            run.validations.append(event)
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
