"""Closes widgets that an earlier execution of a cell made, and that are not used."""

from __future__ import annotations

import gc
import sys
import threading
import weakref
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    import ipywidgets as ipw

# With more objects, the search would take more than a few seconds: no widget is closed.
_MOST_OBJECTS = 2_000_000
_PACKAGE = __name__.partition(".")[0]


class _Made(NamedTuple):
    """A widget, and the execution of the cell that has made it."""

    widget: weakref.ref[ipw.Widget]
    cell: str
    execution: str


_made: list[_Made] = []


def watch(widget: ipw.Widget) -> None:
    """
    Close a widget after the next execution of the cell that makes it now.

    A widget stays open if an object that the garbage collector knows refers to it,
    directly or indirectly. The registries of ipywidgets, the comms and the outputs of
    IPython do not count: each keeps all widgets alive, so that a widget without any
    other reference would go on training. Without IPython, or if the front end does
    not identify cells, no widget is closed.
    """
    shell = _shell()
    current = _execution(shell)
    if current is not None:
        if _close_orphans not in shell.events.callbacks["post_run_cell"]:
            shell.events.register("post_run_cell", _close_orphans)
        _made.append(_Made(weakref.ref(widget), *current))


def _close_orphans(_result: object) -> None:
    shell = _shell()
    current = _execution(shell)
    if current is None:
        return
    cell, execution = current
    _made[:] = [made for made in _made if made.widget() is not None]
    earlier = [x for x in _made if x.cell == cell and x.execution != execution]
    if not earlier or len(gc.get_objects()) > _MOST_OBJECTS or gc.get_freeze_count():
        return  # a frozen object may hold a widget, and is not among these
    # The holder of a widget may be garbage, or a temporary object of our own threads.
    for attempt in range(3 if _own_threads() else 2):
        if attempt:
            gc.collect()
        held = _held(shell)
        for made in [x for x in earlier if id(x.widget()) not in held]:
            earlier.remove(made)
            _made.remove(made)
            widget = made.widget()
            if widget is not None:
                widget.close()
        if not earlier:
            return


def _held(shell: Any) -> set[int]:  # noqa: ANN401 (IPython is not imported)
    """
    Return the identities of the objects in the registries that are also in use.

    An object is in use if any other object, a variable of the user or a running
    function refers to it, directly or indirectly.
    """
    objects = gc.get_objects()  # without those that are made here
    registries = _registries(shell)
    result = getattr(shell, "last_execution_result", None)
    uncounted = {id(x) for x in (*registries, shell.user_ns, result)}
    own = _own_threads()
    hidden, variables = shell.user_ns_hidden, list(shell.user_ns.items())
    roots = [x for k, x in variables if k not in hidden or hidden[k] is not x]
    for frame, counts in _frames({thread.ident for thread in own}):
        if counts:
            roots += list(frame.f_locals.values())
        else:
            uncounted.add(id(frame))
    skipped = uncounted | {id(x) for x in _globals()}
    values = [x.values() if isinstance(x, dict) else x for x in registries]
    known = _reachable([x for each in values for x in list(each)], skipped)
    counted = [x for x in objects if id(x) not in known and id(x) not in uncounted]
    skipped.update(map(id, own))
    referents = map(id, _with_elements([*roots, *gc.get_referents(*counted)]))
    held = set(filter(known.__contains__, referents))
    return set(_reachable([known[identity] for identity in held], skipped))


def _registries(shell: Any) -> list[Any]:  # noqa: ANN401 (as above)
    """Return the containers that keep all widgets, running jobs or outputs alive."""
    ipywidgets = sys.modules.get("ipywidgets.widgets.widget")
    runner = sys.modules.get(f"{_PACKAGE}.runner")
    comm = sys.modules.get("comm")
    found = [
        shell.user_ns.get("_oh"),
        shell.user_ns_hidden,
        getattr(getattr(shell, "displayhook", None), "__dict__", None),
        getattr(ipywidgets, "_instances", None),
        None if comm is None else comm.get_comm_manager().comms,
        getattr(runner, "_running", None),
    ]
    return [x for x in found if x is not None]


def _globals() -> Iterator[dict[str, Any]]:
    """Yield the variables of each module, without the import of a lazy one."""
    for module in list(sys.modules.values()):
        if issubclass(type(module), ModuleType):
            yield ModuleType.__getattribute__(module, "__dict__")


def _frames(own: set[int | None]) -> Iterator[tuple[FrameType, bool]]:
    """Yield each running frame, and whether its variables are those of a user."""
    for thread, current in sys._current_frames().items():  # noqa: SLF001 (documented)
        frame: FrameType | None = current
        while frame is not None:
            yield frame, thread not in own and frame.f_code.co_filename != __file__
            frame = frame.f_back


def _own_threads() -> list[threading.Thread]:
    return [x for x in threading.enumerate() if x.name.startswith(_PACKAGE)]


def _reachable(found: list[Any], skipped: set[int]) -> dict[int, Any]:
    """
    Return some objects, and all objects that can be reached from them, by identity.

    The objects in ``skipped`` are left out. Classes are left out, too, since each leads
    to a large part of all objects.
    """
    # Holds the objects, since the identity of a deleted one may be used again.
    seen: dict[int, Any] = {}
    while found:
        new = {id(x): x for x in found if id(x) not in seen and id(x) not in skipped}
        seen.update(new)
        # This runs no code of the user's, and follows no weak references.
        found = [
            x
            for x in _with_elements(gc.get_referents(*new.values()))
            if gc.is_tracked(x) and not issubclass(type(x), type)
        ]
    return seen


def _with_elements(objects: list[Any]) -> list[Any]:
    """
    Return some objects, and the objects in the arrays of NumPy among them.

    The garbage collector does not know these. No code of the user's is run.
    """
    numpy = sys.modules.get("numpy")
    every, found, seen = list(objects), objects, {}
    while numpy is not None and found:
        # First the classes, which are few.
        arrays_of_numpy = numpy.ndarray, numpy.void
        kinds = {x for x in set(map(type, found)) if issubclass(x, arrays_of_numpy)}
        arrays = {id(x): x for x in found if type(x) in kinds and id(x) not in seen}
        seen.update(arrays)
        found = []
        for array in arrays.values():
            plain = numpy.asarray(array)  # not of a subclass of the user's
            if isinstance(array, numpy.ndarray):
                found.append(numpy.ndarray.base.__get__(array))
            if plain.dtype.names is not None:
                found += [plain[name] for name in plain.dtype.names]
            elif plain.dtype.hasobject:
                found += plain.ravel().tolist()
        every += found
    return every


def _shell() -> Any:  # noqa: ANN401 (as above)
    ipython = sys.modules.get("IPython")
    return None if ipython is None else ipython.get_ipython()


def _execution(shell: Any) -> tuple[str, str] | None:  # noqa: ANN401 (as above)
    """Return the ids of the cell that runs now and of its execution, if known."""
    if not hasattr(shell, "get_parent"):
        return None
    request = shell.get_parent()
    cell = request.get("metadata", {}).get("cellId")
    return None if cell is None else (cell, request["header"]["msg_id"])
