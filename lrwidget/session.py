"""What a widget runs in the background, one thing at a time."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lrwidget.curve.history import Recordings
from lrwidget.curve.lr_curve import Recording
from lrwidget.curve.race import RaceRecording
from lrwidget.curve.runs import NewRun, Runs
from lrwidget.runner import Follower

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from lrwidget.backends.base import ComparisonSource, RaceSource, Source
    from lrwidget.curve.lr_curve import LRCurve


class BusyError(RuntimeError):
    """Nothing can be started now."""


def _nothing() -> None:
    pass


class Session:
    """
    The range tests and races that run in the background, and what they have found.

    Several threads may use it.

    Parameters
    ----------
    on_news, on_end:
        As `Follower` takes them.

    Attributes
    ----------
    lock:
        Held while something becomes the latest run, and while an end is shown. What is
        started is prepared outside it, since that may take long, and read files.
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
        self.lock = threading.RLock()
        self._starting: object | None = None  # other than None while one thing starts
        self._stop_asked = False  # of what starts
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
        """Raise BusyError if something is running or starting, or nothing may."""
        self._check_open()
        if self.running:
            what = "race" if self.racing else "test"
            msg = f"a {what} is running already; call stop() and wait() first"
            raise BusyError(msg)
        if self._starting is not None:
            msg = "a test or race is starting already, in another thread"
            raise BusyError(msg)

    def _check_open(self) -> None:
        if self.closed:
            msg = "the widget is closed; make a new one"
            raise BusyError(msg)

    @contextmanager
    def starting(self, nothing: Recording | Recordings) -> Iterator[None]:
        """
        Let one thing start inside it, and count what keeps it from that as its run.

        Parameters
        ----------
        nothing:
            Record of what cannot start.

        Raises
        ------
        BusyError
            As `check_idle` does.
        """
        this = object()
        try:
            with self.lock:
                self.check_idle()
                self._starting, self._stop_asked = this, False
            try:
                yield
            except Exception as error:
                # Once the thread runs, the test runs, whatever is raised here.
                with self.lock:
                    if self._starting is this:
                        self.refuse(error, nothing)
                raise
        finally:
            if self._starting is this:
                self._starting = None

    def run(
        self, test: Source, begun: NewRun, on_start: Callable[[], object] = _nothing
    ) -> None:
        """
        Start a test, and return at once; where it cannot start, it is no run.

        Parameters
        ----------
        test, begun:
            The test, and its run.
        on_start:
            Called under the lock, after the start and before any news of it. What it
            raises is raised here; the test goes on.
        """
        self._start(test, begun.recording, [begun], on_start)

    def compare(
        self,
        comparison: ComparisonSource,
        begun: list[NewRun],
        on_start: Callable[[], object] = _nothing,
    ) -> None:
        """Start several tests as `run` does; where the first cannot start, none is."""
        recordings = Recordings([run.recording for run in begun])

        def started() -> None:
            self.compared = recordings
            on_start()

        self._start(comparison, recordings, begun, started)

    def race(self, race: RaceSource, on_start: Callable[[], object] = _nothing) -> None:
        """Start a race as `run` does; the former one stays if it cannot start."""
        recording = RaceRecording(race.rates, race.steps)

        def started() -> None:
            self.raced = recording
            on_start()

        self._start(race, recording, None, started)

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
        """Ask what runs or starts to stop after its step, and return at once."""
        # Without the lock: what starts looks at this after it is there to be stopped.
        if self._starting is not None:
            self._stop_asked = True
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

    def _start(
        self,
        items: Iterable[Any],
        recording: Recording | Recordings,
        begun: list[NewRun] | None,
        on_start: Callable[[], object],
    ) -> None:
        follower = Follower(items, recording, self._on_news, self._on_end)
        try:
            follower.prepare()
        except BaseException as error:
            with self.lock:
                self.refuse(error, recording)
            raise
        with self.lock:
            earlier = self.runs.all
            try:
                self._check_open()  # since it may have been closed meanwhile
                if begun is not None:
                    self.runs.add(*begun)
                self.follower, self.latest, self._refusal = follower, recording, None
                self._stop_if_asked(follower)
                follower.start()
            except BaseException as error:
                follower.discard()
                self.runs.put_back(earlier)
                self.refuse(error, recording)
                raise
            self._starting = None
            self._stop_if_asked(follower)
            on_start()

    def _stop_if_asked(self, follower: Follower) -> None:
        if self._stop_asked:
            follower.leave()  # rather than to ask for it, which may be by a file
