"""Closes the widgets of a cell that is executed again, and of which nothing is left."""

from __future__ import annotations

import gc
import re
import sys
import weakref
from types import FunctionType, ModuleType
from typing import Any, NamedTuple, Protocol

# Such as the children, in the traits, of a box, in the traits, of a box of the user's.
_DEEPEST = 12
_MOST = 2000
# From these there is a way to all there is.
_OPAQUE = {"IPython", "_thread", "asyncio", "comm", "ipykernel", "threading", "weakref"}
# Its own variables: the latest outputs and inputs, and all of them.
_IPYTHONS = re.compile(r"_+|_\d+|_i+|_i\d+|_[ido]h|In|Out")


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
    """Return the identities of what variables hold, and what is in that, and so on."""
    level = [x for name, x in variables.items() if not _IPYTHONS.fullmatch(name)]
    # From a function, say, there is a way back to all variables, IPython's too.
    held = {id(variables), id(variables.get("_oh"))}
    for _ in range(_DEEPEST):
        level = list({id(x): x for x in level if id(x) not in held}.values())
        held.update(id(value) for value in level)
        level = [inner for outer in level for inner in _contents(outer)]
    return held


def _contents(value: object) -> list[Any]:
    """Return what is in a container that is no large data, in an object or closure."""
    if isinstance(value, FunctionType):
        # Not all that it refers to, since its module is among that.
        return [value.__closure__, value.__defaults__, value.__kwdefaults__]
    if isinstance(value, ModuleType | type) or _library(value) in _OPAQUE:
        return []
    # This runs no code of the user's, whatever it is.
    inside = gc.get_referents(value)
    return inside if len(inside) <= _MOST else []


def _library(value: object) -> str:
    return str(type(value).__module__).partition(".")[0]


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
