"""Follows a range test in the background and keeps what it finds."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from lrwidget.curve.record import LRCurve, Recording, Step, StopReason
from lrwidget.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_SECONDS_BETWEEN_NEWS = 0.1


class Follower:
    """
    One range test that runs in a background thread.

    It knows its source as steps only, wherever they come from.

    Parameters
    ----------
    steps:
        The source, which may return why it stopped.
    num_it:
        How many steps it is to have.
    on_news:
        Called in the background thread when there are new steps, at most ten
        times a second.
    on_end:
        Called there last with this follower, when `curve` and `error` are final.
    """

    def __init__(
        self,
        steps: Iterable[Step],
        num_it: int,
        on_news: Callable[[], object],
        on_end: Callable[[Follower], object],
    ) -> None:
        self.running = False
        self.error: BaseException | None = None
        self._on_news = on_news
        self._on_end = on_end
        self._recording = Recording(num_it)
        self._worker: Worker[Step, StopReason] = Worker(steps, self._step, self._end)
        self._first_time = self._last_time = self._news_time = 0.0

    @property
    def curve(self) -> LRCurve:
        """The steps so far."""
        return self._recording.curve()

    @property
    def seconds(self) -> float:
        """How long the steps after the first took."""
        return self._last_time - self._first_time

    def start(self) -> None:
        """Start the test and return at once; raise what keeps it from starting."""
        self.running = True
        try:
            self._worker.start()
        except BaseException as error:
            self.error = error
            self.running = False
            raise

    def stop(self) -> None:
        """Ask the test to stop after its present step, and return at once."""
        self._worker.stop()

    def wait(self, timeout: float | None = None) -> None:
        """Wait for the end, and raise what ended it; see `Worker.join`."""
        self._worker.join(timeout)
        if self.error is not None:
            raise self.error

    def abandon(self) -> None:
        """Stop the test, and wait for it a few seconds, whatever comes of it."""
        self._worker.abandon()

    def _step(self, step: Step) -> None:
        self._recording.append(step)
        now = time.monotonic()
        if not step.iteration:
            self._first_time = now
        self._last_time = now
        if now - self._news_time >= _SECONDS_BETWEEN_NEWS:
            self._on_news()
            self._news_time = time.monotonic()

    def _end(self, reason: StopReason | None, error: BaseException | None) -> None:
        self.error = error
        if error is None:
            self._recording.stop_reason = reason or "stopped"
        self.running = False
        self._on_end(self)
