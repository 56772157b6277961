"""Trainings one after the other: a race of learning rates, or several tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from lrwidget.config import EmptyLoaderError, with_settings
from lrwidget.curve.checks import usable_count
from lrwidget.curve.history import Ended, Started, Stepped, Validated
from lrwidget.curve.race_history import (
    RaceHistory,
    checked_rates,
    neighbours,
    race_plans,
)
from lrwidget.engine.constructors import FunctionFromFrameworks
from lrwidget.engine.distributed import context
from lrwidget.engine.range_test import RangeTest, warn_of_differences
from lrwidget.engine.thread_settings import ThreadSettings

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Sequence

    from torch import nn
    from torch.optim import Optimizer
    from typing_extensions import Unpack

    from lrwidget.config import LossFunction, Settings
    from lrwidget.curve.history import Event, Plan
    from lrwidget.curve.lr_curve import StopReason
    from lrwidget.curve.training_curve import TrainingCurve
    from lrwidget.engine.isolation.isolated_run import IsolatedRun
    from lrwidget.engine.loop import Steps, Validations


class Startable(Protocol):
    """A training that can be started."""

    def start(self, settings: ThreadSettings) -> Steps:
        """Isolate the model at once, and return the steps of the training."""


def run_in_turn(
    trainings: Sequence[Startable], plans: Sequence[Plan]
) -> Generator[Event, None, None]:
    """
    Start the first training, and return the events of all trainings.

    The first training starts at once, in the calling thread, whose settings count for
    all trainings. Each other training starts after the one before has restored
    everything.
    """
    settings = ThreadSettings()
    return _events(trainings, plans, trainings[0].start(settings), settings)


def _events(
    trainings: Sequence[Startable],
    plans: Sequence[Plan],
    steps: Steps,
    settings: ThreadSettings,
) -> Generator[Event, None, None]:
    last = len(trainings) - 1
    for run, plan in enumerate(plans):
        if run:
            with settings.applied():
                steps = trainings[run].start(settings)
        yield Started(run, plan)
        with closing(steps):
            while True:
                try:
                    step = next(steps)
                except StopIteration as end:
                    reason: StopReason = end.value
                    break
                if isinstance(step, Validated):
                    yield step._replace(run=run)
                else:
                    yield Stepped(run, step)
        # The user of another rank has stopped the training: no other training starts.
        if run == last or (reason == "stopped" and context.several()):
            yield Ended(run, reason)
            return
        # An error here keeps the other ranks from starting the next training alone.
        with context.errors_reported():
            yield Ended(run, reason)


class RaceRun(NamedTuple):
    """
    One training of a race; its position is the number of trainings before it.

    A training without batches ends without an error, except for the first one: the
    next rate follows.
    """

    run: IsolatedRun
    position: int

    def start(self, settings: ThreadSettings) -> Steps:
        """Start the training; see `IsolatedRun.start`."""
        if not self.position:
            return self._started(settings)
        # An iterator cannot start again: the other rates would see other batches.
        if isinstance(self.run.training.dataloader, Iterator):
            if self.position == 1:  # after this error, no rank starts a third training
                msg = (
                    "dataloader is an iterator, which cannot start again; pass a "
                    "loader that can be iterated again on all ranks"
                )
                context.new().fail(ValueError(msg))
            return _until_empty(None)
        return _until_empty(self._started(settings))

    def _started(self, settings: ThreadSettings) -> Steps:
        own = context.new()
        return own.reporting(self.run.start(settings, own))


def _until_empty(steps: Steps | None) -> Steps:
    if steps is None:
        return "exhausted"
    try:
        return (yield from steps)
    except EmptyLoaderError:
        if context.several():  # the other ranks have failed by this error
            raise
        return "exhausted"


def race_runs(
    test: RangeTest, plans: Sequence[Plan], *, at_ends: bool = False
) -> list[RaceRun]:
    """
    Return the trainings of a race, one for each plan.

    With ``at_ends``, a validation loss is measured before the first step of the first
    training and after the last step of each, and not at each step.

    Each training copies the model at its own start, so that there is only one copy at
    a time: do not change the model until the end. All trainings see the same batches in
    the same order, and the same random numbers.
    """
    rates = [plan.start_lr for plan in plans]
    runs = []
    for position, plan in enumerate(plans):
        validations: Validations = "each rate"
        if at_ends:
            validations = "end" if position else "start and end"
        run = test.at(plan.start_lr, plan.num_it, rates, validations)
        runs.append(RaceRun(run, position))
    return runs


@FunctionFromFrameworks
@with_settings
def race(  # noqa: PLR0913 (the components of a training, and two numbers)
    model: nn.Module,
    optimizer: Optimizer | Sequence[Optimizer],
    dataloader: Iterable[Any],
    loss_fn: LossFunction | None = None,
    *,
    rates: Sequence[float] | None = None,
    steps: int = 100,
    **settings: Unpack[Settings],
) -> list[TrainingCurve]:
    """
    Train for some steps at each of several learning rates, from the same start.

    All rates see the same batches in the same order, on a copy of the model. With an
    iterator, which cannot start again, only the first rate sees any.

    Parameters
    ----------
    model, optimizer, dataloader, loss_fn, **settings:
        The arguments of `RangeTest`; ``steps_per_lr`` has no effect.
    rates:
        The learning rates, each given once. If None, a range test comes first, and its
        suggestion races against its neighbours.
    steps:
        The number of optimizer steps of each training, at least 1.

    Returns
    -------
    :
        A curve for each rate, in increasing order of the rates.

    Warns
    -----
    UserWarning
        If the trainings are known to differ from yours: see `RangeTest.notices`.

    Raises
    ------
    RuntimeError
        If ``rates`` is None, and the range test suggests nothing.
    TypeError, ValueError
        If an argument is not as described here or in `RangeTest`.
    Exception
        The error of a training, if one fails.
    """
    test = RangeTest(model, optimizer, dataloader, loss_fn, **settings)
    with context.errors_reported():
        steps = usable_count("steps", steps)  # before a test that may take long
        wanted = None if rates is None else checked_rates(rates)
    used = _suggested_rates(test) if wanted is None else wanted
    history, plans = RaceHistory(used, steps), race_plans(used, steps)
    for event in run_in_turn(race_runs(test, plans), plans):
        history.apply(event)
    warn_of_differences(test)
    return list(history.curves().values())


def _suggested_rates(test: RangeTest) -> list[float]:
    """Run a test, and return its suggestion with the rates around it."""
    for _ in test:
        pass
    suggestion = test.curve.suggestion()
    with context.errors_reported():
        if suggestion.lr is None:
            msg = (
                "rates=None, and the range test suggests none, since "
                f"{suggestion.reason}; pass for example rates=[1e-3, 3e-3, 1e-2]"
            )
            raise RuntimeError(msg)
    return neighbours(suggestion, None, test.start_lr, test.end_lr)
