"""What a widget runs in the background, one thing at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lrwidget.curve.parts import Recordings
from lrwidget.curve.race import RaceRecording
from lrwidget.curve.record import Recording
from lrwidget.curve.runs import Begun, Runs
from lrwidget.follower import Follower

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from lrwidget.curve.record import LRCurve
    from lrwidget.recipe import ComparisonSource, RaceSource, Source


class Session:
    """
    The range tests and races that run in the background, and what they have found.

    Who starts something holds a lock, so that nobody else does meanwhile.

    Parameters
    ----------
    on_news, on_end:
        As `Follower` takes them.

    Attributes
    ----------
    follower:
        What follows, or has followed, what was started last; None before that.
    runs:
        The range tests.
    latest:
        What records it; nothing before there is something.
    raced:
        What records the latest race.
    compared:
        What records the latest tests that were started together.
    closed:
        Whether nothing is started or shown any more.
    """

    def __init__(
        self,
        on_news: Callable[[], object],
        on_end: Callable[[Follower], object],
    ) -> None:
        self.follower: Follower | None = None
        self.raced = RaceRecording([], 0)
        self.compared = Recordings([])
        self.closed = False
        self.runs = Runs()
        self._refusal: BaseException | None = None
        self.latest: Recording | Recordings = Recording(0)
        self._on_news = on_news
        self._on_end = on_end

    @property
    def curve(self) -> LRCurve:
        """The curve of the latest test so far; an empty one before the first."""
        run = self.runs.latest
        return (Recording(0) if run is None else run.recording).curve()

    @property
    def running(self) -> bool:
        """Whether something is running."""
        return self.follower is not None and self.follower.running

    @property
    def racing(self) -> bool:
        """Whether the latest run is a race."""
        return isinstance(self.latest, RaceRecording)

    @property
    def comparing(self) -> bool:
        """Whether the latest run is of several tests."""
        return self.latest is self.compared

    @property
    def error(self) -> BaseException | None:
        """What has ended the latest run, if it has failed."""
        if self._refusal is not None or self.follower is None:
            return self._refusal
        return self.follower.error

    @property
    def seconds(self) -> float:
        """How long the latest run took after its first step."""
        return 0.0 if self.follower is None else self.follower.seconds

    @property
    def waiting(self) -> tuple[str, float] | None:
        """What the latest run waits for; see `Follower.waiting`."""
        return None if self.follower is None else self.follower.waiting

    @property
    def state(self) -> str | None:
        """How the latest run is elsewhere; see `Follower.state`."""
        return None if self.follower is None else self.follower.state

    def check_idle(self) -> None:
        """Raise RuntimeError if something is running, or nothing may."""
        if self.closed:
            msg = "the widget is closed; make a new one"
            raise RuntimeError(msg)
        if self.running:
            what = "race" if self.racing else "test"
            msg = f"a {what} is running already; call stop() and wait() first"
            raise RuntimeError(msg)

    def run(self, test: Source, begun: Begun) -> None:
        """Start a test, and return at once; where it cannot start, it is no run."""
        self._start(test, begun.recording)
        self.runs.add(begun)

    def compare(self, comparison: ComparisonSource, begun: list[Begun]) -> None:
        """Start several tests, and return at once; where the first cannot, none is."""
        recordings = Recordings([run.recording for run in begun])
        self._start(comparison, recordings)
        self.compared = recordings
        self.runs.add(*begun)

    def race(self, race: RaceSource) -> None:
        """Start a race, and return at once; the former one stays if it cannot start."""
        recording = RaceRecording(race.rates, race.steps)
        self._start(race, recording)
        self.raced = recording

    def refuse(self, error: BaseException, latest: Recording | Recordings) -> None:
        """
        Let an error count as the latest run, which it has kept from starting.

        Parameters
        ----------
        error:
            What has kept it.
        latest:
            What would have recorded it.
        """
        self._refusal = error
        self.latest = latest

    def stop(self) -> None:
        """Ask what runs to stop after its present step, and return at once."""
        if self.follower is not None and self.running:
            self.follower.stop()

    def wait(self, timeout: float | None) -> None:
        """
        Wait for the end of what runs, and raise what ended it.

        An interrupt stops it, or leaves it where it runs elsewhere.
        """
        follower = self.follower
        if self._refusal is not None:
            raise self._refusal
        if follower is None:
            msg = "there is no test to wait for; call run() first"
            raise RuntimeError(msg)
        try:
            follower.wait(timeout)
        except KeyboardInterrupt:
            follower.leave()
            raise

    def abandon(self) -> None:
        """Stop what runs, and wait for it a few seconds, whatever comes of it."""
        if self.follower is not None:
            self.follower.abandon()

    def _start(self, items: Iterable[Any], recording: Recording | Recordings) -> None:
        self._refusal = None
        self.latest = recording
        self.follower = Follower(items, recording, self._on_news, self._on_end)
        self.follower.start()
