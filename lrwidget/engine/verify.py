"""The suggestion of a range test, checked by short trainings."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

from lrwidget.config import with_settings
from lrwidget.curve.checks import invalid
from lrwidget.curve.race_history import race_plans
from lrwidget.curve.verification_history import (
    VerificationHistory,
    check_curve,
    usable_total,
)
from lrwidget.engine.constructors import FunctionFromFrameworks
from lrwidget.engine.distributed import context
from lrwidget.engine.race import race_runs, run_in_turn
from lrwidget.engine.range_test import RangeTest, warn_of_differences

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from torch import nn
    from torch.optim import Optimizer
    from typing_extensions import Unpack

    from lrwidget.config import LossFunction, Settings
    from lrwidget.curve.history import Event
    from lrwidget.curve.lr_curve import LRCurve
    from lrwidget.curve.verification import Verification


@FunctionFromFrameworks
@with_settings
def verify(  # noqa: PLR0913 (a training, its number of steps and its curve)
    model: nn.Module,
    optimizer: Optimizer | Sequence[Optimizer],
    dataloader: Iterable[Any],
    loss_fn: LossFunction | None = None,
    *,
    total_steps: int | None = None,
    curve: LRCurve | None = None,
    **settings: Unpack[Settings],
) -> Verification:
    """
    Run a range test, and check its suggestion by five short trainings.

    The trainings start from the same model at rates up to the one from which on the
    range test is unstable, half a decade apart, and see the same batches. Each takes a
    tenth of ``total_steps``, from 60 to 300 steps. The best of them is a bound, and not
    the suggestion: a longer training needs a lower rate. The suggestion of the range
    test is moved into the range that the trainings allow.

    Parameters
    ----------
    model, optimizer, dataloader, loss_fn, **settings:
        The arguments of `RangeTest`; ``steps_per_lr`` counts for the range test alone.
        With a ``val_loader``, the short trainings are compared by their mean validation
        losses after the last step, which takes six validations; the range test uses
        the losses of its training steps.
    total_steps:
        The optimizer steps of the training for which the rate is wanted, at least 1;
        None if not known, for 100 steps of each short training. `from_trainer` and
        `from_lightning` take it from the trainer, where it is known there.
    curve:
        The curve of a range test of this training; None to run one.

    Returns
    -------
    :
        The suggestion, the range around it, the short trainings, and a verdict in
        words.

    Warns
    -----
    UserWarning
        If the trainings are known to differ from yours: see `RangeTest.notices`.

    Raises
    ------
    RuntimeError
        If the range test ends too early to know at which rates to train.
    TypeError, ValueError
        If an argument is not as described here or in `RangeTest`.
    Exception
        The error of a training, if one fails.
    """
    components = model, optimizer, dataloader, loss_fn
    test = RangeTest(*components, **settings)
    with context.errors_reported():  # before a test that may take long
        total_steps = usable_total(total_steps)
        check_curve(curve)
        check_repeatable(dataloader)
    history = VerificationHistory(test.plan, curve, total_steps)

    def lanes() -> Generator[Event, None, None]:
        with context.errors_reported():
            plans = race_plans(history.plan_lanes(), history.steps)
        return run_in_turn(race_runs(test, plans, at_ends=True), plans)

    if curve is None:
        without: Settings = {**settings, "val_loader": None}
        sweep = RangeTest(*components, **without)
        first = run_in_turn([sweep], [sweep.plan])
    else:
        first = lanes()
    for event in verification_events(history, first, lanes):
        history.apply(event)
    warn_of_differences(test)
    return history.verification()


def verification_events(
    history: VerificationHistory,
    events: Iterator[Event],
    start_lanes: Callable[[], Iterator[Event]],
) -> Generator[Event, None, None]:
    """
    Yield the events of a sweep, and those of the lanes that start after it.

    Apply each event to the history before you take the next one. If the curve of the
    sweep was given, ``events`` are those of the lanes. The lanes do not start if the
    sweep was stopped, perhaps by the user of another rank.
    """
    if not history.sweep_has_ended():
        yield from events
        if not history.sweep_has_ended():
            return
        events = start_lanes()
    try:
        for event in events:
            yield event._replace(run=event.run + 1)
    finally:
        if isinstance(events, Generator):
            events.close()


def check_repeatable(dataloader: object) -> None:
    """Raise ValueError if a loader gives its batches only once."""
    if isinstance(dataloader, Iterator):
        problem = (
            "is an iterator, which has no batches after the range test; pass a loader "
            "that can be iterated again"
        )
        raise invalid(dataloader, "dataloader", problem)
