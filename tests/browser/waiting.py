"""The function that waits for a result, and its time limit."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

SECONDS = 60
MILLISECONDS = 1000 * SECONDS
_PAUSE = 0.02  # seconds between two calls of `look`


def await_result(
    look: Callable[[], T], wanted: Callable[[T], bool], problem: Callable[[T], str]
) -> T:
    """Call `look` until its result is as wanted, and return the result."""
    deadline = time.monotonic() + SECONDS
    while not wanted(seen := look()):
        if time.monotonic() > deadline:
            raise AssertionError(problem(seen))
        time.sleep(_PAUSE)
    return seen
