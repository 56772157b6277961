"""Takes the steps of a worker to the mailbox, beside its training."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import ray

if TYPE_CHECKING:
    from lrwidget.curve.lr_curve import Step

_SECONDS_BETWEEN_PUTS = 0.05
_SECONDS_BETWEEN_ASKS = 0.25
_LAST_SECONDS = 30.0


class Courier:
    """
    Takes steps to a mailbox in a thread, and brings back whether to stop.

    A call takes as long as some steps of a small training, so that many go at once.

    Parameters
    ----------
    mailbox:
        The actor.

    Attributes
    ----------
    stopping:
        Whether the test is to stop, or nobody is there for it any more.
    """

    def __init__(self, mailbox: Any) -> None:  # noqa: ANN401 (an actor of Ray's)
        self.stopping = False
        self._error: Exception | None = None
        self._mailbox = mailbox
        self._steps: list[Step] = []
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def add(self, step: Step) -> None:
        """Take a step along the next time."""
        self._steps.append(step)

    def close(self) -> None:
        """Return when all steps have arrived; raise ConnectionError if they do not."""
        self._closing.set()
        self._thread.join(_LAST_SECONDS)
        if self._error is not None or self._thread.is_alive():
            msg = "the steps do not arrive at the widget"
            raise ConnectionError(msg) from self._error

    def _run(self) -> None:
        asked = time.monotonic()
        closing = False
        try:
            while not closing:
                closing = self._closing.wait(_SECONDS_BETWEEN_PUTS)
                count, now = len(self._steps), time.monotonic()
                if count or now - asked >= _SECONDS_BETWEEN_ASKS:
                    asked, taken = now, self._steps[:count]
                    del self._steps[:count]
                    self.stopping |= ray.get(self._mailbox.put.remote(*taken))
        except Exception as error:  # noqa: BLE001 (raised by close)
            self._error, self.stopping = error, True
