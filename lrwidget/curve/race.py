"""A race of learning rates: which ones run, and what they have found so far."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lrwidget.curve.schedule import positive_rate
from lrwidget.curve.training import TrainingCurve

if TYPE_CHECKING:
    from lrwidget.curve.record import Step, StopReason
    from lrwidget.curve.suggestion import Suggestion

_BEYOND = 3.0
_NEAR = 1.1
_EXAMPLE = "pass for example rates=[1e-3, 3e-3, 1e-2]"


def checked_rates(rates: object) -> list[float]:
    """
    Return the rates of a race in increasing order.

    Raises
    ------
    TypeError
        If they are no numbers.
    ValueError
        If there are none, or one is not finite and above 0, or is there twice.
    """
    if isinstance(rates, str) or not isinstance(rates, Iterable):
        msg = f"rates={rates!r} must be a list of numbers; {_EXAMPLE}"
        raise TypeError(msg)
    checked = sorted(positive_rate(f"rates[{i}]", x) for i, x in enumerate(rates))
    if not checked:
        msg = f"rates={rates!r} is empty; {_EXAMPLE}"
        raise ValueError(msg)
    for rate, following in pairwise(checked):
        if rate == following:
            msg = f"rates={rates!r} holds {rate!r} twice; pass each rate once"
            raise ValueError(msg)
    return checked


def neighbours(
    suggestion: Suggestion, chosen: float | None, start_lr: float, end_lr: float
) -> list[float]:
    """
    Return the rates that are worth a race: a choice and what lies around it.

    They are the chosen rate, the suggestion, the ends of its band, and three times
    beyond these. Of two within ten per cent of each other, the one that comes first in
    this list stays. A suggestion without a band has one of three times to both sides.

    Parameters
    ----------
    suggestion:
        What is suggested, which may be nothing.
    chosen:
        The rate that is chosen already, if any.
    start_lr:
        The lowest rate to return.
    end_lr:
        The highest rate to return.

    Returns
    -------
    :
        The rates, strictly increasing; none if there is neither suggestion nor choice.
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


class Finish(NamedTuple):
    """
    The end of one training of a race.

    Attributes
    ----------
    lr:
        The rate that it was to train at.
    stop_reason:
        Why it ended, as that of an `LRCurve`.
    """

    lr: float
    stop_reason: StopReason


class RaceRecording:
    """
    The steps of a race that is running, one training after the other.

    Parameters
    ----------
    rates:
        The learning rates that it has.
    steps:
        How many steps each training is to have.

    Attributes
    ----------
    stop_reason:
        Why the race ended, to be set when it has.
    """

    def __init__(self, rates: list[float], steps: int) -> None:
        self.stop_reason: StopReason | None = None
        self.rates = rates
        self._steps = steps
        self._trainings: list[_Training] = []

    def __len__(self) -> int:
        """Return the number of steps so far, of all trainings together."""
        return sum(len(training.losses) for training in self._trainings)

    @property
    def total(self) -> int:
        """How many steps there are to be, of which early ends leave some out."""
        ended = [x for x in self._trainings if x.stop_reason is not None]
        to_come = self._steps * (len(self.rates) - len(ended))
        return to_come + sum(len(training.losses) for training in ended)

    def append(self, item: Step | Finish) -> None:
        """Add the next step, or the end of a training."""
        if not self._trainings or self._trainings[-1].stop_reason is not None:
            self._trainings.append(_Training(item.lr))
        if isinstance(item, Finish):
            self._trainings[-1].stop_reason = item.stop_reason
        else:
            self._trainings[-1].losses.append(item.loss)

    def curves(self) -> list[TrainingCurve]:
        """Return the trainings so far as curves."""
        # Copies, since another thread may append meanwhile.
        return [
            TrainingCurve(
                training.lr,
                np.array(training.losses[:]),
                training.stop_reason or self._reason_of(training),
                self._steps,
            )
            for training in self._trainings[:]
        ]

    def _reason_of(self, training: _Training) -> StopReason | None:
        """Return why a training ended with the race, which may be after all steps."""
        done = len(training.losses) == self._steps
        return "completed" if done else self.stop_reason


class _Training:
    """One training of a race, which has ended when it has a reason."""

    def __init__(self, lr: float) -> None:
        self.lr = lr
        self.losses = array("d")
        self.stop_reason: StopReason | None = None
