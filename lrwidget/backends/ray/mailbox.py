"""The one process between the workers of a test and who watches it."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any


class Mailbox:
    """What workers tell, until it is taken; an actor whose calls overlap."""

    def __init__(self) -> None:
        self._items: list[Any] = []
        self._news = asyncio.Event()
        self._stopping = False

    async def put(self, *items: Any) -> bool:  # noqa: ANN401 (whatever there is to tell)
        """Keep what a worker tells, and return whether the test is to stop."""
        self._items += items
        if items:
            self._news.set()
        return self._stopping

    async def take(self, seconds: float) -> list[Any]:
        """Return what is new as soon as there is something, or nothing in some time."""
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._news.wait(), seconds)
        self._news.clear()
        items, self._items = self._items, []
        return items

    async def stop(self) -> None:
        """Let the next who puts something know that the test is to stop."""
        self._stopping = True
