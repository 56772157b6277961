"""The runs of one widget, which the chart lays over each other."""

from __future__ import annotations

import numbers
from typing import TYPE_CHECKING, Any, NamedTuple

from lrwidget.curve.axis import plain

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from lrwidget.curve.history import Plan, RunHistory
    from lrwidget.curve.lr_curve import LRCurve

_MAX_FORMER = 30  # more lines tell nothing
_PLAIN = (numbers.Number, str, type(None))  # NumPy's numbers, too


class RepeatKey(NamedTuple):
    """
    The settings that runs which repeat each other have in common.

    Attributes
    ----------
    label:
        The name of these runs.
    plan:
        Their rates.
    other:
        All else that has to be equal.
    """

    label: str
    plan: Plan | None
    other: Hashable


class NewRun(NamedTuple):
    """
    A run that has been started.

    Attributes
    ----------
    label:
        Its name, which gets a number if another run has it.
    key:
        The key of the runs that repeat it.
    history:
        Its steps.
    """

    label: str
    key: RepeatKey
    history: RunHistory


class Run(NamedTuple):
    """
    One run of a range test.

    Attributes
    ----------
    name:
        Its name, which no other run of the widget has.
    number:
        The lowest number that no other run of the widget has; the look of its line
        depends on it.
    key:
        The key of the runs that repeat it.
    history:
        Its steps.
    """

    name: str
    number: int
    key: RepeatKey
    history: RunHistory


def new_run(
    arguments: Mapping[str, Any],
    changes: Mapping[str, Any],
    label: str | None,
    history: RunHistory,
) -> NewRun:
    """
    Return a run, named after the arguments that differ from those of the widget.

    Runs that repeat each other differ in the seed at most. Objects such as optimizers
    cannot be compared, so runs with other objects than the widget's repeat each other
    only if they have the same label.

    Parameters
    ----------
    arguments:
        The arguments of the widget.
    changes:
        The arguments of the run, as far as they may differ.
    label:
        The name that the user gives it, if any.
    history:
        Its steps.
    """
    different = _different(arguments, changes)
    if label is not None:
        mode = changes.get("step_mode", arguments.get("step_mode"))
        return NewRun(label, RepeatKey(label, history.plan, mode), history)
    same_seed = {name: x for name, x in different.items() if name != "seed"}
    plain_only = all(isinstance(value, _PLAIN) for value in same_seed.values())
    other = tuple(same_seed.items()) if plain_only else object()
    key = RepeatKey(_named(same_seed), history.plan, other)
    return NewRun(_named(different), key, history)


def _different(
    arguments: Mapping[str, Any], changes: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the changes that change something."""
    return {
        name: value
        for name, value in changes.items()
        if not _same(value, arguments.get(name))
    }


def _same(one: object, other: object) -> bool:
    # Objects of users may compare in any way, or not at all.
    return one is other or (isinstance(one, _PLAIN) and one == other)


def _named(different: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={_short(x)}" for name, x in different.items()) or "run"


def _short(value: object) -> str:
    """Return a value in a few letters: a number, text, or the name of its type."""
    if isinstance(value, numbers.Real) and not isinstance(value, numbers.Integral):
        return plain(float(value))
    if isinstance(value, _PLAIN):
        return str(value)
    return str(getattr(value, "__name__", type(value).__name__))


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

    def with_added(self, *new: NewRun) -> list[Run]:
        """
        Return the runs with those added that begin together now.

        Of the former runs, the last thirty that have a step are kept.
        """
        runs = [run for run in self._runs if len(run.history)][-_MAX_FORMER:]
        for label, key, history in new:
            taken = {run.name for run in runs}
            names = [label, *(f"{label} ({n})" for n in range(2, len(taken) + 2))]
            name = next(name for name in names if name not in taken)
            numbers = {run.number for run in runs}
            number = next(n for n in range(len(runs) + 1) if n not in numbers)
            runs.append(Run(name, number, key, history))
        return runs

    def keep(self, runs: list[Run]) -> None:
        """Keep some runs, and no others."""
        # A new list, since another thread may look at the old one.
        self._runs = runs

    def forget_empty(self) -> None:
        """Forget the runs that have no step, but for one if there are no others."""
        with_steps = [run for run in self._runs if len(run.history)]
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
        return {run.name: run.history.curve() for run in self._runs}
