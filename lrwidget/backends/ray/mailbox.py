"""The mailbox between the workers of a job and the process that started it."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

import ray

if TYPE_CHECKING:
    from ray.util.placement_group import PlacementGroup

_SECONDS_BETWEEN_PUTS = 0.05
_SECONDS_BETWEEN_ASKS = 0.25
_LAST_SECONDS = 30.0


class Hello(NamedTuple):
    """
    The first message of a worker.

    Attributes
    ----------
    run:
        The number of the run that the worker trains.
    rank:
        The number of the worker among those of the run.
    where:
        The name and the place of the worker.
    resources:
        The resources that are reserved for all workers together, if any.
    """

    run: int
    rank: int
    where: str
    resources: PlacementGroup | None


class Mailbox:
    """The messages of workers until they are taken; an actor whose calls overlap."""

    def __init__(self) -> None:
        self._messages: list[Any] = []
        self._news = asyncio.Event()
        self._stopping = False

    async def put(self, *messages: Any) -> bool:  # noqa: ANN401 (any message)
        """Keep messages, and return whether the job is to stop."""
        self._messages += messages
        if messages:
            self._news.set()
        return self._stopping

    async def take(self, seconds: float) -> list[Any]:
        """Return the messages as soon as there is one, or none after some time."""
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._news.wait(), seconds)
        self._news.clear()
        messages, self._messages = self._messages, []
        return messages

    async def stop(self) -> None:
        """Answer from now on that the job is to stop."""
        self._stopping = True


class Courier:
    """
    A thread of a worker that brings messages to the mailbox beside the training.

    A call of the mailbox takes as long as some steps of a small training, so that each
    call brings many messages.

    Parameters
    ----------
    mailbox:
        The actor.

    Attributes
    ----------
    stopping:
        Whether the job is to stop, or the mailbox is gone.
    """

    def __init__(self, mailbox: Any) -> None:  # noqa: ANN401 (an actor of Ray)
        self.stopping = False
        self._error: Exception | None = None
        self._mailbox = mailbox
        self._messages: list[Any] = []
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def add(self, message: object) -> None:
        """Bring a message with the next call."""
        self._messages.append(message)

    def close(self) -> None:
        """Return when all messages have arrived; raise ConnectionError otherwise."""
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
                count, now = len(self._messages), time.monotonic()
                if count or now - asked >= _SECONDS_BETWEEN_ASKS:
                    asked, taken = now, self._messages[:count]
                    del self._messages[:count]
                    self.stopping |= ray.get(self._mailbox.put.remote(*taken))
        except Exception as error:  # noqa: BLE001 (raised by close)
            self._error, self.stopping = error, True
