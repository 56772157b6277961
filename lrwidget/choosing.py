"""What a stage is told of who chooses a rate."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable


class Choosing(NamedTuple):
    """
    What chooses a rate, and what it is called for.

    Attributes
    ----------
    chosen:
        Returns the rate that is chosen at the moment, if any.
    follow:
        Called with the suggested rate, if any, where that may be a new one.
    pick, step, home, apply, export:
        As `Hands` has them.
    """

    chosen: Callable[[], float | None]
    follow: Callable[[float | None], object]
    pick: Callable[[float], object]
    step: Callable[[int], object]
    home: Callable[[], object]
    apply: Callable[[], str]
    export: Callable[[str], bytes]
