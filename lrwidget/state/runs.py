"""The runs of a widget, and the run of them that is opened."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from lrwidget.curve.history import RunHistory
from lrwidget.curve.runs import (
    named,
    renamed,
    with_former,
    with_look,
    with_restored,
    without,
    without_empty,
)
from lrwidget.curve.verification_history import is_verifiable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lrwidget.curve.lr_curve import LRCurve
    from lrwidget.curve.runs import Run

    Restore: TypeAlias = Callable[[], None]

EMPTY = RunHistory(None).curve()


class Runs:
    """
    The runs, the latest last, and the one that is opened.

    Each command of a person returns its inverse, or None if it has changed nothing.
    """

    def __init__(self) -> None:
        self.all: list[Run] = []  # replaced, not changed: other threads may read it
        self._opened: RunHistory | None = None  # None for that of the latest run
        # The latest test, and its arguments.
        self._tested: tuple[RunHistory, Mapping[str, Any]] | None = None

    @property
    def latest_curve(self) -> LRCurve:
        """The curve of the latest run so far; an empty one before the first."""
        runs = self.all
        return runs[-1].history.curve() if runs else EMPTY

    @property
    def curves(self) -> dict[str, LRCurve]:
        """The curve of each run so far, by its name."""
        return {run.name: run.history.curve() for run in self.all}

    @property
    def opened(self) -> Run | None:
        """The run that was opened, if it is there; else the latest one."""
        runs = self.all
        opened = [run for run in runs if run.history is self._opened]
        return next(iter(opened or runs[-1:]), None)

    @property
    def opened_history(self) -> RunHistory | None:
        """The history of the opened run, whose name and look may change."""
        opened = self.opened
        return None if opened is None else opened.history

    def verifiable(self) -> tuple[LRCurve, Mapping[str, Any]] | None:
        """Return the latest curve with its arguments, if it can be verified."""
        latest = self.all[-1].history if self.all else None
        if self._tested is None or self._tested[0] is not latest:
            return None
        curve = latest.curve()
        return (curve, self._tested[1]) if is_verifiable(curve) else None

    # ---- what a job changes

    def begin(self, runs: list[Run], arguments: Mapping[str, Any]) -> None:
        """Have these runs, of which the latest begins with these arguments."""
        self.all, self._tested = runs, (runs[-1].history, arguments)

    def open_latest(self) -> None:
        """Open the latest run, also once there is a later one."""
        self._opened = None

    def remove_empty(self) -> None:
        """Forget the runs without a step, but for a last one."""
        self.all = without_empty(self.all)

    # ---- what a person changes

    def open(self, name: str) -> Restore | None:
        """Open a run."""
        run = named(self.all, name)
        if run is self.opened:
            return None
        before, self._opened = self._opened, run.history
        return partial(self._reopen, before)

    def rename(self, name: str, new: str) -> Restore | None:
        """Give a run another name, which no other run has."""
        return self._changed(named(self.all, name), renamed(self.all, name, new))

    def mark(
        self, name: str, *, pinned: bool | None, hidden: bool | None
    ) -> Restore | None:
        """Pin a run, or hide it; None changes nothing."""
        runs = with_look(self.all, name, pinned=pinned, hidden=hidden)
        return self._changed(named(self.all, name), runs)

    def remove(self, name: str) -> Restore:
        """Forget a former run."""
        before, self.all = self.all, without(self.all, name)
        run = named(before, name)
        return partial(self._restore, run, before.index(run))

    def _changed(self, former: Run, runs: list[Run]) -> Restore | None:
        if runs == self.all:
            return None
        self.all = runs
        return partial(self._change_back, former)

    def _change_back(self, former: Run) -> None:
        self.all = with_former(self.all, former)

    def _restore(self, run: Run, place: int) -> None:
        self.all = with_restored(self.all, run, place)

    def _reopen(self, history: RunHistory | None) -> None:
        self._opened = history
