"""The latest job of a widget, as far as it has come."""

from __future__ import annotations

import threading
import time
import traceback
from typing import TYPE_CHECKING

from lrwidget.curve.history import JobHistory
from lrwidget.ui.snapshot import JobSnapshot

if TYPE_CHECKING:
    from lrwidget.curve.history import RunHistory
    from lrwidget.runner import Runner
    from lrwidget.ui.snapshot import Kind

NO_HISTORY = JobHistory([])


class JobState:
    """A job, from the request for it on."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.history = NO_HISTORY
        self.tests: list[RunHistory] = []  # the runs of its history in the chart
        self.runner: Runner | None = None
        self.ready = threading.Event()  # set once there is a runner, or an error
        self.running = True
        self.stopping = False
        self.error: BaseException | None = None
        self.traceback = ""
        self._stopped_at: int | None = None  # number of started tests at the last stop

    @property
    def testing(self) -> bool:
        """Whether a curve of the chart may grow."""
        if not self.ready.is_set():
            return self.kind in {"test", "comparison"}
        return self.running and any(run.stop_reason is None for run in self.tests)

    def end(self, error: BaseException | None, text: str) -> None:
        """End the job, perhaps by an error with this traceback."""
        if error is not None:
            self.fail(error, text)
        self.running = False

    def fail(self, error: BaseException, text: str) -> None:
        """Keep the first error."""
        if self.error is None:
            self.error, self.traceback = error, text

    def stop(self) -> None:
        """Ask the job to stop; at a second call, do not wait for it any more."""
        # A new test may have replaced the test that the last call asked to stop.
        starts = sum(run.starts for run in self.history.runs)
        again, self._stopped_at = self._stopped_at == starts, starts
        self.stopping = True
        if self.runner is not None:
            job = self.runner.job
            (job.abandon if again else job.stop)()

    def wait(self, timeout: float | None) -> None:
        """Wait for the end, and raise the error; an interrupt abandons the job."""
        try:
            self.ready.wait()
            if self.runner is not None:
                self.runner.wait(timeout)
        except KeyboardInterrupt:
            if self.runner is not None:
                self.runner.job.abandon()
            raise
        if self.error is not None:
            raise self.error

    def snapshot(self) -> JobSnapshot:
        """Return the present state for the display."""
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


def traceback_of(error: BaseException) -> str:
    """Return an error with its traceback, for which files are read."""
    return "".join(traceback.format_exception(error)).strip()
