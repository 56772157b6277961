"""The whole state of a widget except the chosen rate, and the lock of this state."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lrwidget.curve.suggestion import NO_SUGGESTION
from lrwidget.curve.window import extended
from lrwidget.state.job import NO_HISTORY
from lrwidget.state.rates import VisibleRates
from lrwidget.state.runs import EMPTY, Runs
from lrwidget.state.settings import Settings
from lrwidget.state.suggestions import Suggestions
from lrwidget.state.undo import Undo
from lrwidget.ui.snapshot import Snapshot

if TYPE_CHECKING:
    from collections.abc import Callable

    from lrwidget.backends.base import Backend
    from lrwidget.curve.history import Plan
    from lrwidget.curve.loss_limits import Limits
    from lrwidget.curve.lr_curve import LRCurve
    from lrwidget.curve.picture import Looks
    from lrwidget.curve.runs import Run
    from lrwidget.curve.trend import Smoothing
    from lrwidget.curve.verification import Verification
    from lrwidget.state.choice import RateOwner
    from lrwidget.state.job import JobState


class State:
    """
    The parts of the state, which have no locks of their own, and the display of it.

    No file is read, no thread joined, no model copied and no observer called while the
    lock is held.
    """

    def __init__(self, backend: Backend, rule: str, owner: RateOwner) -> None:
        self.lock = threading.RLock()
        self.owner = owner
        self.settings = Settings(backend)
        self.runs = Runs()
        self.rates = VisibleRates()
        self.suggestions = Suggestions(rule)
        self.job: JobState | None = None
        self.undo = Undo()
        self.closed = False
        self._capabilities = backend.capabilities
        self._show: Callable[[Snapshot], object] = lambda _snapshot: None
        self.shown = self.snapshot()  # in the display

    # ---- the display

    def display(self, show: Callable[[Snapshot], object]) -> None:
        """Give each new state to a function, which is called under the lock."""
        with self.lock:
            self._show = show
            self.refresh()

    def refresh(self) -> None:
        """Show the present state."""
        with self.lock:
            if not self.closed:
                self.shown = self.snapshot()
                self._show(self.shown)

    def show_rates(self) -> None:
        """Show the chosen rate, the rates around it and what can be undone."""
        with self.lock:
            choice = self.owner.value
            bounds = extended(self.shown.swept, choice)
            window = self.rates.window(bounds, choice)
            self._show_changed(choice=choice, bounds=bounds, window=window)

    def show_undoable(self) -> None:
        """Show what can be undone, if it has changed."""
        with self.lock:
            if self.shown.undoable != self.undo.name:
                self._show_changed()

    def _show_changed(self, **changes: Any) -> None:  # noqa: ANN401 (of any field)
        """Show some fields, if nothing else has changed."""
        if not self.closed:
            self.shown = replace(self.shown, undoable=self.undo.name, **changes)
            self._show(self.shown)

    def follow(self, suggestion: float | None) -> None:
        """Choose a suggestion, if there is one, unless another rate was picked."""
        while suggestion is not None:
            self.owner.follow_suggestion(suggestion)
            # Another thread may have changed the suggestion and followed it before.
            latest = self.shown.suggestion.lr
            suggestion = None if latest == suggestion else latest

    # ---- the present state

    @property
    def running(self) -> bool:
        """Whether a job runs."""
        return self.job is not None and self.job.running

    @property
    def progress(self) -> float:
        """The share of the steps of the latest job that are done, from 0 to 1."""
        job = self.job  # read once, since a new job may take its place
        history = NO_HISTORY if job is None else job.history
        return min(len(history) / (history.num_it or 1), 1.0)

    @property
    def verification(self) -> Verification | None:
        """The latest verification; None once there is a newer curve."""
        return self.suggestions.verification(self.runs.latest_curve)

    def looks(self, curve: LRCurve, smoothing: Smoothing) -> Looks:
        """Return the look of a picture of a curve with this smoothing."""
        return {
            "smoothing": smoothing,
            "rule": self.suggestions.rule,
            "choice": self.owner.value,
            "checked": self.suggestions.checked(curve),
        }

    def snapshot(self) -> Snapshot:
        """Return the present state."""
        with self.lock:
            job, runs, known = self.job, self.runs.all, self.suggestions
            # Read before the curves, so that these have at least as many steps.
            latest = None if job is None else job.snapshot()
            testing = job is not None and job.testing
            unbegun = testing and latest is not None and latest.unbegun
            opened, growing = self.runs.opened, self._growing()
            grows = testing if opened is None else opened in growing
            whole = EMPTY if opened is None else opened.history.curve()
            curve = EMPTY if grows and unbegun else whole
            swept, choice = self._swept(), self.owner.value
            bounds = extended(swept, choice)
            self.rates.part = self._default_part(swept)
            return Snapshot(
                capabilities=self._capabilities,
                config=self.settings.config,
                problem=self.settings.problem,
                runs=runs,
                opened=opened,
                growing=growing,
                suggestions=[
                    NO_SUGGESTION if run in growing else known.of(run.history.curve())
                    for run in runs
                ],
                curve=curve,
                suggestion=NO_SUGGESTION if grows else known.of(curve),
                checked=not grows and known.checked(curve) is not None,
                race=known.trainings_with_rates,
                verification=known.verification(whole),
                verifiable=not self.running and self.runs.verifiable() is not None,
                total_steps=self.settings.known_steps,
                job=latest,
                swept=swept,
                bounds=bounds,
                window=self.rates.window(bounds, choice),
                choice=choice,
                testing=testing,
                undoable=self.undo.name,
            )

    def _growing(self) -> list[Run]:
        """Return the runs that may get further steps, or that a new one replaces."""
        job = self.job
        if job is None or not job.testing:
            return []
        if not job.tests:
            return self.runs.all[-1:]
        return [run for run in self.runs.all if run.history in job.tests]

    def _swept(self) -> Limits:
        """Return the lowest and the highest rate of all runs and the next one."""
        plans = [run.history.plan for run in self.runs.all]
        if self._capabilities.run or not any(plans):
            plans.append(self.settings.config.plan)
        trainings = self.suggestions.trainings
        plans += [] if trainings is None else [run.plan for run in trainings.runs]
        swept = _hull(plans)
        checked = self.verification
        # After a race, the plans no longer include the trainings of the check.
        return swept if checked is None else extended(swept, checked.low)

    def _default_part(self, swept: Limits) -> Limits:
        """Return the rates of the running test, or else those that matter."""
        job, opened = self.job, self.runs.opened
        if job is not None and (job.testing or (job.running and job.tests)):
            plans = [run.plan for run in job.tests]
            return _hull(plans) if any(plans) else swept
        if opened is None:
            return swept
        others = [x for x in self.runs.all if x is not opened and not x.hidden]
        curves = [run.history.curve() for run in (*others, opened)]
        trainings = self.suggestions.trainings
        suggested = self.suggestions.of(opened.history.curve())[:3]
        rates = [*suggested, *([] if trainings is None else trainings.rates)]
        held = [rate for rate in rates if rate is not None]
        return self.rates.part_that_matters(curves, held, swept)


def _hull(plans: list[Plan | None]) -> Limits:
    """Return the lowest and the highest rate of the plans that are known."""
    known = [plan for plan in plans if plan is not None]
    return min(plan.start_lr for plan in known), max(plan.end_lr for plan in known)
