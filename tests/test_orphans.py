from __future__ import annotations

import gc
import json
import os
import sys
import threading
import weakref
from collections import defaultdict, deque
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar

import ipywidgets as ipw
import numpy as np
import pandas as pd
import pytest
from ipywidgets.widgets import widget as widget_module
from jupyter_client.manager import KernelManager
from torch import nn

from lrwidget import orphans as reruns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from jupyter_client.blocking.client import BlockingKernelClient


_FREEZE_COUNT = gc.get_freeze_count


class _Widget(ipw.DOMWidget):  # type: ignore[misc]  # untyped base
    """A widget, which ipywidgets keeps alive, and a list of those that were closed."""

    closed: ClassVar[list[int]] = []

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__()

    def close(self) -> None:
        if self.comm is not None:  # at the end of its life it is called again
            self.closed.append(self.number)
        super().close()


class _Shell:
    """What is used of IPython in a kernel: its variables, and the end of each cell."""

    def __init__(self) -> None:
        self.user_ns: dict[str, Any] = {"_oh": {}}
        self.user_ns["Out"] = self.user_ns["_oh"]
        self.user_ns_hidden = dict(self.user_ns)
        self.callbacks: dict[str, list[Callable[[object], None]]] = {
            "post_run_cell": []
        }
        self.events = self
        self._request: dict[str, Any] = {}
        self._count = 0

    def register(self, event: str, callback: Callable[[object], None]) -> None:
        self.callbacks[event].append(callback)

    def get_parent(self) -> dict[str, Any]:
        return self._request

    def execute(self, cell: str | None, code: Callable[[], object]) -> None:
        self._count += 1
        metadata = {} if cell is None else {"cellId": cell}
        header = {"msg_id": f"request {self._count}"}
        self._request = {"metadata": metadata, "header": header}
        code()
        for callback in self.callbacks["post_run_cell"]:
            callback(None)


