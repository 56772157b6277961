"""How long to wait for anything, and how."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

SECONDS = 60
MILLISECONDS = 1000 * SECONDS
_PAUSE = 0.02  # seconds, in which what is looked at gets on


def await_result(
    look: Callable[[], T], wanted: Callable[[T], bool], problem: Callable[[T], str]
) -> T:
    """Look until what is seen is as wanted, and return it."""
    deadline = time.monotonic() + SECONDS
    while not wanted(seen := look()):
        if time.monotonic() > deadline:
            raise AssertionError(problem(seen))
        time.sleep(_PAUSE)
    return seen
