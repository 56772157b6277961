"""The commands of a widget, from the display and from the user's code."""

from __future__ import annotations

import math
import threading
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

from lrwidget.curve.checks import usable_count
from lrwidget.curve.picture import exported
from lrwidget.curve.race_history import RaceHistory, checked_rates, neighbours
from lrwidget.curve.runs import check_comparison, check_label
from lrwidget.curve.ticks import rounded
from lrwidget.curve.verification_history import usable_total
from lrwidget.curve.window import Zoom
from lrwidget.jobs import Jobs
from lrwidget.state.choice import Choice, Drag
from lrwidget.state.runs import EMPTY
from lrwidget.state.settings import Entered, checked
from lrwidget.state.state import State
from lrwidget.state.undo import (
    APPLY,
    HIDING,
    OPENING,
    PICK,
    PINNING,
    REMOVAL,
    RENAMING,
    ZOOM,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from lrwidget.backends.base import Backend, Job
    from lrwidget.curve.trend import Smoothing
    from lrwidget.state.choice import RateOwner
    from lrwidget.state.runs import Restore, Runs

_STEPS_PER_DECADE = 10


class Controller:
    """The commands that change the state of a widget. They may come on any thread."""

    def __init__(self, backend: Backend, rule: str, owner: RateOwner) -> None:
        self._backend = backend
        self._owner = owner
        self.state = state = State(backend, rule, owner)
        self._jobs = Jobs(state, backend.arguments)
        self._drag = Drag()
        self._applying = threading.RLock()  # held while an optimizer is written to
        self.rate_ratios = backend.rate_ratios

    def refresh(self) -> None:
        """Show the present state."""
        self.state.refresh()

    def export(self, kind: str, smoothing: Smoothing) -> bytes:
        """Return the curve of the opened run as a file of a format."""
        opened = self.state.runs.opened
        curve = EMPTY if opened is None else opened.history.curve()
        return exported(curve, kind, self.state.looks(curve, smoothing))

    # ---- the chosen rate

    def pick(self, rate: float) -> None:
        """Choose a rate, whatever was chosen before."""
        self._pick(rate, goes_on=False)

    def grab(self) -> None:
        """Begin to drag the handle, which stays between the edges of the chart."""
        with self.state.lock:
            self.state.undo.close()
            self._drag = Drag(*self.state.shown.window, ended=False)

    def move(self, rate: float) -> None:
        """Choose a rate on the way to another one; all until `release` are one pick."""
        with self.state.lock:
            self._drag = drag = self._drag.to(rate)
        self._pick(min(max(rate, drag.low), drag.high), goes_on=True)

    def release(self) -> None:
        """End the moves of one pick."""
        with self.state.lock:
            self.state.undo.close()
            self._drag = self._drag._replace(ended=True)

    def _pick(self, rate: float, *, goes_on: bool) -> None:
        before = self._owner.choice
        try:
            self._owner.pick(rate)
        finally:  # an observer may raise
            if self._owner.choice != before:
                undo = partial(self._restore_choice, before)
                self._can_undo(PICK, undo, goes_on=goes_on)

    def _restore_choice(self, before: Choice) -> None:
        suggestion = self.state.shown.suggestion.lr
        if suggestion is not None and before.follows:
            # There may have been another suggestion then.
            before = Choice(rounded(suggestion), rounded(suggestion))
        self._owner.restore(before)

    def step(self, count: int) -> None:
        """Move to another tenth of a decade, or begin with the suggestion."""
        rate = self._owner.value
        if rate is None:
            self.home()
        else:
            # Of the places, not of the rate: else the rounding would add up.
            place = round(_STEPS_PER_DECADE * math.log10(rate)) + count
            self.pick(rounded(10 ** (place / _STEPS_PER_DECADE)))

    def home(self) -> None:
        """Choose the suggestion, or the middle of the chart if there is none."""
        suggestion = self.state.snapshot().suggestion.lr
        if suggestion is not None:
            self.pick(rounded(suggestion))
        elif self._owner.value is None:
            low, high = self.state.shown.window
            self.pick(rounded(math.sqrt(low * high)))

    def apply(self) -> str:
        """Write the chosen rate to the optimizer, and return what has changed."""
        rate = self._owner.value
        if rate is None:
            msg = "value=None: choose a rate first: run() and wait(), or set value=1e-3"
            raise RuntimeError(msg)
        with self._applying:
            undo = self._backend.saved_rates()
            applied = self._backend.apply_rate(rate)
            self._can_undo(APPLY, undo)
        return f"Applied: {applied}."

    # ---- the rates in the chart

    def zoom(self, low: float, high: float) -> None:
        """Show the rates in a range; all zooms until `end_zoom` are one."""
        self._zoom(Zoom(low, high, self._owner.value), goes_on=True)

    def end_zoom(self) -> None:
        """End the zooms that are undone together."""
        with self.state.lock:
            self.state.undo.close()

    def show_all(self) -> None:
        """Show all rates, until the next test starts."""
        with self.state.lock:
            self.state.undo.close()
            self._zoom(Zoom(0.0, math.inf, self._owner.value), goes_on=False)

    def _zoom(self, zoom: Zoom, *, goes_on: bool) -> None:
        state = self.state
        with state.lock:
            before, state.rates.zoom = state.rates.zoom, zoom
            window = state.rates.window(state.shown.bounds, self._owner.value)
            if window == state.shown.window:
                state.rates.zoom = before
            else:
                undo = partial(self._restore_zoom, before)
                state.undo.add(ZOOM, undo, goes_on=goes_on)
                state.show_rates()

    def _restore_zoom(self, before: Zoom | None) -> None:
        with self.state.lock:
            self.state.rates.zoom = before
            self.state.show_rates()

    # ---- the runs

    def open(self, name: str) -> None:
        """Show the curve and the suggestion of a run, until the next test starts."""
        self._change_runs(OPENING, lambda runs: runs.open(name))

    def rename(self, name: str, new: str) -> None:
        """Give a run another name, which no other run has."""
        self._change_runs(RENAMING, lambda runs: runs.rename(name, new))

    def mark(
        self, name: str, *, pinned: bool | None = None, hidden: bool | None = None
    ) -> None:
        """Pin a run, or hide it while another one is opened; None changes nothing."""
        self._change_runs(
            PINNING if hidden is None else HIDING,
            lambda runs: runs.mark(name, pinned=pinned, hidden=hidden),
        )

    def remove(self, name: str) -> None:
        """Forget a former run; see `LRWidget.remove`."""
        self._change_runs(REMOVAL, lambda runs: runs.remove(name))

    def _change_runs(self, name: str, change: Callable[[Runs], Restore | None]) -> None:
        """Change the runs, and follow the suggestion of another run that is opened."""
        state = self.state
        with state.lock:
            choice, opened = self._owner.choice, state.runs.opened_history
            restore = change(state.runs)
            if restore is None:
                return
            state.undo.add(name, partial(self._restore_runs, restore, choice))
            state.refresh()
            other = state.runs.opened_history is not opened
            suggestion = self.state.shown.suggestion.lr if other else None
        state.follow(suggestion)

    def _restore_runs(self, restore: Restore, before: Choice) -> None:
        state = self.state
        with state.lock:
            opened = state.runs.opened_history
            restore()
            state.refresh()
            other = state.runs.opened_history is not opened
        if other and self._owner.choice.follows:
            self._restore_choice(before)

    # ---- undo

    def undo(self) -> str:
        """Undo the latest command, and return what was undone; empty for nothing."""
        with self.state.lock:
            name = self.state.undo.name
        # Undo of Apply ends before another Apply begins.
        with self._applying if name == APPLY else nullcontext():
            return self._undone(name)

    def _undone(self, name: str) -> str:
        state = self.state
        with state.lock:
            undoable = state.undo.take(name)
        if undoable is None:
            return ""
        try:
            undoable.undo()
        except Exception:
            with state.lock:
                state.undo.put_back(undoable)
            raise
        state.show_undoable()
        return f"Undone: {undoable.name}."

    def undo_pick(self) -> None:
        """Undo the latest command if it is a pick."""
        if self.state.undo.name == PICK:
            self.undo()

    def _can_undo(
        self, name: str, undo: Callable[[], object], *, goes_on: bool = False
    ) -> None:
        """Note how to undo a command, and show that."""
        with self.state.lock:
            self.state.undo.add(name, undo, goes_on=goes_on)
            self.state.show_undoable()

    # ---- the settings

    def use_rule(self, rule: str) -> None:
        """Suggest by another rule."""
        with self.state.lock:
            self.state.suggestions.rule = rule
            self.state.refresh()
            suggestion = self.state.shown.suggestion.lr
        self.state.follow(suggestion)

    def configure(self, fields: Mapping[str, Any], total_steps: object = None) -> None:
        """Use other settings for the next job, if they can be used."""
        state, settings = self.state, self.state.settings
        entered = Entered(dict(fields), total_steps)
        with state.lock:
            settings.entered = entered
        found = checked(entered, self._backend, settings.known_steps)
        with state.lock:
            if settings.use(entered, found):
                self.state.refresh()

    # ---- the jobs

    def toggle(self) -> None:
        """Start a test, or stop the running job."""
        job = self.state.job
        if job is not None and job.running and job.ready.is_set():
            self.stop()
        else:  # a second press while a test starts does nothing
            self.start()

    def start(self) -> None:
        """Start a test, unless a job runs."""
        with self._errors_kept(), self._backend.as_made():
            self._run(None, {})
        self.state.refresh()  # outside, so that an error of the display is raised

    def start_check(self) -> None:
        """Start to check the suggestion by training."""
        with self._errors_kept(), self._backend.as_made():
            self._verify(None)
        self.state.refresh()

    @contextmanager
    def _errors_kept(self) -> Iterator[None]:
        """Suppress an error that a job keeps for the status and for `wait`."""
        try:
            yield
        except Exception as error:
            if self.state.job is None or self.state.job.error is not error:
                raise

    def run(self, label: str | None, changes: Mapping[str, Any]) -> None:
        """Start a test; see `LRWidget.run`."""
        self._run(label, changes)
        self.state.refresh()

    def _run(self, label: str | None, changes: Mapping[str, Any]) -> None:
        self._check_can_run()
        with self._jobs.reserved("test") as new:
            check_label(label)
            every = {**self.state.settings.entered.fields, **changes}
            self._jobs.start(new, self._backend.test(every), [(label, every)])

    def follow(self, name: str, job: Job) -> None:
        """Follow a test that runs elsewhere."""
        with self._jobs.reserved("test") as new:
            self._jobs.start(new, job, [(name, {})])
        self.state.refresh()

    def compare(self, runs: Mapping[str, Mapping[str, Any]]) -> None:
        """Start several tests; see `LRWidget.compare`."""
        self._check_can_run()
        with self._jobs.reserved("comparison") as new:
            check_comparison(runs)
            fields = self.state.settings.entered.fields
            every = [{**fields, **changes} for changes in runs.values()]
            job = self._backend.compare(every)
            self._jobs.start(new, job, list(zip(runs, every, strict=True)))
        self.state.refresh()

    def race(self, rates: Sequence[float] | None, steps: int | None) -> None:
        """Start a race; see `LRWidget.race`."""
        self._check_can_run()
        with self._jobs.reserved("race") as new:
            shown, fields = self.state.shown, self.state.settings.entered.fields
            if rates is None:
                rates = neighbours(shown.suggestion, self._owner.value, *shown.bounds)
                if not rates:
                    msg = "nothing to race: run() and wait() first, or pass rates"
                    raise RuntimeError(msg)
            rates = checked_rates(rates, *shown.bounds)
            if steps is not None:  # the back end checks those of the settings
                steps = usable_count("steps", steps)
            history = RaceHistory(rates, steps or fields["num_it"])
            job = self._backend.race(fields, history.rates, history.steps)
            self._jobs.start(new, job, [], history)
        self.state.refresh()

    def verify(self, total_steps: object) -> None:
        """Start to check the suggestion; see `LRWidget.verify`."""
        self._verify(total_steps)
        self.state.refresh()

    def _verify(self, total_steps: object) -> None:
        self._check_can_run()
        with self._jobs.reserved("verification") as new:
            entered = self.state.settings.entered
            total = entered.total_steps if total_steps is None else total_steps
            curve, changes = self.state.runs.verifiable() or (None, entered.fields)
            job = self._backend.verify(changes, curve, usable_total(total))
            tests = [(None, changes)] if curve is None else []
            self._jobs.start(new, job, tests, job.history)

    def stop(self) -> None:
        """Ask the job to stop; at a second call, do not wait for it any more."""
        self._jobs.stop()

    def wait(self, timeout: float | None) -> None:
        """Wait for the end of the job; see `LRWidget.wait`."""
        self._jobs.wait(timeout)

    def close(self) -> None:
        """Show nothing more, and stop the job."""
        self._jobs.close()

    def _check_can_run(self) -> None:
        if not self._backend.capabilities.run:
            self._backend.test({})  # raises RuntimeError with the reason
