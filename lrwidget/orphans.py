"""Closes the widgets of an earlier execution of a cell that nothing refers to."""

from __future__ import annotations

import gc
import inspect
import sys
import sysconfig
import threading
import weakref
from types import FrameType, ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

# About a second. Where the user has more objects, no widget is closed.
_MOST_OBJECTS = 1_000_000
_PACKAGE = __name__.partition(".")[0]
# The modules that keep all widgets alive, wherever they are installed.
_MACHINERY = {_PACKAGE, "IPython", "comm", "ipykernel", "ipywidgets", "traitlets"}
_STANDARD_LIBRARY = sysconfig.get_path("stdlib")
_INSTALLED = ("site-packages", "dist-packages")
_MODULE_OF_CLASS: Callable[[object], object] = type.__dict__["__module__"].__get__


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

    It stays open where anything refers to it but ipywidgets, the comms and the history
    of IPython. These keep all widgets alive, so that a widget that no code can use any
    more would go on training. Without IPython, or in a front end that does not tell one
    cell from another, nothing is closed.
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
    if not earlier:
        return
    keepers, libraries = _keepers(shell), _libraries()
    held = _reachable(_roots(shell, libraries), keepers | libraries)
    if held is None:
        return
    # A box, say, that only ipywidgets and the history refer to does not count, either.
    kept = _reachable(_kept(shell), held)
    if kept is None:
        return
    uncounted = {x: kept[x] for x in kept.keys() - held.keys()} | keepers
    del kept
    for made in earlier:
        widget = made.widget()
        if (
            widget is not None
            and id(widget) not in held
            and not _referred_to(widget, uncounted)
        ):
            _made.remove(made)
            widget.close()


def _keepers(shell: Any) -> dict[int, Any]:  # noqa: ANN401 (as below)
    """Return by identity what refers to widgets and does not count as a holder."""
    kernel = getattr(shell, "kernel", None)
    found = [
        shell,
        kernel,
        getattr(kernel, "comm_manager", None),
        getattr(shell, "displayhook", None),
        getattr(shell, "last_execution_result", None),
        shell.user_ns,
        *_registries(shell),
        *_own_threads(),
    ]
    return {id(x): x for x in found if x is not None}


def _registries(shell: Any) -> list[dict[Any, Any]]:  # noqa: ANN401 (as below)
    """Return where IPython has the latest outputs, and ipywidgets all widgets."""
    ipywidgets = sys.modules.get("ipywidgets.widgets.widget")
    displayhook = getattr(shell, "displayhook", None)
    found = [
        shell.user_ns.get("_oh"),
        shell.user_ns_hidden,
        getattr(displayhook, "__dict__", None),
        getattr(ipywidgets, "_instances", None),
    ]
    return [x for x in found if x is not None]


def _kept(shell: Any) -> Iterator[Any]:  # noqa: ANN401 (as below)
    for registry in _registries(shell):
        yield from list(registry.values())
    yield from (made.widget() for made in _made)


def _libraries() -> dict[int, Any]:
    """
    Return by identity the modules that are not the user's, and their variables.

    From these there is a way to everything but what the user alone holds.
    """
    found: list[Any] = []
    for module in _modules():
        if _is_library(module):
            found += [module, _contents(module)]
    return {id(x): x for x in found}


def _roots(shell: Any, libraries: dict[int, Any]) -> Iterator[Any]:  # noqa: ANN401 (as below)
    """Yield the user's variables and modules, and the variables of running threads."""
    hidden = shell.user_ns_hidden
    for name, value in list(shell.user_ns.items()):
        if name not in hidden or hidden[name] is not value:
            yield value
    yield from (module for module in _modules() if id(module) not in libraries)
    passed = {x.ident for x in _own_threads()} | {threading.get_ident()}
    for thread, current in sys._current_frames().items():  # noqa: SLF001 (documented)
        if thread not in passed:
            for frame in _frames(current):
                yield from list(frame.f_locals.values())


def _reachable(roots: Iterable[Any], passed: dict[int, Any]) -> dict[int, Any] | None:
    """Return by identity the roots, and all that these lead to; None if too much."""
    # The objects too, or another one may be given the identity of one that is gone.
    seen = dict(passed)
    found = list(roots)
    while found:
        new = {id(x): x for x in found if id(x) not in seen}
        seen.update(new)
        if len(seen) > _MOST_OBJECTS:
            return None
        # This runs no code of the user's, and follows no weak references.
        inside = gc.get_referents(
            *(x for x in new.values() if not _is_class_of(x, passed))
        )
        found = list(filter(gc.is_tracked, inside))
    return seen


def _is_class_of(value: object, modules: dict[int, Any]) -> bool:
    """Return whether it is a class of one of some modules, without the user's code."""
    if not issubclass(type(value), type):
        return False
    module = _MODULE_OF_CLASS(value)
    return isinstance(module, str) and id(sys.modules.get(module)) in modules


def _referred_to(widget: Closable, uncounted: dict[int, Any]) -> bool:
    """
    Return whether any object refers to a widget, beside some.

    This finds what the user has written into a library, such as an attribute of a class
    of torch, and what no walk finds.
    """
    for collect in (False, True):
        if collect:  # it may be a temporary object of another thread, or garbage
            gc.collect()
        running = {id(frame) for frame in _frames(inspect.currentframe())}
        if all(
            x is uncounted or id(x) in uncounted or id(x) in running
            for x in gc.get_referrers(widget)
        ):
            return False
    return True


def _frames(frame: FrameType | None) -> Iterator[FrameType]:
    """Yield a frame and all that have called it."""
    while frame is not None:
        yield frame
        frame = frame.f_back


def _own_threads() -> list[threading.Thread]:
    return [x for x in threading.enumerate() if x.name.startswith(_PACKAGE)]


def _modules() -> list[ModuleType]:
    return [x for x in list(sys.modules.values()) if issubclass(type(x), ModuleType)]


def _contents(module: ModuleType) -> dict[str, Any]:
    """Return the variables of a module, which may be one that is loaded when used."""
    contents: dict[str, Any] = ModuleType.__getattribute__(module, "__dict__")
    return contents


def _is_library(module: ModuleType) -> bool:
    contents = _contents(module)
    name, file = contents.get("__name__"), contents.get("__file__")
    package = name.partition(".")[0] if isinstance(name, str) else ""
    if package in _MACHINERY:
        return True
    if not isinstance(file, str):
        return package in sys.stdlib_module_names
    return file.startswith(_STANDARD_LIBRARY) or any(x in file for x in _INSTALLED)


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
