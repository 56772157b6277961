"""Runs any iterable in a background thread."""

from __future__ import annotations

import atexit
import contextvars
import threading
import time
from collections.abc import Generator
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

T = TypeVar("T")
R = TypeVar("R")

_LAST_SECONDS = 5.0
_running: set[Worker[Any, Any]] = set()


@runtime_checkable
class Leavable(Protocol):
    """An iterable whose next item may be long in coming, and need not be awaited."""

    def leave(self) -> None:
        """Give no more items, and none that is awaited now."""


class Worker(Generic[T, R]):
    """
    Takes the items of an iterable in a daemon thread, one after the other.

    Parameters
    ----------
    items:
        What to iterate over. ``iter`` is called on it by `prepare`, in the thread
        of the caller; everything else happens in the worker's. One that is `Leavable`
        is left where the thread is to stop.
    on_item:
        Called with each item.
    on_end:
        Called last, with what a generator returned (None if it was stopped or
        failed, or is no generator) and with the exception that ended it, if any.
    """

    def __init__(
        self,
        items: Iterable[T],
        on_item: Callable[[T], object],
        on_end: Callable[[R | None, BaseException | None], object],
    ) -> None:
        self._items = items
        self._iterator: Iterator[T] | None = None  # between `prepare` and `start`
        self._leave = items.leave if isinstance(items, Leavable) else None
        self._on_item = on_item
        self._on_end = on_end
        self._stopping = threading.Event()
        self._finished = threading.Event()
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    @property
    def running(self) -> bool:
        """Whether the thread is at work."""
        return self._thread is not None and not self._finished.is_set()

    def prepare(self) -> None:
        """Call ``iter``, which may take long; `start` does so where this was not."""
        self._iterator = iter(self._items)
        del self._items  # they may hold much, and the iterator ends with the thread

    def start(self) -> None:
        """Start the thread, and return at once."""
        if self._iterator is None:
            self.prepare()
        # In some versions of ipykernel only a thread in the context of the cell can
        # reach the front end.
        run = contextvars.copy_context().run
        thread = threading.Thread(
            target=run, args=(self._run, self._iterator), name="lrwidget", daemon=True
        )
        _running.add(self)
        self._thread = thread
        try:
            thread.start()
        except Exception:  # no more threads
            self._thread = None
            _running.discard(self)
            self.discard()
            raise
        self._iterator = None

    def stop(self) -> None:
        """Ask the thread to stop after its present item, and return at once."""
        self._stopping.set()
        if self._leave is not None:
            self._leave()

    def join(self, timeout: float | None = None) -> None:
        """
        Wait for the end, and raise what ended it.

        Parameters
        ----------
        timeout:
            How many seconds to wait at most; for ever if None.

        Raises
        ------
        ValueError
            If ``timeout`` is no number of seconds.
        TimeoutError
            If it has not ended by then. It goes on.
        """
        if timeout is not None and not 0 <= timeout <= threading.TIMEOUT_MAX:
            msg = f"timeout={timeout!r} must be a number of seconds; pass None for ever"
            raise ValueError(msg)
        # What the thread itself calls at the end cannot wait for that.
        if self._thread is not None and self._thread is not threading.current_thread():
            # Not the thread's own join: an interrupt of that makes Python 3.11 believe
            # that the thread has ended.
            if not self._finished.wait(timeout):
                msg = f"still running after timeout={timeout!r} s; wait longer or stop"
                raise TimeoutError(msg)
            self._thread.join()
        if self._error is not None:
            raise self._error

    def abandon(self, deadline: float | None = None) -> None:
        """
        Stop, and wait for the end until a deadline, at which the wait just ends.

        Parameters
        ----------
        deadline:
            Time by ``time.monotonic``; that of `new_deadline` if None.
        """
        self.stop()
        if self._thread is not None and self._thread is not threading.current_thread():
            deadline = new_deadline() if deadline is None else deadline
            if self._finished.wait(seconds_until(deadline)):
                self._thread.join(seconds_until(deadline))

    def discard(self) -> None:
        """Let go of what was prepared, and is not to be started."""
        iterator, self._iterator = self._iterator, None
        if self._thread is None and isinstance(iterator, Generator):
            iterator.close()

    def _run(self, iterator: Iterator[T]) -> None:
        result: R | None = None
        try:
            result = self._consume(iterator)
        except BaseException as error:  # noqa: BLE001 (raised again by join)
            self._error = error
        try:
            self._on_end(result, self._error)
        except BaseException as error:  # noqa: BLE001 (raised again by join)
            self._error = self._error or error
        finally:
            _running.discard(self)
            self._finished.set()

    def _consume(self, iterator: Iterator[T]) -> R | None:
        try:
            while not self._stopping.is_set():
                try:
                    item = next(iterator)
                except StopIteration as end:
                    result: R | None = end.value
                    return result
                self._on_item(item)
            return None
        finally:
            if isinstance(iterator, Generator):
                iterator.close()


def new_deadline() -> float:
    """Return until when to wait from now on for what may hang: 5 seconds."""
    return time.monotonic() + _LAST_SECONDS


def seconds_until(deadline: float) -> float:
    """Return how many seconds are left until a deadline, at least 0."""
    return max(0.0, deadline - time.monotonic())


@atexit.register
def stop_all() -> None:
    """
    Stop all workers before the interpreter exits; all together have 5 seconds for it.

    A daemon thread that is inside torch's backward at the exit aborts the process.
    """
    workers = list(_running)
    for worker in workers:
        worker.stop()
    deadline = new_deadline()
    for worker in workers:
        worker.abandon(deadline)
    # This may be registered twice. The second call does not wait for the same again.
    _running.difference_update(workers)
