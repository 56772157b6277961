"""What is seen of a file that grows, and what lets it grow."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Hashable


class Chunk(NamedTuple):
    """
    What is seen of a file.

    Attributes
    ----------
    contents:
        A piece of it.
    size:
        How many bytes it has in all.
    changed:
        When it was written to last, in seconds since 1970, if that is known.
    file:
        Which file it is: another one after it was replaced, where that is known.
    """

    contents: bytes
    size: int
    changed: float | None
    file: Hashable


class Appender(Protocol):
    """What adds to a file."""

    def write(self, contents: bytes) -> None:
        """Add something, which stays if this process is killed after that."""

    def close(self) -> None:
        """Add nothing more; whoever tries gets a ValueError."""
