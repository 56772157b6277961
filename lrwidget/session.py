"""What a widget runs in the background, one thing at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lrwidget.curve.record import Recording
from lrwidget.follower import Follower

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from lrwidget.curve.record import LRCurve
    from lrwidget.engine.range_test import RangeTest


class Session:
    """
    The range test that runs in the background, and what it has found.

    Who starts something holds a lock, so that nobody else does meanwhile.

    Parameters
    ----------
    test:
        The test.
    on_news, on_end:
        As `Follower` takes them.

    Attributes
    ----------
    follower:
        What follows, or has followed, what was started last; None before that.
    latest:
        What records it.
    """

    def __init__(
        self,
        test: RangeTest,
        on_news: Callable[[], object],
        on_end: Callable[[Follower], object],
    ) -> None:
        self.follower: Follower | None = None
        self.latest = self._found = Recording(test.num_it)
        self._test = test
        self._on_news = on_news
        self._on_end = on_end

    @property
    def curve(self) -> LRCurve:
        """The curve of the test so far."""
        return self._found.curve()

    @property
    def running(self) -> bool:
        """Whether something is running."""
        return self.follower is not None and self.follower.running

    @property
    def error(self) -> BaseException | None:
        """What has ended the latest run, if anything has."""
        return None if self.follower is None else self.follower.error

    @property
    def seconds(self) -> float:
        """How long the latest run took after its first step."""
        return 0.0 if self.follower is None else self.follower.seconds

    def run(self) -> None:
        """Start the test, and return at once."""
        self._check_idle()
        self._found = Recording(self._test.num_it)
        self._start(self._test, self._found)

    def stop(self) -> None:
        """Ask what runs to stop after its present step, and return at once."""
        if self.follower is not None:
            self.follower.stop()

    def wait(self, timeout: float | None) -> None:
        """
        Wait for the end of what runs, and raise what ended it.

        An interrupt stops it.
        """
        follower = self.follower
        if follower is None:
            msg = "there is no test to wait for; call run() first"
            raise RuntimeError(msg)
        try:
            follower.wait(timeout)
        except KeyboardInterrupt:
            follower.stop()
            raise

    def abandon(self) -> None:
        """Stop what runs, and wait for it a few seconds, whatever comes of it."""
        if self.follower is not None:
            self.follower.abandon()

    def _check_idle(self) -> None:
        if self.running:
            msg = "a test is running already; call stop() and wait() first"
            raise RuntimeError(msg)

    def _start(self, items: Iterable[Any], recording: Recording) -> None:
        self.latest = recording
        self.follower = Follower(items, recording, self._on_news, self._on_end)
        self.follower.start()
