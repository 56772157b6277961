"""The commands of a person that can be undone."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

_MOST = 50
# The names of the commands.
PICK, ZOOM, APPLY, REMOVAL = "the choice of a rate", "the zoom", "Apply", "the removal"
OPENING, RENAMING = "the opening of a run", "renaming"
PINNING, HIDING = "pinning or unpinning", "hiding or showing"


class Undoable(NamedTuple):
    """The name of a command, and the function that undoes it."""

    name: str
    undo: Callable[[], object]


class Undo:
    """The latest fifty commands that can be undone; no lock, and nothing is called."""

    def __init__(self) -> None:
        self._undoables: deque[Undoable] = deque(maxlen=_MOST)
        self._open = False

    def __len__(self) -> int:
        """Return the number of commands that can be undone."""
        return len(self._undoables)

    @property
    def name(self) -> str:
        """The name of the latest command; empty if there is none."""
        return self._undoables[-1].name if self._undoables else ""

    def add(
        self, name: str, undo: Callable[[], object], *, goes_on: bool = False
    ) -> None:
        """
        Add a command that was given.

        With ``goes_on``, further commands of this name are joined to it, like the moves
        of one drag, until `close` or a command of another name.
        """
        if not (self._open and name == self.name):
            self._undoables.append(Undoable(name, undo))
        self._open = goes_on

    def close(self) -> None:
        """End a command that goes on."""
        self._open = False

    def take(self, name: str) -> Undoable | None:
        """
        Remove the latest command, and return it.

        None if there is none, or if another thread has since added a command of another
        name.
        """
        if not self._undoables or self.name != name:
            return None
        self._open = False
        return self._undoables.pop()

    def put_back(self, undoable: Undoable) -> None:
        """Add a command again that could not be undone."""
        self._undoables.append(undoable)

    def forget(self, name: str) -> None:
        """Remove all commands of a name, which can no longer be undone."""
        kept = [x for x in self._undoables if x.name != name]
        self._undoables = deque(kept, _MOST)
        self._open = False
