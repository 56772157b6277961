"""A range test and the short trainings that check it, on any back end."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from lrwidget.curve.verification_history import (
    VerificationHistory,
    check_curve,
    usable_total,
)
from lrwidget.engine.thread_settings import ThreadSettings
from lrwidget.engine.verify import check_repeatable, verification_events

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lrwidget.backends.base import Activity, Backend, Job
    from lrwidget.curve.history import Event
    from lrwidget.curve.lr_curve import LRCurve


class VerificationJob:
    """
    A range test on a back end, and then short trainings at rates that depend on it.

    Run 0 is the range test, which is left out if its curve is given; the other runs are
    the trainings. Apply each event to `history` before you take the next one, since the
    rates of the trainings are computed from the history.

    Parameters
    ----------
    backend:
        Back end of the jobs.
    changes:
        Arguments that differ from those of the back end.
    curve:
        Curve of an earlier range test; None to run one.
    total_steps:
        Optimizer steps of the real training; None for those that the back end knows.
    """

    goes_on = False

    def __init__(
        self,
        backend: Backend,
        changes: Mapping[str, Any],
        curve: LRCurve | None = None,
        total_steps: int | None = None,
    ) -> None:
        total = usable_total(total_steps)
        check_curve(curve)
        check_repeatable({**backend.arguments, **changes}.get("dataloader"))
        self._backend, self._changes = backend, changes
        total = backend.total_steps if total is None else total
        if curve is None:
            self._job: Job = backend.sweep(changes)
            self.history = VerificationHistory(self._job.plans[0], None, total)
        else:
            self.history = VerificationHistory(None, curve, total)
            self._job = self._lanes()
        self._jobs = [self._job]
        self.plans = [run.plan for run in self.history.runs]
        self._stop_requested = False
        self._seconds = 0.0  # of the range test, if the back end measures it

    @property
    def notices(self) -> Sequence[str]:
        """The known differences from the user's training, each once."""
        return list(dict.fromkeys(x for job in self._jobs for x in job.notices))

    def events(self) -> Iterator[Event]:
        """Start the first job, and return the events of both jobs."""
        start_lanes = partial(self._start_lanes, ThreadSettings())
        return verification_events(self.history, self._job.events(), start_lanes)

    def stop(self) -> None:
        """Stop the present job, and start no further one."""
        self._stop_requested = True
        self._job.stop()

    def abandon(self) -> None:
        """Wait no longer for the present job, and start no further one."""
        self._stop_requested = True
        self._job.abandon()

    def activity(self) -> Activity:
        """Return the activity of the present job, with the seconds of both jobs."""
        activity = self._job.activity()
        if activity.seconds is None:
            return activity
        return activity._replace(seconds=self._seconds + activity.seconds)

    def _lanes(self) -> Job:
        history = self.history
        return self._backend.lanes(self._changes, history.plan_lanes(), history.steps)

    def _start_lanes(self, settings: ThreadSettings) -> Iterator[Event]:
        self._seconds = self._job.activity().seconds or 0.0
        with settings.applied():
            self._job = job = self._lanes()
            self._jobs.append(job)
            # The request to stop may be older than this job.
            return iter(()) if self._stop_requested else job.events()
