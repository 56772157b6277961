"""The state of a widget, and the commands that change it."""

from __future__ import annotations

import math
import threading
import time
import traceback
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from lrwidget.config import FIELDS
from lrwidget.curve.checks import usable_count
from lrwidget.curve.history import JobHistory, RunHistory
from lrwidget.curve.picture import exported
from lrwidget.curve.race_history import RaceHistory, checked_rates, neighbours
from lrwidget.curve.runs import (
    check_comparison,
    check_label,
    named,
    new_run,
    renamed,
    with_added,
    with_look,
    with_restored,
    without,
    without_empty,
)
from lrwidget.curve.suggestion import NO_SUGGESTION, Suggestion
from lrwidget.curve.ticks import rounded
from lrwidget.curve.verification_history import (
    VerificationHistory,
    is_verifiable,
    usable_total,
)
from lrwidget.curve.window import Zoom, around, extended, rates_that_matter
from lrwidget.runner import Runner
from lrwidget.ui.snapshot import JobSnapshot, Snapshot
from lrwidget.undo import Undo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from lrwidget.backends.base import Backend, Job
    from lrwidget.curve.history import Event
    from lrwidget.curve.loss_limits import Limits
    from lrwidget.curve.lr_curve import LRCurve
    from lrwidget.curve.picture import Looks
    from lrwidget.curve.runs import Run
    from lrwidget.curve.trend import Smoothing
    from lrwidget.curve.verification import Verification
    from lrwidget.ui.snapshot import Kind, Trainings

_STEPS_PER_DECADE = 10
_NAMES = {"race": "race", "verification": "check by training"}
_EMPTY = RunHistory(None).curve()
_NO_HISTORY = JobHistory([])
# The names of the commands that can be undone.
PICK, ZOOM, APPLY, REMOVAL = "the pick", "the zoom", "Apply", "the removal"


class RateOwner(Protocol):
    """The owner of the chosen rate, which calls its observers."""

    value: float | None

    @property
    def choice(self) -> Choice:
        """The chosen rate, and the suggestion that it follows."""

    def restore(self, choice: Choice) -> None:
        """Choose what was chosen before."""

    def pick(self, rate: float) -> None:
        """Choose a rate, whatever was chosen before."""

    def follow_suggestion(self, suggestion: float) -> None:
        """Choose a suggestion, unless another rate was picked."""


class Choice(NamedTuple):
    """A chosen rate, and the suggestion that it follows, if any."""

    rate: float | None
    suggested: float | None


class _Drag(NamedTuple):
    """A drag of the handle: the edges of the chart, and the latest place."""

    low: float = 0.0
    high: float = math.inf
    place: float | None = None
    ended: bool = True

    def to(self, rate: float) -> _Drag:
        """Return the drag at another place."""
        # The last place of a drag may arrive once more after its end.
        if self.ended and rate != self.place:
            return _Drag(place=rate)
        return self._replace(place=rate)


