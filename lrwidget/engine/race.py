"""The race of learning rates: short trainings from the same start."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from lrwidget.curve.history import Part, steps_numbered
from lrwidget.curve.lr_curve import Recording
from lrwidget.curve.race import RaceRecording, checked_rates, neighbours
from lrwidget.engine import arguments
from lrwidget.engine.distributed import context as ranks
from lrwidget.engine.loaders import EmptyLoaderError
from lrwidget.engine.range_test import RangeTest
from lrwidget.engine.settings import with_settings_of
from lrwidget.engine.thread_settings import ThreadSettings

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Sequence

    from torch import nn
    from torch.optim import Optimizer
    from typing_extensions import Unpack

    from lrwidget.curve.lr_curve import Step, StopReason
    from lrwidget.curve.training_curve import TrainingCurve
    from lrwidget.engine.isolation.isolated_run import IsolatedRun
    from lrwidget.engine.losses import LossFunction
    from lrwidget.engine.settings import Settings


class Race:
    """
    Short trainings at some learning rates, run by iterating over it.

    One comes after the other, each from the same start, with the same batches in the
    same order and the same random numbers. It gives the parts of these trainings, one
    for each optimizer step and one for the end. A training that diverges or has no
    batches any more ends alone: the next rate follows. All is afterwards as if there
    had been no race, however it ends.

    Each training begins with the model as it is then, so that there is never more than
    one copy: leave the model as it is until the end.

    Parameters
    ----------
    test:
        How to train, beside the rates; with one optimizer step for each loss.
    rates:
        The learning rates, of which none is there twice.
    steps:
        How many optimizer steps each training has, at least 1.

    Raises
    ------
    TypeError, ValueError
        If rates or steps are not as described.
    """

    def __init__(self, test: RangeTest, rates: Iterable[float], steps: int) -> None:
        self.rates = checked_rates(rates)
        self.steps = arguments.usable_count("steps", steps)
        self._test = test
        self._trials = [test.trial(lr, self.steps) for lr in self.rates]

    @property
    def waiting_for(self) -> str | None:
        """As that of a `RangeTest`."""
        return self._test.waiting_for

    def __iter__(self) -> Generator[Part, None, StopReason]:
        """
        Start a race, as the iteration of a `RangeTest` starts that.

        The generator returns why it stopped.
        """
        ambient = ThreadSettings()
        # At once, so that what keeps it from starting is raised here.
        return self._items(self._started(self._trials[0], ambient), ambient)

    def _items(
        self, first: Generator[Step, None, StopReason], ambient: ThreadSettings
    ) -> Generator[Part, None, StopReason]:
        steps = first
        for number, trial in enumerate(self._trials):
            if number:
                steps = self._following(number, trial, ambient)
            reason = yield from steps_numbered(number, steps)
            if number + 1 == len(self._trials) or reason == "stopped":
                break
            with ranks.announced():  # so that no other rank begins the next one alone
                yield Part(number, reason)
        yield Part(number, reason)
        return "stopped" if reason == "stopped" else "completed"

    def _following(
        self, number: int, trial: IsolatedRun, ambient: ThreadSettings
    ) -> Generator[Step, None, StopReason]:
        """Take the steps of a training that is not the first one."""
        # An iterator cannot start again: the other rates would see other batches.
        if isinstance(trial.plan.dataloader, Iterator):
            if number == 1:  # the others, if they begin it, begin no third one
                ranks.begun().fail(_no_second_start())
            return "exhausted"
        try:
            return (yield from self._started(trial, ambient))
        except EmptyLoaderError:
            if ranks.several():  # on the others it has failed by that
                raise
            return "exhausted"

    def _started(
        self, trial: IsolatedRun, ambient: ThreadSettings
    ) -> Generator[Step, None, StopReason]:
        return trial.start(ambient, Recording(self.steps), ranks.begun())


def _no_second_start() -> ValueError:
    """Return the error of the other ranks, where these have no iterator."""
    msg = (
        "dataloader is an iterator, which cannot start again; pass a loader that can "
        "be iterated again on all ranks"
    )
    return ValueError(msg)


@with_settings_of(RangeTest)
def race(  # noqa: PLR0913 (the four parts of a training, and its two numbers)
    model: nn.Module,
    optimizer: Optimizer,
    dataloader: Iterable[Any],
    loss_fn: LossFunction | None = None,
    *,
    rates: Sequence[float] | None = None,
    steps: int = 100,
    **settings: Unpack[Settings],
) -> list[TrainingCurve]:
    """
    Train shortly at some learning rates, each from the same start, on a copy.

    All rates see the same batches in the same order. With an iterator, which cannot
    start again, only the first one sees any.

    Parameters
    ----------
    model, optimizer, dataloader, loss_fn, **settings:
        As `RangeTest` takes them; ``steps_per_lr`` has no effect.
    rates:
        The learning rates, of which none is there twice. If None, a range test is run
        first, and its suggestion races against its neighbours.
    steps:
        How many optimizer steps each training has, at least 1.

    Returns
    -------
    :
        A curve for each rate, in increasing order of the rates.

    Raises
    ------
    RuntimeError
        If ``rates`` is None, and the range test suggests nothing.
    TypeError, ValueError
        As `RangeTest` raises them, for bad rates or steps, and whatever the training
        raises.
    """
    test = RangeTest(model, optimizer, dataloader, loss_fn, **settings)
    with ranks.announced():
        steps = arguments.usable_count("steps", steps)  # before a test takes long
        racing = None if rates is None else Race(test, rates, steps)
    if racing is None:
        racing = Race(test, _found_by(test), steps)
    recording = RaceRecording(racing.rates, steps)
    for item in racing:
        recording.append(item)
    return recording.curves()


def _found_by(test: RangeTest) -> list[float]:
    """Run a test, and return what it suggests with its neighbours."""
    for _ in test:
        pass
    with ranks.announced():
        return _suggested_by(test)


def _suggested_by(test: RangeTest) -> list[float]:
    suggestion = test.curve.suggestion()
    if suggestion.lr is None:
        msg = (
            "rates=None, and the range test suggests none, since "
            f"{suggestion.reason}; pass for example rates=[1e-3, 3e-3, 1e-2]"
        )
        raise RuntimeError(msg)
    return neighbours(suggestion, None, test.start_lr, test.end_lr)
