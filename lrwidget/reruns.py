"""Closes the widgets of a cell that is executed again, and of which nothing is left."""

from __future__ import annotations

import sys
import weakref
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

_DEEPEST = 3
_MOST = 1000
_PLAIN = (list, tuple, set)


class Closable(Protocol):
    """What can be closed."""

    def close(self) -> None:
        """Close it."""


class _Made(NamedTuple):
    """A widget, and the execution of the cell that has made it."""

    widget: weakref.ref[Closable]
    cell: str
    execution: str


_made: list[_Made] = []


def watch(widget: Closable) -> None:
    """
    Close a widget when the cell that makes it now is over once more.

    It stays where a variable of the user still has it then. ipywidgets itself keeps
    all widgets alive, so that what nobody can reach any more would go on training.
    Without IPython, or in a front end that does not tell one cell from another,
    nothing is closed.
    """
    shell = _shell()
    place = _place(shell)
    if place is not None:
        if _close_orphans not in shell.events.callbacks["post_run_cell"]:
            shell.events.register("post_run_cell", _close_orphans)
        _made.append(_Made(weakref.ref(widget), *place))


def _close_orphans(_result: object) -> None:
    shell = _shell()
    place = _place(shell)
    if place is None:
        return
    cell, execution = place
    _made[:] = [made for made in _made if made.widget() is not None]
    earlier = [x for x in _made if x.cell == cell and x.execution != execution]
    held = _held(shell.user_ns) if earlier else set()
    for made in earlier:
        widget = made.widget()
        if widget is not None and id(widget) not in held:
            _made.remove(made)
            widget.close()


def _held(variables: dict[str, Any]) -> set[int]:
    """Return the identities of what variables hold, in containers of theirs, too."""
    # IPython's own begin with an underscore, but for this other name of its outputs.
    own = variables.get("_oh")
    level = [x for name, x in variables.items() if name[0] != "_" and x is not own]
    held = {id(value) for value in level}
    for _ in range(_DEEPEST):
        level = [inner for outer in level for inner in _contents(outer)]
        held.update(id(value) for value in level)
    return held


def _contents(value: object) -> Iterable[object]:
    """Return what is in a container that is no large data."""
    # Only of these types, whose iteration runs no code of the user.
    if type(value) is dict and len(value) <= _MOST:
        return value.values()
    if isinstance(value, list | tuple | set) and type(value) in _PLAIN:
        return value if len(value) <= _MOST else ()
    return ()


def _shell() -> Any:  # noqa: ANN401 (IPython is not imported for this)
    ipython = sys.modules.get("IPython")
    return None if ipython is None else ipython.get_ipython()


def _place(shell: Any) -> tuple[str, str] | None:  # noqa: ANN401 (as above)
    """Return which cell is executed at the moment, and in which execution."""
    if not hasattr(shell, "get_parent"):
        return None
    request = shell.get_parent()
    cell = request.get("metadata", {}).get("cellId")
    return None if cell is None else (cell, request["header"]["msg_id"])
