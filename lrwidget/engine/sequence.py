"""Trainings that run one after the other, as one stream of events."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Protocol

from lrwidget.curve.history import Ended, Started, Stepped
from lrwidget.engine.distributed import context
from lrwidget.engine.thread_settings import ThreadSettings

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from lrwidget.curve.history import Event, Plan
    from lrwidget.curve.lr_curve import Step, StopReason


class Startable(Protocol):
    """A training that can be started."""

    def start(self, settings: ThreadSettings) -> Generator[Step, None, StopReason]:
        """Isolate the model at once, and return the steps of the training."""


def run_in_turn(
    trainings: Sequence[Startable], plans: Sequence[Plan]
) -> Generator[Event, None, None]:
    """
    Start the first training, and return the events of all trainings.

    The first training starts at once, in the calling thread, whose settings count for
    all trainings. Each other training starts after the one before has restored
    everything.

    Parameters
    ----------
    trainings:
        The trainings, at least one.
    plans:
        The rates of each.
    """
    settings = ThreadSettings()
    return _events(trainings, plans, trainings[0].start(settings), settings)


def _events(
    trainings: Sequence[Startable],
    plans: Sequence[Plan],
    steps: Generator[Step, None, StopReason],
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
                yield Stepped(run, step)
        # The user of another rank has stopped the training: no other training starts.
        if run == last or (reason == "stopped" and context.several()):
            yield Ended(run, reason)
            return
        # An error here keeps the other ranks from starting the next training alone.
        with context.errors_reported():
            yield Ended(run, reason)