class _JobState:
    """The latest job, as far as it has come."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.history = _NO_HISTORY
        self.tests: list[RunHistory] = []  # the runs of its history in the chart
        self.runner: Runner | None = None
        self.ready = threading.Event()  # set once there is a runner, or an error
        self.running = True
        self.stopping = False
        self.stopped_at: int | None = None  # number of started tests at the last stop
        self.error: BaseException | None = None
        self.traceback = ""

    @property
    def testing(self) -> bool:
        """Whether a curve of the chart may grow."""
        if not self.ready.is_set():
            return self.kind in {"test", "comparison"}
        return self.running and any(run.stop_reason is None for run in self.tests)

    def fail(self, error: BaseException, text: str) -> None:
        """Keep the first error."""
        if self.error is None:
            self.error, self.traceback = error, text

    def snapshot(self) -> JobSnapshot:
        activity, silence, seconds = None, 0.0, 0.0
        runner, history = self.runner, self.history
        if runner is not None:
            latest = runner.job.activity()
            seconds = runner.seconds if latest.seconds is None else latest.seconds
            if self.running:
                activity = latest
                silence = time.monotonic() - (latest.since or runner.last_event)
        return JobSnapshot(
            kind=self.kind,
            runs=len(history.runs),
            done=len(history),
            total=history.num_it,
            running=self.running,
            error=self.error,
            traceback=self.traceback,
            activity=activity,
            silence=silence,
            seconds=seconds,
            notices=() if runner is None else tuple(runner.job.notices),
        )


class Controller:
    """
    The state of a widget except the chosen rate, and the lock of this state.

    Commands may come on any thread. No file is read, no thread joined, no model copied
    and no observer called while the lock is held.
    """

    def __init__(self, backend: Backend, rule: str, owner: RateOwner) -> None:
        self._backend = backend
        self._rule = rule
        self._owner = owner
        self._lock = threading.RLock()
        self._applying = threading.RLock()  # held while an optimizer is written to
        self._show: Callable[[Snapshot], object] = lambda _snapshot: None
        self._closed = False
        self._config = backend.config
        self._fields = {name: getattr(self._config, name) for name in FIELDS}
        self._problem = ""
        self._total_steps: object = None  # in the settings, usable or not
        self._known_steps = backend.total_steps  # of the training
        self._runs: list[Run] = []  # replaced, not changed: other threads may read it
        self._opened: RunHistory | None = None  # None for that of the latest run
        self._tested: tuple[RunHistory, Mapping[str, Any]] | None = None  # the latest
        self.race_history: Trainings | None = None  # of the latest race or check
        self._verified: tuple[Verification, str] | None = None  # and the rule then
        self._job: _JobState | None = None
        self._zoom: Zoom | None = None  # by hand
        self._part = 0.0, math.inf  # of the rates, shown without a zoom
        self._matters: tuple[object, Limits] | None = None  # from what, and the part
        self._drag = _Drag()
        self._undo = Undo()
        self.rate_ratios = backend.rate_ratios
        self.shown = self.snapshot()  # in the display

    def display(self, show: Callable[[Snapshot], object]) -> None:
        """Give each new state to a function, which is called under the lock."""
        with self._lock:
            self._show = show
            self.refresh()

    # ---- the state

    @property
    def running(self) -> bool:
        """Whether a job runs."""
        return self._job is not None and self._job.running

    @property
    def curve(self) -> LRCurve:
        """The curve of the latest test so far; an empty one before the first."""
        runs = self._runs
        return runs[-1].history.curve() if runs else _EMPTY

    @property
    def curves(self) -> dict[str, LRCurve]:
        """The curve of each run so far, by its name."""
        return {run.name: run.history.curve() for run in self._runs}

    @property
    def progress(self) -> float:
        """The share of the steps of the latest job that are done, from 0 to 1."""
        state = self._job  # read once, since a new job may take its place
        history = _NO_HISTORY if state is None else state.history
        return min(len(history) / (history.num_it or 1), 1.0)

    @property
    def verification(self) -> Verification | None:
        """The latest one, while the curve that it checked is the latest."""
        return self._verification_of(self.curve)

    def snapshot(self) -> Snapshot:
        """Return the present state."""
        with self._lock:
            runs, race = self._runs, self.race_history
            plans = [run.history.plan for run in runs]
            if self._backend.capabilities.run or not any(plans):
                plans.append(self._config.plan)
            plans += [] if race is None else [run.plan for run in race.runs]
            known = [plan for plan in plans if plan is not None]
            swept = min(p.start_lr for p in known), max(p.end_lr for p in known)
            if self.verification is not None:  # after a race in place of its lanes
                swept = extended(swept, self.verification.low)
            choice = self._owner.value
            self._part = self._default_part(swept)
            job = None if self._job is None else self._job.snapshot()
            testing = self._job is not None and self._job.testing
            unbegun = testing and job is not None and job.runs > 0 and job.done == 0
            opened, growing = self._opened_run(), self._growing()
            grows = testing if opened is None else opened in growing
            planned = opened.history.num_it if grows and opened is not None else 0
            whole = _EMPTY if opened is None else opened.history.curve()
            curve = _EMPTY if grows and unbegun else whole
            suggestions = [
                NO_SUGGESTION
                if run in growing
                else self._suggestion(run.history.curve())
                for run in runs
            ]
            return Snapshot(
                capabilities=self._backend.capabilities,
                config=self._config,
                problem=self._problem,
                runs=runs,
                opened=opened,
                growing=growing,
                suggestions=suggestions,
                curve=curve,
                points=planned if grows else len(curve),
                suggestion=NO_SUGGESTION if grows else self._suggestion(curve),
                checked=not grows and self._checked_suggestion(curve) is not None,
                race=race if race is not None and race.rates else None,
                verification=self._verification_of(whole),
                verifiable=not self.running and self._verifiable() is not None,
                total_steps=self._known_steps,
                job=job,
                swept=swept,
                window=self._window(swept, choice),
                choice=choice,
                testing=testing,
                undoable=self._undo.name,
            )

    def _window(self, swept: Limits, choice: float | None) -> Limits:
        """Return the rates to show."""
        bounds = extended(swept, choice)
        if self._zoom is None:
            return around(self._part, choice, bounds)
        return self._zoom.window(bounds, choice)

    def _default_part(self, swept: Limits) -> Limits:
        """Return the rates of the running test, or else those that matter."""
        job, race = self._job, self.race_history
        if job is not None and job.testing:
            plans = [run.plan for run in job.tests if run.plan is not None]
            if not plans:
                return swept
            return min(p.start_lr for p in plans), max(p.end_lr for p in plans)
        opened = self._opened_run()
        if opened is None:
            return swept
        curves = [
            run.history.curve() for run in self._runs if run is opened or not run.hidden
        ]
        tried = self._suggestion(opened.history.curve())
        rates = [*tried[:3], *([] if race is None else race.rates)]
        held = [rate for rate in rates if rate is not None]
        found = curves, held, swept
        if self._matters is None or self._matters[0] != found:
            self._matters = found, rates_that_matter(*found)
        return self._matters[1]

    def _opened_run(self) -> Run | None:
        """Return the run that was opened, if it is there; else the latest one."""
        for run in self._runs:
            if run.history is self._opened:
                return run
        return self._runs[-1] if self._runs else None

    def _growing(self) -> list[Run]:
        """Return the runs that may get further steps, or that a new one replaces."""
        job = self._job
        if job is None or not job.testing:
            return []
        if not job.tests:
            return self._runs[-1:]
        return [run for run in self._runs if run.history in job.tests]

    def _suggestion(self, curve: LRCurve) -> Suggestion:
        """Return the suggestion for a curve, checked by training if it was."""
        return self._checked_suggestion(curve) or curve.suggestion(self._rule)

    def _verification_of(self, curve: LRCurve) -> Verification | None:
        """Return the latest verification, if it has checked a curve."""
        found = self._verified
        return found[0] if found is not None and found[0].curve is curve else None

    def _checked_suggestion(self, curve: LRCurve) -> Suggestion | None:
        """Return that of the verification, unless another rule was chosen since."""
        found = self._verification_of(curve)
        if found is None or not found.checked or self._verified != (found, self._rule):
            return None
        return Suggestion(found.lr, found.low, found.high, "checked by training")

    # ---- the commands of the display

    def refresh(self) -> None:
        """Show the present state."""
        with self._lock:
            if not self._closed:
                self.shown = self.snapshot()
                self._show(self.shown)

    def show_choice(self) -> None:
        """Show the chosen rate, if nothing else has changed."""
        with self._lock:
            choice = self._owner.value
            window = self._window(self.shown.swept, choice)
            self._show_changed(choice=choice, window=window)

    def _show_changed(self, **changes: Any) -> None:  # noqa: ANN401 (of any field)
        """Show some fields, if nothing else has changed."""
        if not self._closed:
            undoable = self._undo.name
            self.shown = replace(self.shown, undoable=undoable, **changes)
            self._show(self.shown)

    def toggle(self) -> None:
        """Start a test, or stop the running job."""
        state = self._job
        if state is not None and state.running and state.ready.is_set():
            self.stop()
        else:  # a second press while a test starts does nothing
            self.start()

    def start(self) -> None:
        """Start a test, unless a job runs."""
        # The error is in the status, and raised by wait().
        with suppress(Exception), self._backend.as_made():
            self.run(None, {})
        self.refresh()  # outside, so that an error of the display is raised

    def start_check(self) -> None:
        """Start to check the suggestion by training."""
        with suppress(Exception), self._backend.as_made():  # as above
            self.verify(None)
        self.refresh()

    def configure(self, fields: Mapping[str, Any], total_steps: object = None) -> None:
        """Use other settings for the next job, if they can be used."""
        with self._lock:
            self._fields = fields = dict(fields)
            self._total_steps = total_steps
        # Outside the lock, since the checks call methods of the user's loaders.
        config, known, problem = None, self._known_steps, ""
        try:
            known = usable_total(total_steps) or self._backend.total_steps
            config = replace(self._backend.config, **fields)
        except Exception as error:  # noqa: BLE001 (whatever it is, the user is told)
            problem = str(error) or type(error).__name__
        with self._lock:
            if self._fields is fields:  # no later ones are in use already
                self._config, self._problem = config or self._config, problem
                self._known_steps = known
                self.refresh()

    def pick(self, rate: float) -> None:
        """Choose a rate, whatever was chosen before."""
        self._pick(rate, goes_on=False)

    def grab(self) -> None:
        """Begin to drag the handle, which stays between the edges of the chart."""
        with self._lock:
            self._undo.close()
            self._drag = _Drag(*self.shown.window, ended=False)

    def move(self, rate: float) -> None:
        """Choose a rate on the way to another one; all until `release` are one pick."""
        with self._lock:
            self._drag = drag = self._drag.to(rate)
        self._pick(min(max(rate, drag.low), drag.high), goes_on=True)

    def release(self) -> None:
        """End the moves of one pick."""
        with self._lock:
            self._undo.close()
            self._drag = self._drag._replace(ended=True)

    def _pick(self, rate: float, *, goes_on: bool) -> None:
        before = self._owner.choice
        try:
            self._owner.pick(rate)
        finally:  # an observer may raise
            if self._owner.choice != before:
                with self._lock:
                    undo = partial(self._restore_choice, before)
                    self._undo.add(PICK, undo, goes_on=goes_on)
                    if self.shown.undoable != PICK:
                        self._show_changed()

    def _restore_choice(self, before: Choice) -> None:
        self._owner.restore(before)
        suggestion = self.shown.suggestion.lr
        if before.suggested is not None and suggestion is not None:
            self._owner.follow_suggestion(suggestion)

    def zoom(self, low: float, high: float) -> None:
        """Show the rates in a range; all zooms until `end_zoom` are one."""
        with self._lock:
            self._zoom_to(Zoom(low, high, self._owner.value), goes_on=True)

    def end_zoom(self) -> None:
        """End the zooms that are undone together."""
        with self._lock:
            self._undo.close()

    def show_all(self) -> None:
        """Show all rates, until the next test starts."""
        with self._lock:
            self._undo.close()
            self._zoom_to(Zoom(0.0, math.inf, self._owner.value), goes_on=False)

    def _zoom_to(self, zoom: Zoom | None, *, goes_on: bool | None) -> None:
        """Zoom, and note how to undo that, unless it is None whether it goes on."""
        before, self._zoom = self._zoom, zoom
        window = self._window(self.shown.swept, self._owner.value)
        if goes_on is not None and window == self.shown.window:
            self._zoom = before
            return
        if goes_on is not None:
            undo = partial(self._zoom_to, before, goes_on=None)
            self._undo.add(ZOOM, undo, goes_on=goes_on)
        self._show_changed(window=window)

    def undo(self) -> str:
        """Undo the latest command, and return what was undone; empty for nothing."""
        with self._lock:
            name = self._undo.name
        # What Apply has written is written back before the next Apply.
        with self._applying if name == APPLY else nullcontext():
            return self._undone(name)

    def _undone(self, name: str) -> str:
        with self._lock:
            inverse = self._undo.take(name)
        if inverse is None:
            return ""
        try:
            inverse.undo()
        except Exception:
            with self._lock:
                self._undo.put_back(inverse)
            raise
        with self._lock:
            self._show_changed()
        return f"Undone: {inverse.name}."

    def undo_pick(self) -> None:
        """Undo the latest command if it is a pick."""
        if self._undo.name == PICK:
            self.undo()

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
        suggestion = self.snapshot().suggestion.lr
        if suggestion is not None:
            self.pick(rounded(suggestion))
        elif self._owner.value is None:
            low, high = self.shown.window
            self.pick(math.sqrt(low * high))

    def apply(self) -> str:
        """Write the chosen rate to the optimizer, and return what has changed."""
        rate = self._owner.value
        if rate is None:
            msg = "value=None: choose a rate first: run() and wait(), or set value=1e-3"
            raise RuntimeError(msg)
        with self._applying:
            undo = self._backend.saved_rates()
            applied = self._backend.apply_rate(rate)
            with self._lock:
                self._undo.add(APPLY, undo)
                self._show_changed()
        return f"Applied: {applied}."

    def export(self, kind: str, smoothing: Smoothing) -> bytes:
        """Return the curve of the opened run as a file of a format."""
        with self._lock:
            opened = self._opened_run()
        curve = _EMPTY if opened is None else opened.history.curve()
        return exported(curve, kind, self.looks(curve, smoothing))

    def looks(self, curve: LRCurve, smoothing: Smoothing) -> Looks:
        """Return the look of a picture of a curve with this smoothing."""
        return {
            "smoothing": smoothing,
            "rule": self._rule,
            "choice": self._owner.value,
            "checked": self._checked_suggestion(curve),
        }

    def remove(self, name: str) -> None:
        """Forget a former run; see `LRWidget.remove`."""
        with self._lock:
            opened = self._opened_run()
            removed = opened is not None and opened.name == name
            before = self._runs
            self._runs = without(before, name)
            place = next(i for i, run in enumerate(before) if run.name == name)
            undo = partial(self._restore_run, before[place], place)
            self._undo.add(REMOVAL, undo)
            self.refresh()
            suggestion = self.shown.suggestion.lr if removed else None
        self._follow(suggestion)

    def _restore_run(self, run: Run, place: int) -> None:
        with self._lock:
            self._runs = with_restored(self._runs, run, place)
            self.refresh()

    # ---- the commands of the table of runs

    def open(self, name: str) -> None:
        """Show the curve and the suggestion of a run, until the next test starts."""
        with self._lock:
            self._opened = named(self._runs, name).history
            self.refresh()
            suggestion = self.shown.suggestion.lr
        self._follow(suggestion)

    def rename(self, name: str, new: str) -> None:
        """Give a run another name, which no other run has."""
        with self._lock:
            self._runs = renamed(self._runs, name, new)
            self.refresh()

    def mark(
        self, name: str, *, pinned: bool | None = None, hidden: bool | None = None
    ) -> None:
        """Pin a run, or hide it while another one is opened; None changes nothing."""
        with self._lock:
            self._runs = with_look(self._runs, name, pinned=pinned, hidden=hidden)
            self.refresh()

    def _follow(self, suggestion: float | None) -> None:
        """Choose a suggestion, if there is one, unless another rate was picked."""
        if suggestion is not None:
            self._owner.follow_suggestion(suggestion)

    # ---- the commands of the widget

    def use_rule(self, rule: str) -> None:
        """Suggest by another rule."""
        with self._lock:
            self._rule = rule
            self.refresh()
            suggestion = self.shown.suggestion.lr
        self._follow(suggestion)

    def run(self, label: str | None, changes: Mapping[str, Any]) -> None:
        """Start a test; see `LRWidget.run`."""
        self._check_can_run()
        with self._reserved("test") as state:
            check_label(label)
            every = {**self._fields, **changes}
            self._start(state, self._backend.test(every), [(label, every)])
        self.refresh()

    def follow(self, name: str, job: Job) -> None:
        """Follow a test that runs elsewhere."""
        with self._reserved("test") as state:
            self._start(state, job, [(name, {})])
        self.refresh()

    def compare(self, runs: Mapping[str, Mapping[str, Any]]) -> None:
        """Start several tests; see `LRWidget.compare`."""
        self._check_can_run()
        with self._reserved("comparison") as state:
            check_comparison(runs)
            every = [{**self._fields, **changes} for changes in runs.values()]
            job = self._backend.compare(every)
            self._start(state, job, list(zip(runs, every, strict=True)))
        self.refresh()

    def race(self, rates: Sequence[float] | None, steps: int | None) -> None:
        """Start a race; see `LRWidget.race`."""
        self._check_can_run()
        with self._reserved("race") as state:
            shown = self.shown
            if rates is None:
                rates = neighbours(shown.suggestion, self._owner.value, *shown.bounds)
                if not rates:
                    msg = "nothing to race: run() and wait() first, or pass rates"
                    raise RuntimeError(msg)
            rates = checked_rates(rates, *shown.bounds)
            if steps is not None:  # the back end checks those of the settings
                steps = usable_count("steps", steps)
            history = RaceHistory(rates, steps or self._fields["num_it"])
            job = self._backend.race(self._fields, history.rates, history.steps)
            self._start(state, job, [], history)
        self.refresh()

    def verify(self, total_steps: object) -> None:
        """Start to check the suggestion; see `LRWidget.verify`."""
        self._check_can_run()
        with self._reserved("verification") as state:
            total = self._total_steps if total_steps is None else total_steps
            curve, changes = self._verifiable() or (None, self._fields)
            job = self._backend.verify(changes, curve, usable_total(total))
            new = [(None, changes)] if curve is None else []
            self._start(state, job, new, job.history)
        self.refresh()

    def _verifiable(self) -> tuple[LRCurve, Mapping[str, Any]] | None:
        """Return the latest curve with its arguments, if it can be verified."""
        latest = self._runs[-1].history if self._runs else None
        if self._tested is None or self._tested[0] is not latest:
            return None
        curve = self.curve
        return (curve, self._tested[1]) if is_verifiable(curve) else None

    def stop(self) -> None:
        """Ask the job to stop; at a second call, do not wait for it any more."""
        with self._lock:
            state = self._job
            if state is None or not state.running:
                return
            # A new test may have replaced the test that the last call asked to stop.
            starts = sum(run.starts for run in state.history.runs)
            again, state.stopped_at = state.stopped_at == starts, starts
            state.stopping = True
            if state.runner is not None:
                job = state.runner.job
                (job.abandon if again else job.stop)()
            self.refresh()

    def wait(self, timeout: float | None) -> None:
        """
        Wait for the end of the job, and raise the error that has ended it.

        An interrupt stops the job; a followed test goes on, and following it ends.
        """
        state = self._job
        if state is None:
            msg = "there is no test to wait for; call run() first"
            raise RuntimeError(msg)
        try:
            state.ready.wait()
            if state.runner is not None:
                state.runner.wait(timeout)
        except KeyboardInterrupt:
            if state.runner is not None:
                state.runner.job.abandon()
            raise
        if state.error is not None:
            raise state.error

    def close(self) -> None:
        """Show nothing more, and stop the job."""
        with self._lock:
            self._closed = True
            runner = None if self._job is None else self._job.runner
        if runner is not None:
            runner.abandon()

    # ---- the life of a job

    @contextmanager
    def _reserved(self, kind: Kind) -> Iterator[_JobState]:
        """
        Reserve the place of the running job for a new job.

        An error inside becomes the error of the new job. After the job has started, an
        error or an interrupt leaves it running.
        """
        with self._lock:
            self._check_open()
            if self._job is not None and self._job.running:
                what = _NAMES.get(self._job.kind, "test")
                how = "running" if self._job.ready.is_set() else "starting"
                msg = f"a {what} is {how} already; call stop() and wait() first"
                raise RuntimeError(msg)
            self._job = state = _JobState(kind)
        try:
            yield state
        except BaseException as error:
            if state.ready.is_set():
                raise
            text = _traceback(error)
            with self._lock:
                state.fail(error, text)
                state.running = False
                state.ready.set()
                self.refresh()
            raise

    def _check_can_run(self) -> None:
        if not self._backend.capabilities.run:
            self._backend.test({})  # raises RuntimeError with the reason

    def _check_open(self) -> None:
        if self._closed:
            msg = "the widget is closed; make a new one"
            raise RuntimeError(msg)

    def _start(
        self,
        state: _JobState,
        job: Job,
        tests: Sequence[tuple[str | None, Mapping[str, Any]]],
        history: JobHistory | None = None,
    ) -> None:
        """Start a job; its first runs are tests with these labels and arguments."""
        history = JobHistory(job.plans) if history is None else history
        arguments = self._backend.arguments
        runs = [
            new_run(arguments, changes, label, run)
            for (label, changes), run in zip(tests, history.runs, strict=False)
        ]
        events = job.events()
        with ExitStack() as unless_started, self._lock:
            if isinstance(events, Generator):
                unless_started.callback(_close, events)
            self._check_open()
            if state.stopping:  # asked for while it started
                job.stop()
            every = with_added(self._runs, runs)
            finish = partial(self._finish, state)
            runner = Runner(job, events, history, self.refresh, finish)
            runner.start()
            unless_started.pop_all()
            state.history, state.runner, self._runs = history, runner, every
            if runs:
                state.tests = [run.history for run in runs]
                self._zoom = None
                self._undo.forget(ZOOM)
                self._tested = state.tests[-1], tests[-1][1]
            if not isinstance(history, RaceHistory):
                self._opened = None
            if isinstance(history, RaceHistory | VerificationHistory):
                self.race_history = history
            state.ready.set()

    def _finish(self, state: _JobState, error: BaseException | None) -> None:
        text = "" if error is None else _traceback(error)
        try:
            with self._lock:
                if error is not None:
                    state.fail(error, text)
                state.running = False
                if self._closed:
                    return
                done = state.history if error is None else None
                if isinstance(done, VerificationHistory) and done.rates:
                    self._verified = done.verification(), self._rule
                if error is not None or state.kind == "comparison":
                    self._runs = without_empty(self._runs)
                self.refresh()
                suggestion = self.shown.suggestion.lr
            if state.kind != "race":
                self._follow(suggestion)
        except BaseException as raised:  # noqa: BLE001 (of an observer; raised by wait)
            text = _traceback(raised)
            with self._lock:
                state.fail(raised, text)
                self.refresh()


def _close(events: Generator[Event, None, None]) -> None:
    with suppress(ValueError):  # a thread that has just started closes them
        events.close()


def _traceback(error: BaseException) -> str:
    """Return an error with its traceback, for which files are read."""
    return "".join(traceback.format_exception(error)).strip()
