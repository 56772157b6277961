"""Follows what runs in the background, and records what it gives."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar, runtime_checkable

from lrwidget.ticker import Ticker
from lrwidget.worker import Leavable, Worker, new_deadline, seconds_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from lrwidget.curve.lr_curve import StopReason

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)

_SECONDS_BETWEEN_NEWS = 0.1
_LONG_SILENCE = 10.0


class Recorder(Protocol[T_contra]):
    """
    What keeps the items of a source.

    Attributes
    ----------
    stop_reason:
        Set at the end to why the source stopped; it stays None where that failed, or
        where it goes on elsewhere.
    """

    stop_reason: StopReason | None

    def append(self, item: T_contra, /) -> object:
        """Add the next item."""


@runtime_checkable
class Elsewhere(Leavable, Protocol):
    """
    A source that runs in another process.

    Attributes
    ----------
    goes_on:
        Whether it does when it is left.
    seconds:
        How long its items after the first took there.
    state:
        How it is, in words, where there is more to say than how far it has come.
    """

    goes_on: ClassVar[bool]

    @property
    def seconds(self) -> float: ...  # noqa: D102 (see above)
    @property
    def state(self) -> str | None: ...  # noqa: D102 (see above)

    def stop(self) -> None:
        """Ask it to stop, and return at once; the second time, leave it."""


class Follower:
    """
    One range test, or whatever gives such items, that runs in a background thread.

    It knows its source as items only, wherever they come from.

    Parameters
    ----------
    items:
        The source, which may return why it stopped. It may have an attribute
        ``waiting_for``: what its next item waits for at the moment, in words. One that
        is `Elsewhere` is asked to stop there.
    recorder:
        What keeps its items.
    on_news:
        Called in another background thread when there are new items, at most ten
        times a second, and after each ten seconds without any: a source that waits for
        its next item does not keep it back.
    on_end:
        Called in the first thread with this follower, after the last news, when the
        record and `error` are final. It may set `running` to False, as soon as
        something else may be started; after it, that is so in any case.

    Attributes
    ----------
    running:
        Whether it goes on, or its end is still looked after.
    error:
        What has ended it, if it has failed.
    """

    def __init__(
        self,
        items: Iterable[T],
        recorder: Recorder[T],
        on_news: Callable[[], object],
        on_end: Callable[[Follower], object],
    ) -> None:
        self.running = False
        self.error: BaseException | None = None
        self._prepared = False
        self._recorder: Recorder[Any] = recorder
        self._on_end = on_end
        self._worker: Worker[T, StopReason] = Worker(items, self._item, self._end)
        self._source: Iterable[T] | None = items
        self._elsewhere = items if isinstance(items, Elsewhere) else None
        self._ticker = Ticker(_SECONDS_BETWEEN_NEWS, self._tell, _LONG_SILENCE)
        self._on_news = on_news
        self._first_time: float | None = None
        self._last_time = time.monotonic()

    @property
    def seconds(self) -> float:
        """How long the items after the first took."""
        if self._elsewhere is not None:
            return self._elsewhere.seconds
        return self._last_time - (self._first_time or self._last_time)

    @property
    def state(self) -> str | None:
        """How a source that runs elsewhere is, where there is much to say."""
        return None if self._elsewhere is None else self._elsewhere.state

    @property
    def waiting(self) -> tuple[str, float] | None:
        """What it waits for, and how many seconds; None if that is not long yet."""
        seconds = time.monotonic() - self._last_time
        if not self.running or seconds < _LONG_SILENCE:
            return None
        what = getattr(self._source, "waiting_for", None)
        return None if what is None else (what, seconds)

    def prepare(self) -> None:
        """Do the part of the start that may take long, or raise what prevents it."""
        try:
            self._worker.prepare()
        except BaseException as error:
            self.error = error
            raise
        self._prepared = True

    def start(self) -> None:
        """Start it, and return at once; raise what keeps it from starting."""
        if not self._prepared:
            self.prepare()
        self.running = True
        try:
            self._ticker.start()
            self._worker.start()
        except BaseException as error:
            self._worker.stop()
            self._ticker.leave()
            self.error = error
            self.running = False
            raise

    def discard(self) -> None:
        """Let go of what was prepared, and is not to be started."""
        self._worker.discard()

    def stop(self) -> None:
        """Ask it to stop after its present item, and return at once."""
        if self._elsewhere is None:
            self._worker.stop()
        else:
            self._elsewhere.stop()

    def leave(self) -> None:
        """Take no more items, and return at once; what is elsewhere goes on."""
        self._worker.stop()

    def wait(self, timeout: float | None = None) -> None:
        """Wait for the end, and raise what ended it; see `Worker.join`."""
        self._worker.join(timeout)
        if self.error is not None:
            raise self.error

    def abandon(self) -> None:
        """Stop it with its news, and wait for both for at most 5 seconds in all."""
        deadline = new_deadline()
        self._worker.stop()
        # First, so that a source that hangs leaves time for the end of a call.
        self._ticker.stop(seconds_until(deadline))
        self._worker.abandon(deadline)

    def _item(self, item: object) -> None:
        self._recorder.append(item)
        now = time.monotonic()
        if self._first_time is None:
            self._first_time = now
        self._last_time = now
        self._ticker.tell()

    def _tell(self) -> None:
        try:
            self._on_news()
        except BaseException:
            self._worker.stop()  # nobody would see how it goes on
            raise

    def _end(self, reason: StopReason | None, error: BaseException | None) -> None:
        if error is None:
            # What was left goes on, for all that is known.
            goes_on = self._elsewhere is not None and self._elsewhere.goes_on
            at_a_stop: StopReason | None = None if goes_on else "stopped"
            self._recorder.stop_reason = reason or at_a_stop
        drawing_error = self._ticker.stop()
        self._source = None  # which may hold much
        self.error = error or drawing_error
        try:
            self._on_end(self)
        except BaseException as at_the_end:
            self.error = self.error or at_the_end
            raise
        finally:
            self.running = False
