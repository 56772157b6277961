"""
Count the calls and the file changes of one press on Run and one move of the handle.

A call is an entry into the frame of a Python function of the package. Lambdas, resumed
generators and comprehensions count too; a comprehension has its own frame only before
Python 3.12. A file change is a call in another file than the previous call in the same
thread; a return is no file change. Another widget does everything once before, so that
imports and the filling of caches do not count. Threads count if they start after the
press.

A press on Run lasts until its handler has returned and the training, in another thread,
asks for its first batch. A move of the handle is one new place on the axis after the
end of a test: once as the page sends it, and once as a program sets it.

The script fails if a bound does not hold:

    python -m benchmarks.interactions
    python -m benchmarks.interactions --list    # the calls in order, file by file
    python -m benchmarks.interactions --lines   # the size of the package instead
"""

from __future__ import annotations

import argparse
import sys
import threading
from contextlib import contextmanager
from itertools import groupby, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import bqplot
import ipywidgets as ipw
import numpy as np
import torch
from torch import nn

import lrwidget
from lrwidget import LRWidget
from lrwidget.curve.ticks import rounded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from types import FrameType

W = TypeVar("W", bound=ipw.Widget)

PACKAGE = Path(lrwidget.__file__).parent
_SECONDS = 60
_RUN, _SENT, _SET = (
    "press on Run",
    "move of the handle, sent by the page",
    "move of the handle, set by a program",
)
_MOST_CHANGES = {_RUN: 110, _SENT: 12, _SET: 12}
_MOST_LINES, _MOST_AT_TOP = 13_000, 6


class Call(NamedTuple):
    """A call of a function: its thread, its file within the package, and its name."""

    thread: threading.Thread
    file: str
    function: str


@contextmanager
def calls_counted(folder: Path) -> Iterator[list[Call]]:
    """
    Record the calls of functions of a folder, in this thread and in new threads.

    Parameters
    ----------
    folder:
        Folder of the Python files, with all folders in it.

    Yields
    ------
    :
        The calls so far, in the order of their time.
    """
    calls: list[Call] = []
    start = f"{folder}/"
    recording = True

    def profile(frame: FrameType, event: str, _arg: object) -> None:
        if not recording:  # in a thread that still runs
            sys.setprofile(None)
            return
        path = frame.f_code.co_filename
        if event == "call" and path.startswith(start):
            file, function = path[len(start) :], frame.f_code.co_name
            calls.append(Call(threading.current_thread(), file, function))

    former = sys.getprofile(), threading.getprofile()
    threading.setprofile(profile)
    sys.setprofile(profile)
    try:
        yield calls
    finally:
        recording = False
        sys.setprofile(former[0])
        threading.setprofile(former[1])


def by_thread(calls: Iterable[Call]) -> dict[threading.Thread, list[Call]]:
    """Return the calls of each thread, in order, the thread of the first call first."""
    threads: dict[threading.Thread, list[Call]] = {}
    for call in calls:
        threads.setdefault(call.thread, []).append(call)
    return threads


def file_changes(calls: Iterable[Call]) -> int:
    """Return the number of calls in another file than their thread's previous call."""
    return sum(
        before.file != after.file
        for of_thread in by_thread(calls).values()
        for before, after in pairwise(of_thread)
    )


class _Gate:
    """A loader that notes the first request, and gives batches once `open` is set."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.open = threading.Event()

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        generator = torch.Generator().manual_seed(0)
        while True:
            self.asked.set()
            if not self.open.wait(_SECONDS):
                raise TimeoutError
            inputs = torch.randn(4, 8, generator=generator)
            yield inputs, inputs.sum(1, keepdim=True)


def _find(root: ipw.Widget, kind: type[W], matches: Callable[[W], bool]) -> W:
    """Return the only matching widget of a kind in the tree below `root`."""
    found, seen, left = [], set(), [root]
    while left:
        widget = left.pop()
        if id(widget) in seen:
            continue
        seen.add(id(widget))
        if isinstance(widget, kind) and matches(widget):
            found.append(widget)
        for name in widget.keys:
            value = getattr(widget, name)
            parts = value if isinstance(value, (list, tuple)) else [value]
            left += [part for part in parts if isinstance(part, ipw.Widget)]
    (widget,) = found
    return widget


def _interactions() -> dict[str, list[Call]]:
    """Return the calls of each interaction, by its name, with a new widget."""
    torch.manual_seed(0)
    model, gate = nn.Linear(8, 1), _Gate()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    widget = LRWidget(model, optimizer, gate, nn.MSELoss())
    button = _find(widget, ipw.Button, lambda button: button.description == "Run")
    dot = _find(widget, bqplot.Scatter, lambda scatter: scatter.enable_move)
    interactions = {}
    with calls_counted(PACKAGE) as interactions[_RUN]:
        button.click()
        if not gate.asked.wait(_SECONDS):
            raise TimeoutError
    gate.open.set()
    widget.wait(_SECONDS)

    rates = dot.scales["x"]
    first, second = np.geomspace(rates.min, rates.max, 4)[1:3]
    place = memoryview(np.array([first]).tobytes())
    with calls_counted(PACKAGE) as interactions[_SENT]:
        dot.set_state({"x": {"shape": [1], "dtype": "float64", "value": place}})
    with calls_counted(PACKAGE) as interactions[_SET]:
        dot.x = np.array([second])
    if widget.value != rounded(second):
        msg = f"the move of the handle has not picked its rate: {widget.value}"
        raise RuntimeError(msg)
    widget.close()
    return interactions


def _list(calls: Sequence[Call]) -> None:
    """Print the calls in order, with one line for consecutive calls in a file."""
    for thread, of_thread in by_thread(calls).items():
        print(f"  in {thread.name}")
        for file, stay in groupby(of_thread, lambda call: call.file):
            names = []
            for name, same in groupby(call.function for call in stay):
                count = len(list(same))
                names.append(name if count == 1 else f"{count} x {name}")
            print(f"    {file}: {', '.join(names)}")


def _verdict(value: int, bound: int) -> str:
    return f"at most {bound:,}: {'holds' if value <= bound else 'FALLS SHORT'}"


def _report(*, listed: bool) -> int:
    _interactions()
    held = True
    for name, calls in _interactions().items():
        changes, bound = file_changes(calls), _MOST_CHANGES[name]
        held &= changes <= bound
        print(
            f"{name}: {len(calls)} calls, {changes} file changes; "
            f"{_verdict(changes, bound)}"
        )
        if listed:
            _list(calls)
    return int(not held)


def _report_lines() -> int:
    modules = sorted(PACKAGE.rglob("*.py"))
    files = [*modules, *PACKAGE.rglob("*.js"), *PACKAGE.rglob("*.css")]
    lines = sum(len(path.read_text("utf-8").splitlines()) for path in files)
    named = [path for path in modules if path.name != "__init__.py"]
    at_top = sum(path.parent == PACKAGE for path in named)
    print(f"lines of Python, JavaScript and CSS: {lines:,}; ", end="")
    print(_verdict(lines, _MOST_LINES))
    print(f"modules at the top: {at_top}; {_verdict(at_top, _MOST_AT_TOP)}")
    print(f"modules in all: {len(named)}, without any __init__.py")
    return int(lines > _MOST_LINES or at_top > _MOST_AT_TOP)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--list", action="store_true", help="print the calls in order")
    parser.add_argument("--lines", action="store_true", help="print the size instead")
    arguments = parser.parse_args()
    if arguments.lines:
        sys.exit(_report_lines())
    sys.exit(_report(listed=arguments.list))