@pytest.fixture
def _few_objects(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Leave the objects of earlier tests out of each search, which is faster then."""
    gc.collect()
    gc.freeze()
    monkeypatch.setattr(gc, "get_freeze_count", lambda: 0)
    yield
    gc.unfreeze()


@pytest.fixture
def shell(_few_objects: None, monkeypatch: pytest.MonkeyPatch) -> _Shell:
    shell = _Shell()
    monkeypatch.setattr(reruns, "_shell", lambda: shell)
    monkeypatch.setattr(reruns, "_made", [])
    return shell


@pytest.fixture(autouse=True)
def _closed_at_the_end(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(_Widget, "closed", [])
    before = set(widget_module._instances)
    yield
    for name in widget_module._instances.keys() - before:
        widget_module._instances[name].close()


@pytest.fixture
def made() -> list[int]:
    """Return the numbers of the widgets that are made."""
    return []


def _make(made: list[int]) -> _Widget:
    widget = _Widget(len(made))
    made.append(widget.number)
    reruns.watch(widget)
    return widget


def _closed(made: list[int]) -> list[bool]:
    return [number in _Widget.closed for number in made]


def test_what_a_cell_made_before_is_closed(shell: _Shell, made: list[int]) -> None:
    for count in range(3):
        shell.execute("a", lambda: shell.user_ns.update(w=_make(made)))
        assert _closed(made) == [True] * count + [False]


def test_all_that_it_made_are_closed(shell: _Shell, made: list[int]) -> None:
    for _ in range(2):
        shell.execute("a", lambda: [_make(made) for _ in range(2)])
    assert _closed(made) == [True, True, False, False]


def test_what_another_cell_made_stays(shell: _Shell, made: list[int]) -> None:
    for cell in "abc":
        shell.execute(cell, lambda: shell.user_ns.update(w=_make(made)))
    assert _closed(made) == [False] * 3
    shell.execute("b", lambda: None)
    assert _closed(made) == [False, True, False]


class _Slotted:
    __slots__ = ("widget",)

    def __init__(self, widget: object) -> None:
        self.widget = widget


class _Box(ipw.VBox):  # type: ignore[misc]  # untyped base
    def __init__(self, kept: object) -> None:
        self.kept = kept
        super().__init__()


def _in_an_array_in_an_array(widget: object) -> Any:
    outer = np.empty(2, object)
    outer[:] = np.array([widget], object), outer
    return outer


def _in_a_record(widget: object) -> Any:
    records = np.zeros(1, [("a", float), ("b", [("c", object, 2)])])
    records["b"]["c"] = widget
    return records


def _in_lists(widget: object, depth: int) -> object:
    return [_in_lists(widget, depth - 1)] if depth else widget


def _module(widget: object) -> ModuleType:
    module = ModuleType("of_the_user")
    module.__dict__["widget"] = widget
    return module


@pytest.mark.parametrize(
    "hold",
    [
        lambda widget: widget,
        lambda widget: [widget],
        lambda widget: {"a": [(0, widget)]},
        lambda widget: defaultdict(list, a=[widget]),
        lambda widget: deque([widget]),
        lambda widget: SimpleNamespace(a=SimpleNamespace(b=widget)),
        lambda widget: lambda: widget,
        lambda widget: lambda w=widget: w,
        lambda widget: partial(print, widget),
        lambda widget: type("Keep", (), {"widget": widget}),
        lambda widget: [[0]] * 3000 + [[widget]],
        lambda widget: _in_lists(widget, 50),
        _Slotted,
        lambda widget: (x for x in [widget]),
        lambda widget: widget.close,
        _module,
        lambda widget: threading.Thread(target=print, args=(widget,)),
        # The garbage collector does not know what an array holds.
        lambda widget: np.array([[0, widget]], object),
        lambda widget: np.array([0, widget], object)[:1],
        _in_an_array_in_an_array,
        lambda widget: np.ma.array([widget, 0], dtype=object),
        _in_a_record,
        lambda widget: _in_a_record(widget)[0],
        lambda widget: pd.Series([widget, 0]),
        # A widget that is held, and the array in it.
        lambda widget: _Box(np.array([widget])),
    ],
)
def test_what_a_variable_holds_stays(
    shell: _Shell, made: list[int], hold: Callable[[_Widget], object]
) -> None:
    shell.execute("a", lambda: shell.user_ns.update(kept=hold(_make(made))))
    shell.execute("b", lambda: shell.user_ns.update(other=shell.user_ns.pop("kept")))
    shell.execute("a", lambda: shell.user_ns.update(w=_make(made)))
    assert _closed(made) == [False, False]
    shell.execute("c", lambda: shell.user_ns.pop("other"))
    shell.execute("a", lambda: shell.user_ns.update(w=_make(made)))
    assert _closed(made) == [True, True, False]


def test_what_a_module_or_a_library_holds_stays(
    shell: _Shell, made: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def hold(patch: pytest.MonkeyPatch) -> None:
        module = _module([_make(made)])
        patch.setitem(sys.modules, "of_the_user", module)
        # In a library, to which the user's variables do not lead.
        patch.setattr(nn.Module, "w", [_make(made)], raising=False)
        patch.setattr(json, "w", _make(made), raising=False)
        boxed = ipw.VBox([ipw.VBox([_make(made)])])
        patch.setattr(json.decoder, "w", boxed, raising=False)
        patch.setattr(reruns._shell(), "w", [_make(made)], raising=False)

    gc.unfreeze()  # the library is older than the test
    with monkeypatch.context() as patch:
        shell.execute("a", lambda: hold(patch))
        shell.execute("a", lambda: None)
        assert _closed(made) == [False] * 5
    shell.execute("a", lambda: None)
    assert _closed(made) == [True] * 5


def test_what_a_thread_works_with_stays(shell: _Shell, made: list[int]) -> None:
    working, done = threading.Event(), threading.Event()

    def work(*_widget: object) -> None:
        working.set()
        assert done.wait(60)

    def begin() -> threading.Thread:
        thread = threading.Thread(target=work, args=(_make(made),))
        thread.start()
        assert working.wait(60)
        return thread

    threads: list[threading.Thread] = []
    shell.execute("a", lambda: threads.append(begin()))
    shell.execute("a", lambda: None)
    assert _closed(made) == [False]
    done.set()
    threads.pop().join()
    shell.execute("a", lambda: None)
    assert _closed(made) == [True]


def test_what_a_running_function_works_with_stays(
    shell: _Shell, made: list[int]
) -> None:
    def work() -> None:
        kept: list[_Widget] = []
        shell.execute("a", lambda: kept.append(_make(made)))
        shell.execute("a", lambda: None)
        assert _closed(made) == [False]
        kept.clear()

    work()
    shell.execute("a", lambda: None)
    assert _closed(made) == [True]


def test_what_it_shares_with_the_user_may_hold_it(
    shell: _Shell, made: list[int]
) -> None:
    def make() -> None:
        model = SimpleNamespace()
        model.widget = widget = _make(made)
        widget.model = model
        shell.user_ns["model"] = model

    shell.execute("a", make)
    shell.execute("a", lambda: None)
    assert _closed(made) == [False]
    shell.execute("a", lambda: shell.user_ns.pop("model"))
    assert _closed(made) == [True]


def test_a_weak_reference_and_garbage_do_not_hold_it(
    shell: _Shell, made: list[int]
) -> None:
    def make() -> None:
        widget = _make(made)
        shell.user_ns["weak"] = weakref.ref(widget)
        garbage = [widget]
        garbage.append(garbage)  # type: ignore[arg-type]  # the point

    gc.disable()
    try:
        shell.execute("a", make)
        shell.execute("a", lambda: None)
    finally:
        gc.enable()
    assert _closed(made) == [True]


def test_where_there_is_too_much_to_look_through_nothing_is_closed(
    shell: _Shell, made: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reruns, "_MOST_OBJECTS", 10)
    for _ in range(2):
        shell.execute("a", lambda: shell.user_ns.update(w=_make(made)))
    assert _closed(made) == [False, False]


def _remember(shell: _Shell, name: str, widget: _Widget) -> None:
    shell.user_ns["_oh"][1] = shell.user_ns[name] = widget
    shell.user_ns_hidden[name] = widget


@pytest.mark.parametrize("name", ["_", "___", "_12"])
def test_what_only_ipython_remembers_is_closed(
    shell: _Shell, made: list[int], name: str
) -> None:
    for _ in range(2):
        shell.execute("a", lambda: _remember(shell, name, _make(made)))
    assert _closed(made) == [True, False]


@pytest.mark.parametrize("hold", [lambda w: [w], lambda w: ipw.VBox([ipw.VBox([w])])])
def test_what_only_ipython_or_ipywidgets_hold_does_not_hold_it(
    shell: _Shell, made: list[int], hold: Callable[[_Widget], object]
) -> None:
    def show() -> None:
        shell.user_ns["_oh"][len(made)] = hold(_make(made))

    for _ in range(2):
        shell.execute("a", show)
    assert _closed(made) == [True, False]
    shell.user_ns["box"] = shell.user_ns["_oh"][2]
    shell.execute("a", lambda: None)
    assert _closed(made) == [True, False]
    del shell.user_ns["box"]
    shell.execute("a", lambda: None)
    assert _closed(made) == [True, True]


def test_what_the_user_calls_as_ipython_does_stays(
    shell: _Shell, made: list[int]
) -> None:
    shell.execute("a", lambda: shell.user_ns.update(_12=_make(made)))
    shell.execute("a", lambda: None)
    assert _closed(made) == [False]


def test_it_is_closed_once(shell: _Shell, made: list[int]) -> None:
    for _ in range(2):
        shell.execute("a", lambda: shell.user_ns.update(w=_make(made)))
    shell.execute("a", lambda: None)
    assert _Widget.closed == [0]
    assert len(shell.callbacks["post_run_cell"]) == 1


def test_what_is_gone_is_not_kept(shell: _Shell) -> None:
    shell.execute("a", lambda: _make([]).close())
    gc.collect()
    shell.execute("a", lambda: None)
    assert reruns._made == []


def test_where_no_cell_is_told_from_another_nothing_is_closed(
    shell: _Shell, made: list[int]
) -> None:
    for _ in range(2):
        shell.execute(None, lambda: shell.user_ns.update(w=_make(made)))
    assert _closed(made) == [False, False]
    assert shell.callbacks["post_run_cell"] == []


@pytest.mark.parametrize("shell_of", [lambda: None, SimpleNamespace])
def test_without_a_kernel_nothing_is_closed(
    monkeypatch: pytest.MonkeyPatch, made: list[int], shell_of: Any
) -> None:
    monkeypatch.setattr(reruns, "_shell", shell_of)
    monkeypatch.setattr(reruns, "_made", [])
    _make(made)
    assert reruns._made == []
    assert _closed(made) == [False]


_SETUP = """
import threading
import torch
from torch import nn
from lrwidget import LRWidget
from tests.widget_parts import parts

class Endless:
    def __iter__(self):
        while True:
            threading.Event().wait(0.01)
            yield torch.ones(4, 8), torch.zeros(4, 1)

class Keep:
    pass

made = []  # numbers, which hold nothing
def state():
    # Which of the widgets that were made are still open, and run.
    from ipywidgets.widgets.widget import _instances
    return [x in _instances and _instances[x].running for x in made]
"""
_CELL = """
w = LRWidget(*parts(), Endless(), nn.MSELoss(), num_it=100_000, end_lr=1e-6)
w.run()
made.append(w.model_id)
w
"""


def _execute(client: BlockingKernelClient, code: str, cell: str) -> str:
    """Execute a cell as JupyterLab does, and return what it has printed."""
    content = {"code": code, "silent": False, "store_history": True}
    request = client.session.msg("execute_request", content, metadata={"cellId": cell})
    client.shell_channel.send(request)
    printed = ""
    while True:
        message = client.get_iopub_msg(timeout=60)
        if message["parent_header"].get("msg_id") != request["header"]["msg_id"]:
            continue
        kind, content = message["msg_type"], message["content"]
        assert kind != "error", content
        if kind == "stream":
            printed += content["text"]
        elif kind == "status" and content["execution_state"] == "idle":
            return printed


def test_in_a_kernel_a_running_widget_is_closed_when_nothing_holds_it() -> None:
    manager = KernelManager(kernel_name="python3")
    root = str(Path(__file__).parents[1])
    manager.start_kernel(env=os.environ | {"PYTHONPATH": root})
    client = manager.client()
    try:
        client.start_channels()
        client.wait_for_ready(60)

        def rerun(before: str = "") -> list[bool]:
            """Execute a cell, then the one of the widget; return which are open."""
            _execute(client, before, "another")
            _execute(client, _CELL, "a")
            are_open: list[bool] = json.loads(
                _execute(client, "print(json.dumps(state()))", "state")
            )
            return are_open

        _execute(client, f"import json{_SETUP}", "setup")
        assert rerun() == [True]
        assert rerun() == [False, True]
        assert rerun("Keep.widget = w") == [False, True, True]
        assert rerun("Keep.widget = [[0]] * 3000 + [w]") == [False, False, True, True]
        assert rerun("nn.Module.kept = w") == [False] * 2 + [True] * 3
        assert rerun("del nn.Module.kept, Keep.widget") == [False] * 5 + [True]
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def test_where_objects_are_frozen_nothing_is_closed(
    shell: _Shell, made: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gc, "get_freeze_count", _FREEZE_COUNT)
    kept: list[list[_Widget]] = [[]]
    shell.user_ns["kept"] = kept
    gc.freeze()
    shell.execute("a", lambda: kept[0].append(_make(made)))
    shell.execute("a", lambda: None)
    assert _closed(made) == [False]
