"""How far what runs on a cluster has come."""

from __future__ import annotations

import time

from lrwidget.ui import messages as status

_LONG_SILENCE = 10.0


class Progress:
    """
    How far what runs on a cluster has come.

    Parameters
    ----------
    what:
        What is to start there, in words.
    total:
        How many steps there are to be.

    Attributes
    ----------
    given:
        How many steps have come.
    lacking:
        What the cluster does not have, in words.
    asked:
        Whether it was asked to stop.
    """

    def __init__(self, what: str, total: int) -> None:
        self._what = what
        self._total = total
        self.begin()

    def begin(self) -> None:
        """Begin anew."""
        self.given = 0
        self.lacking = ""
        self.asked = False
        self._began = self._first = self._last = time.monotonic()

    def count(self) -> None:
        """Count a step that has come."""
        self._last = time.monotonic()
        if not self.given:
            self._first = self._last
        self.given += 1

    @property
    def seconds(self) -> float:
        """How long the steps after the first took."""
        return self._last - self._first

    @property
    def state(self) -> str | None:
        """How it is, in words, where there is more to say than how far it has come."""
        silence = time.monotonic() - self._last
        if not self.given:
            return status.starting(self._what, silence, self.lacking)
        long = silence if silence >= _LONG_SILENCE else None
        if self.asked:
            return f"Stopping. {status.silent(self.given, self._total, long)}"
        return None if long is None else status.silent(self.given, self._total, long)
