"""Tells in a background thread that there is something new, but not too often."""

from __future__ import annotations

import contextvars
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Ticker:
    """
    Calls something soon after each news, and for many of them once.

    Parameters
    ----------
    seconds:
        How long it is at least from the beginning of one call to that of the next.
        A call that takes longer than half of it is followed by a rest as long.
    call:
        What to call, in a daemon thread. If it raises, it is not called any more.
    silence:
        After how many seconds without news it is called as well, each time.
    """

    def __init__(
        self, seconds: float, call: Callable[[], object], silence: float
    ) -> None:
        self._seconds = seconds
        self._call = call
        self._silence = silence
        self._news = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def start(self) -> None:
        """Start the thread, and return at once."""
        # In some versions of ipykernel only a thread in the context of the cell can
        # reach the front end.
        run = contextvars.copy_context().run
        self._thread = threading.Thread(
            target=run, args=(self._run,), name="lrwidget-news", daemon=True
        )
        self._thread.start()

    def tell(self) -> None:
        """Say that there is something new, and return at once."""
        # Whoever tells at each step of a training has no time for more than this.
        if not self._news.is_set():
            self._news.set()

    def stop(self, timeout: float | None = None) -> BaseException | None:
        """
        Let there be no more calls, and return what the last one has raised.

        Parameters
        ----------
        timeout:
            Seconds to wait at most for the end of a call; no limit if None.
        """
        self.leave()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout)
        return self._error

    def leave(self) -> None:
        """Let there be no more calls, and wait for none."""
        self._stopping.set()
        self._news.set()

    def _run(self) -> None:
        try:
            while True:
                self._news.wait(self._silence)
                if self._stopping.is_set():
                    return
                self._news.clear()
                began = time.monotonic()
                self._call()
                taken = time.monotonic() - began
                self._stopping.wait(max(self._seconds - taken, taken))
        except BaseException as error:  # noqa: BLE001 (returned by stop)
            self._error = error
