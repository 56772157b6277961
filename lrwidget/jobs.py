"""The jobs of a widget, from their starts to their ends."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from lrwidget.curve.history import JobHistory
from lrwidget.curve.race_history import RaceHistory
from lrwidget.curve.runs import new_run, with_added
from lrwidget.curve.verification_history import VerificationHistory
from lrwidget.runner import Runner
from lrwidget.state.job import JobState, traceback_of
from lrwidget.state.undo import OPENING, ZOOM

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lrwidget.backends.base import Job
    from lrwidget.curve.history import Event
    from lrwidget.state.state import State
    from lrwidget.ui.snapshot import Kind

_NAMES = {"race": "race", "verification": "check by training"}


class Jobs:
    """The jobs that change a state, one at a time."""

    def __init__(self, state: State, arguments: Mapping[str, Any]) -> None:
        self._state = state
        self._arguments = arguments  # of the widget's tests

    @contextmanager
    def reserved(self, kind: Kind) -> Iterator[JobState]:
        """
        Reserve the place of the running job for a new job.

        An error inside becomes the error of the new job. After the job has started, an
        error or an interrupt leaves it running.
        """
        state = self._state
        with state.lock:
            self._check_open()
            if state.job is not None and state.job.running:
                what = _NAMES.get(state.job.kind, "test")
                how = "running" if state.job.ready.is_set() else "starting"
                msg = f"a {what} is {how} already; call stop() and wait() first"
                raise RuntimeError(msg)
            state.job = new = JobState(kind)
        try:
            yield new
        except BaseException as error:
            if new.ready.is_set():
                raise
            text = traceback_of(error)
            with state.lock:
                new.end(error, text)
                new.ready.set()
                state.refresh()
            raise

    def start(
        self,
        new: JobState,
        job: Job,
        tests: Sequence[tuple[str | None, Mapping[str, Any]]],
        history: JobHistory | None = None,
    ) -> None:
        """Start a job; its first runs are tests with these labels and arguments."""
        state, arguments = self._state, self._arguments
        history = JobHistory(job.plans) if history is None else history
        runs = [
            new_run(arguments, changes, label, run)
            for (label, changes), run in zip(tests, history.runs, strict=False)
        ]
        events = job.events()
        with ExitStack() as unless_started, state.lock:
            if isinstance(events, Generator):
                unless_started.callback(_close, events)
            self._check_open()
            if new.stopping:  # asked for while it started
                job.stop()
            every = with_added(state.runs.all, runs)
            finish = partial(self._finish, new)
            runner = Runner(job, events, history, state.refresh, finish)
            runner.start()
            unless_started.pop_all()
            new.history, new.runner = history, runner
            if runs:
                new.tests = [run.history for run in runs]
                state.runs.begin(every, tests[-1][1])
                state.rates.zoom = None
                state.undo.forget(ZOOM)
            if not isinstance(history, RaceHistory):
                state.runs.open_latest()
                state.undo.forget(OPENING)
            if isinstance(history, RaceHistory | VerificationHistory):
                state.suggestions.trainings = history
            new.ready.set()

    def _finish(self, ended: JobState, error: BaseException | None) -> None:
        state, text = self._state, "" if error is None else traceback_of(error)
        try:
            with state.lock:
                ended.end(error, text)
                if state.closed:
                    return
                if error is None:
                    state.suggestions.keep(ended.history)
                if error is not None or ended.kind == "comparison":
                    state.runs.remove_empty()
                state.refresh()
                suggestion = state.shown.suggestion.lr
            if ended.kind != "race":
                state.follow(suggestion)
        except BaseException as raised:  # noqa: BLE001 (of an observer; raised by wait)
            text = traceback_of(raised)
            with state.lock:
                ended.fail(raised, text)
                state.refresh()

    def stop(self) -> None:
        """Ask the job to stop; at a second call, do not wait for it any more."""
        state = self._state
        with state.lock:
            if state.job is not None and state.job.running:
                state.job.stop()
                state.refresh()

    def wait(self, timeout: float | None) -> None:
        """
        Wait for the end of the job, and raise the error that has ended it.

        An interrupt stops the job; a followed test goes on, and following it ends.
        """
        job = self._state.job
        if job is None:
            msg = "there is no test to wait for; call run() first"
            raise RuntimeError(msg)
        job.wait(timeout)

    def close(self) -> None:
        """Show nothing more, and stop the job."""
        state = self._state
        with state.lock:
            state.closed = True
            runner = None if state.job is None else state.job.runner
        if runner is not None:
            runner.abandon()

    def _check_open(self) -> None:
        if self._state.closed:
            msg = "the widget is closed; make a new one"
            raise RuntimeError(msg)


def _close(events: Generator[Event, None, None]) -> None:
    with suppress(ValueError):  # a thread that has just started closes them
        events.close()
