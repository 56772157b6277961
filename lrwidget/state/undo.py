"""The commands of a person that can be undone."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

_MOST = 50
# The names of the commands.
PICK, ZOOM, APPLY, REMOVAL = "the pick", "the zoom", "Apply", "the removal"
OPENING, RENAMING = "the opening of a run", "the new name"
PINNING, HIDING = "the change of a pin", "the change of hidden runs"


class Inverse(NamedTuple):
    """The name of a command, and the function that undoes it."""

    name: str
    undo: Callable[[], object]


class Undo:
    """The inverses of the latest fifty commands; no lock, and nothing is called."""

    def __init__(self) -> None:
        self._inverses: deque[Inverse] = deque(maxlen=_MOST)
        self._open = False

    def __len__(self) -> int:
        """Return the number of commands that can be undone."""
        return len(self._inverses)

    @property
    def name(self) -> str:
        """The name of the latest command; empty if there is none."""
        return self._inverses[-1].name if self._inverses else ""

    def add(
        self, name: str, undo: Callable[[], object], *, goes_on: bool = False
    ) -> None:
        """
        Add a command that was given.

        With ``goes_on``, further ones of this name belong to it, as the places of a
        drag do, until `close` or a command of another name.
        """
        if not (self._open and name == self.name):
            self._inverses.append(Inverse(name, undo))
        self._open = goes_on

    def close(self) -> None:
        """End a command that goes on."""
        self._open = False

    def take(self, name: str) -> Inverse | None:
        """
        Remove the latest command, and return its inverse.

        None if there is none, or if it has another name, as after another thread's.
        """
        if not self._inverses or self.name != name:
            return None
        self._open = False
        return self._inverses.pop()

    def put_back(self, inverse: Inverse) -> None:
        """Add an inverse again that could not be called."""
        self._inverses.append(inverse)

    def forget(self, name: str) -> None:
        """Remove all commands of a name, which can no longer be undone."""
        kept = [inverse for inverse in self._inverses if inverse.name != name]
        self._inverses = deque(kept, _MOST)
        self._open = False
