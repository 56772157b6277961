"""A race of learning rates: which ones run, and what they have found so far."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from lrwidget.curve.history import Recordings
from lrwidget.curve.lr_curve import Recording
from lrwidget.curve.schedule import positive_rate
from lrwidget.curve.training_curve import TrainingCurve

if TYPE_CHECKING:
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


class RaceRecording(Recordings):
    """
    The steps of a race that is running.

    Parameters
    ----------
    rates:
        The learning rates that it has, in increasing order.
    steps:
        How many steps each training is to have.
    """

    def __init__(self, rates: list[float], steps: int) -> None:
        super().__init__([Recording(steps) for _ in rates])
        self.rates = rates

    def curves(self) -> list[TrainingCurve]:
        """Return the trainings that have begun as curves, in the order of the rates."""
        return list(self.numbered_curves().values())

    def numbered_curves(self) -> dict[int, TrainingCurve]:
        """Return them by how many rates come before theirs."""
        return {
            number: _training(self.rates[number], recording)
            for number, recording in self.begun().items()
        }


def _training(rate: float, recording: Recording) -> TrainingCurve:
    """Return a training as a curve, with the rate that its steps have used."""
    reason, total = recording.stop_reason, recording.total
    # A copy, since another thread may append meanwhile.
    losses = np.array(recording.losses[:])
    used = recording.lrs[0] if len(losses) else rate
    return TrainingCurve(used, losses, reason, total)
