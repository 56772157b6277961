"""One job in a background thread, and the refreshes of what shows it."""

from __future__ import annotations

import atexit
import contextvars
import math
import threading
import time
from collections.abc import Generator
from typing import TYPE_CHECKING

from lrwidget.curve.checks import invalid
from lrwidget.curve.history import Stepped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lrwidget.backends.base import Job
    from lrwidget.curve.history import Event, JobHistory

_SECONDS_BETWEEN_REFRESHES = 0.1
_SECONDS_BETWEEN_QUIET_REFRESHES = 1.0
_SECONDS_TO_END = 5.0
_running: set[Runner] = set()


class Runner:
    """
    A job in a daemon thread, which adds the events of the job to a history.

    ``refresh`` is called in a second thread, and the job does not wait for it. It is
    called soon after new steps, at most ten times a second; without new steps, once a
    second. An error in ``refresh`` stops the job. ``finish`` is called in the thread
    of the job, after the last event and the last refresh, with the error that has
    ended the job, if any.
    """

    def __init__(
        self,
        job: Job,
        events: Iterator[Event],
        history: JobHistory,
        refresh: Callable[[], object],
        finish: Callable[[BaseException | None], object],
    ) -> None:
        self.job = job
        self.last_event = time.monotonic()  # or the start
        self.seconds = 0.0  # between the first step and the last event
        self._history = history
        self._refresh = refresh
        self._finish = finish
        self._news = threading.Event()
        self._ending = threading.Event()
        self._finished = threading.Event()
        self._refresh_error: BaseException | None = None
        self._deadline = math.inf  # to end, after the first call of abandon()
        self._threads = [
            _thread("lrwidget", self._run, events),
            _thread("lrwidget-refresh", self._refresh_at_news),
        ]

    def start(self) -> None:
        """Start to take the events, and return at once."""
        _running.add(self)
        try:
            # The refreshes first: the end of the job waits for their thread.
            for thread in reversed(self._threads):
                thread.start()
        except BaseException:  # no thread can be made, or an interrupt
            self.job.abandon()
            self._end_refreshes()
            _running.discard(self)
            raise

    def wait(self, timeout: float | None = None) -> None:
        """Wait for the end, or raise TimeoutError after some seconds."""
        if timeout is not None and not 0 <= timeout <= threading.TIMEOUT_MAX:
            problem = "must be a number of seconds; pass None to wait for ever"
            raise invalid(timeout, "timeout", problem)
        if threading.current_thread() in self._threads:
            return  # an observer at the end cannot wait for the end
        # Not by Thread.join: after an interrupt of that, Python 3.11 believes that the
        # thread has ended.
        if not self._finished.wait(timeout):
            msg = f"still running after timeout={timeout!r} s; wait longer or stop"
            raise TimeoutError(msg)
        for thread in self._threads:
            thread.join()

    def abandon(self) -> None:
        """Stop the job, and wait for its end until 5 seconds after the first call."""
        _abandon([self])

    def _run(self, events: Iterator[Event]) -> None:
        error: BaseException | None = None
        try:
            self._consume(events)
            self._history.finish(None if self.job.goes_on else "stopped")
        except BaseException as raised:  # noqa: BLE001 (given to finish)
            error = raised
        self._end_refreshes()
        self._threads[1].join()
        try:
            self._finish(error or self._refresh_error)
        finally:
            _running.discard(self)
            self._finished.set()

    def _consume(self, events: Iterator[Event]) -> None:
        apply, news = self._history.apply, self._news
        first: float | None = None
        try:
            for event in events:
                apply(event)
                self.last_event = now = time.monotonic()
                # A refresh at the start would only delay that of the first step.
                if isinstance(event, Stepped):
                    if first is None:
                        first = now
                    # Checked first: set() is slow compared with a short training step.
                    if not news.is_set():
                        news.set()
                if first is not None:
                    self.seconds = now - first
        finally:
            if isinstance(events, Generator):
                events.close()

    def _refresh_at_news(self) -> None:
        try:
            while True:
                self._news.wait(_SECONDS_BETWEEN_QUIET_REFRESHES)
                if self._ending.is_set():
                    return
                self._news.clear()
                began = time.monotonic()
                self._refresh()
                taken = time.monotonic() - began
                # A slow refresh is followed by a rest as long.
                self._ending.wait(max(_SECONDS_BETWEEN_REFRESHES - taken, taken))
        except BaseException as error:  # noqa: BLE001 (given to finish)
            self._refresh_error = error
            self.job.abandon()  # nobody would see it

    def _end_refreshes(self) -> None:
        self._ending.set()
        self._news.set()

    def _ask_to_end(self) -> None:
        self.job.abandon()
        self._deadline = min(self._deadline, time.monotonic() + _SECONDS_TO_END)

    def _join(self) -> None:
        # Join the refresh thread first: a job that hangs uses up the time to wait.
        self._end_refreshes()
        for thread in reversed(self._threads):
            if thread is not threading.current_thread():
                thread.join(max(0.0, self._deadline - time.monotonic()))


def _thread(
    name: str, function: Callable[..., object], *args: object
) -> threading.Thread:
    # In some versions of ipykernel, only a thread in the context of the cell reaches
    # the front end.
    run = contextvars.copy_context().run
    return threading.Thread(target=run, args=(function, *args), name=name, daemon=True)


def _abandon(runners: list[Runner]) -> None:
    for runner in runners:  # all of them first, to wait for all at the same time
        runner._ask_to_end()  # noqa: SLF001 (of this module)
    for runner in runners:
        runner._join()  # noqa: SLF001 (as above)


@atexit.register
def abandon_running() -> None:
    """Stop all jobs before the interpreter exits; a second call does not wait again."""
    # Python aborts if a daemon thread is in torch's backward pass at that moment.
    _abandon(list(_running))
