"""What a widget runs in the background, one thing at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lrwidget.curve.race import RaceRecording
from lrwidget.curve.record import Recording
from lrwidget.follower import Follower
from lrwidget.ui import status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from lrwidget.curve.record import LRCurve
    from lrwidget.curve.suggestion import Suggestion
    from lrwidget.engine.race import Race
    from lrwidget.engine.range_test import RangeTest


class Session:
    """
    The range test and the races that run in the background, and what they have found.

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
    raced:
        What records the latest race.
    """

    def __init__(
        self,
        test: RangeTest,
        on_news: Callable[[], object],
        on_end: Callable[[Follower], object],
    ) -> None:
        self.follower: Follower | None = None
        self.raced = RaceRecording([], 0)
        self._tested = Recording(test.num_it)
        self.latest: Recording | RaceRecording = self._tested
        self._test = test
        self._on_news = on_news
        self._on_end = on_end

    @property
    def curve(self) -> LRCurve:
        """The curve of the test so far."""
        return self._tested.curve()

    @property
    def running(self) -> bool:
        """Whether something is running."""
        return self.follower is not None and self.follower.running

    @property
    def racing(self) -> bool:
        """Whether the latest run is a race."""
        return self.latest is self.raced

    @property
    def failed(self) -> bool:
        """Whether an error has ended the latest run."""
        return self.follower is not None and self.follower.error is not None

    @property
    def seconds(self) -> float:
        """How long the latest run took after its first step."""
        return 0.0 if self.follower is None else self.follower.seconds

    def in_words(self, suggestion: Suggestion, *, running: bool) -> str:
        """
        Return how the latest run is.

        Parameters
        ----------
        suggestion:
            What the curve of the test suggests.
        running:
            Whether it was running before the curve was looked at.
        """
        test, curve = self._test, self.curve
        if self.follower is None:
            return status.ready(test.start_lr, test.end_lr, test.num_it)
        if self.follower.error is not None:
            what = "Race failed" if self.racing else "Failed"
            return status.failed(what, len(self.latest), self.follower.error)
        if self.racing:
            return (status.racing if running else status.raced)(self.raced)
        return status.running(curve) if running else status.ended(curve, suggestion)

    def check_idle(self) -> None:
        """Raise RuntimeError if something is running."""
        if self.running:
            what = "race" if self.racing else "test"
            msg = f"a {what} is running already; call stop() and wait() first"
            raise RuntimeError(msg)

    def run(self) -> None:
        """Start the test, and return at once."""
        self._tested = Recording(self._test.num_it)
        self._start(self._test, self._tested)

    def race(self, race: Race) -> None:
        """Start a race, and return at once."""
        self.raced = RaceRecording(race.rates, race.steps)
        self._start(race, self.raced)

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

    def _start(
        self, items: Iterable[Any], recording: Recording | RaceRecording
    ) -> None:
        self.latest = recording
        self.follower = Follower(items, recording, self._on_news, self._on_end)
        self.follower.start()
