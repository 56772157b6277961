"""A request to a running test to stop, which lies beside its record."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lrwidget.curve.records.store import Place

_SUFFIX = ".stop"


class StopRequest:
    """
    A file beside a record with the name of the test that is to stop.

    What others do to that file in its folder is theirs: whoever may write there may
    stop the test, and nothing else.

    Parameters
    ----------
    record:
        Where the record is.
    test:
        The name of the test there.
    """

    def __init__(self, record: Place, test: str) -> None:
        self._place = record.beside(_SUFFIX)
        self._test = test.encode(errors="replace")
        self._next_glance = 0.0
        # At hand, for who asks at each step of a training.
        self._seconds = self._place.seconds_between_glances
        self._exists = self._place.exists

    def send(self) -> None:
        """Ask the test to stop; raise OSError if that cannot be done."""
        self._place.write(self._test)

    def arrived(self) -> bool:
        """Whether the test is asked to stop, as far as it was looked for."""
        now = time.monotonic()
        if now < self._next_glance:
            return False
        self._next_glance = now + self._seconds
        # A test goes on that cannot be asked: its steps are worth more.
        try:
            return self._exists() and self._names_it()
        except (OSError, ValueError):
            return False

    def clear(self) -> None:
        """Remove what is there, for this test or for one before."""
        with suppress(OSError):
            self._place.remove()

    def _names_it(self) -> bool:
        look = self._place.look(0, len(self._test) + 1)
        return look is not None and look.contents == self._test
