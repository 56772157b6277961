"""The runs of a range test, to be laid over each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from lrwidget.curve.arrays import FloatArray
    from lrwidget.curve.lr_curve import LRCurve, Recording

_ENOUGH = 3
_MOST_FORMER = 30  # more lines tell nothing


class RepeatKey(NamedTuple):
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


class NewRun(NamedTuple):
    """
    A run that has begun.

    Attributes
    ----------
    label:
        What to call it; where a run is called so already, it gets a number.
    setting:
        What it has in common with those runs that repeat it.
    recording:
        Where its steps are recorded.
    """

    label: str
    setting: RepeatKey
    recording: Recording


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
    setting: RepeatKey
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

    def add(self, *begun: NewRun) -> None:
        """
        Add runs that begin together; those before that have no step are forgotten.

        Of these the last thirty are kept.
        """
        # A new list, since another thread may be looking at this one.
        runs = [run for run in self._runs if len(run.recording)][-_MOST_FORMER:]
        for label, setting, recording in begun:
            taken = {run.name for run in runs}
            names = [label, *(f"{label} ({n})" for n in range(2, len(taken) + 2))]
            name = next(name for name in names if name not in taken)
            numbers = {run.number for run in runs}
            number = next(n for n in range(len(runs) + 1) if n not in numbers)
            runs.append(Run(name, number, setting, recording))
        self._runs = runs

    def put_back(self, runs: list[Run]) -> None:
        """Have the runs that `all` was once."""
        self._runs = runs

    def forget_empty(self) -> None:
        """Forget the runs that have no step, but for one if there are no others."""
        with_steps = [run for run in self._runs if len(run.recording)]
        self._runs = with_steps or self._runs[-1:]

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
