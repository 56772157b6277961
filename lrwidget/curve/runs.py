"""The runs of a range test, to be laid over each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from lrwidget.curve.arrays import FloatArray
    from lrwidget.curve.record import LRCurve, Recording

_ENOUGH = 3
_MOST_FORMER = 30  # more lines tell nothing


class Setting(NamedTuple):
    """
    What runs that repeat each other have in common.

    Attributes
    ----------
    label:
        What they are called.
    start_lr, end_lr, num_it:
        As `learning_rates` takes them.
    other:
        What else has to be equal.
    """

    label: str
    start_lr: float
    end_lr: float
    num_it: int
    other: Hashable


class Run(NamedTuple):
    """
    One run of a range test.

    Attributes
    ----------
    name:
        What it is called; no other run of the same widget is.
    number:
        The least that no other run of the widget has, by which its line has its look.
    setting:
        What it has in common with those runs that repeat it.
    recording:
        Its steps.
    """

    name: str
    number: int
    setting: Setting
    recording: Recording


class Runs:
    """The runs of one widget, of which the latest may go on."""

    def __init__(self) -> None:
        self._runs: list[Run] = []

    @property
    def latest(self) -> Run | None:
        """The latest run; None before the first."""
        return self._runs[-1] if self._runs else None

    @property
    def former(self) -> list[Run]:
        """All runs but the latest, in their order."""
        return self._runs[:-1]

    @property
    def all(self) -> list[Run]:
        """All runs, in their order."""
        return self._runs

    def add(self, label: str, setting: Setting, recording: Recording) -> None:
        """
        Add a run, which has begun; the latest is forgotten if it has no step.

        Of the former runs the last thirty are kept.

        Parameters
        ----------
        label:
            What to call it; where a run is called so already, it gets a number.
        setting:
            What it has in common with those runs that repeat it.
        recording:
            Where its steps are recorded.
        """
        kept = [run for run in self._runs if len(run.recording)][-_MOST_FORMER:]
        taken = {run.name for run in kept}
        names = [label, *(f"{label} ({n})" for n in range(2, len(taken) + 2))]
        name = next(name for name in names if name not in taken)
        # A new list, since another thread may be looking at this one.
        numbers = {run.number for run in kept}
        number = next(n for n in range(len(kept) + 1) if n not in numbers)
        self._runs = [*kept, Run(name, number, setting, recording)]

    def forget_empty(self) -> None:
        """Forget the latest run if it has no step, and there are others."""
        if self.former and not len(self._runs[-1].recording):
            self._runs = self.former

    def remove(self, name: str) -> None:
        """
        Forget a former run.

        Raises
        ------
        ValueError
            If none has this name.
        """
        former = [run.name for run in self.former]
        if name not in former:
            msg = f"name={name!r} is no former run; pass one of {former}"
            raise ValueError(msg)
        self._runs = [run for run in self._runs if run.name != name]

    def curves(self) -> dict[str, LRCurve]:
        """Return the curve of each run so far, by its name."""
        return {run.name: run.recording.curve() for run in self._runs}


class Spread(NamedTuple):
    """
    The middle and the extent of several lines.

    Attributes
    ----------
    lrs:
        The rates at which three or more of them have a loss.
    median, low, high:
        The median, the lowest and the highest of these losses.
    """

    lrs: FloatArray
    median: FloatArray
    low: FloatArray
    high: FloatArray


def spread(lines: Sequence[tuple[FloatArray, FloatArray]]) -> Spread | None:
    """
    Return the median and the extent of lines over the same rates.

    Parameters
    ----------
    lines:
        Strictly increasing rates with the losses there, which are finite. A line may
        lack some of the rates of another, and end before it.

    Returns
    -------
    :
        They, or None where no rate has three losses.
    """
    if len(lines) < _ENOUGH:
        return None
    lrs = np.unique(np.concatenate([rates for rates, _ in lines]))
    losses = np.full((len(lines), len(lrs)), np.nan)
    for row, (rates, values) in zip(losses, lines, strict=True):
        row[np.searchsorted(lrs, rates)] = values
    common = np.isfinite(losses).sum(0) >= _ENOUGH
    if not common.any():
        return None
    losses = losses[:, common]
    return Spread(
        lrs[common],
        np.nanmedian(losses, 0),
        np.nanmin(losses, 0),
        np.nanmax(losses, 0),
    )
