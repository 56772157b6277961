from __future__ import annotations

import gc
from collections import defaultdict, deque
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from lrwidget import reruns

if TYPE_CHECKING:
    from collections.abc import Callable


class _Closable:
    """What stands for a widget."""

    def __init__(self) -> None:
        self.closed = False

    def close(self) -> None:
        self.closed = True


class _Shell:
    """What is used of IPython in a kernel: its variables, and the end of each cell."""

    def __init__(self) -> None:
        self.user_ns: dict[str, Any] = {"_oh": {}}
        self.user_ns["Out"] = self.user_ns["_oh"]
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
def shell(monkeypatch: pytest.MonkeyPatch) -> _Shell:
    shell = _Shell()
    monkeypatch.setattr(reruns, "_shell", lambda: shell)
    monkeypatch.setattr(reruns, "_made", [])
    return shell


@pytest.fixture
def made() -> list[_Closable]:
    """Return what is made, and kept alive as ipywidgets keeps widgets."""
    return []


def _make(made: list[_Closable]) -> _Closable:
    made.append(_Closable())
    reruns.watch(made[-1])
    return made[-1]


def _closed(made: list[_Closable]) -> list[bool]:
    return [widget.closed for widget in made]


def test_what_a_cell_made_before_is_closed(
    shell: _Shell, made: list[_Closable]
) -> None:
    for count in range(3):
        shell.execute("a", lambda: shell.user_ns.update(w=_make(made)))
        assert _closed(made) == [True] * count + [False]


def test_all_that_it_made_are_closed(shell: _Shell, made: list[_Closable]) -> None:
    for _ in range(2):
        shell.execute("a", lambda: [_make(made) for _ in range(2)])
    assert _closed(made) == [True, True, False, False]


def test_what_another_cell_made_stays(shell: _Shell, made: list[_Closable]) -> None:
    for cell in "abc":
        shell.execute(cell, lambda: shell.user_ns.update(w=_make(made)))
    assert _closed(made) == [False] * 3
    shell.execute("b", lambda: None)
    assert _closed(made) == [False, True, False]


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
    ],
)
def test_what_a_variable_holds_stays(
    shell: _Shell, made: list[_Closable], hold: Callable[[_Closable], object]
) -> None:
    shell.execute("a", lambda: shell.user_ns.update(kept=hold(_make(made))))
    kept = shell.user_ns.pop("kept")
    shell.execute("b", lambda: shell.user_ns.update(other=kept))
    shell.execute("a", lambda: shell.user_ns.update(w=_make(made)))
    assert _closed(made) == [False, False]
    shell.execute("c", lambda: shell.user_ns.pop("other"))
    shell.execute("a", lambda: shell.user_ns.update(w=_make(made)))
    assert _closed(made) == [True, True, False]


def test_what_only_ipython_remembers_is_closed(
    shell: _Shell, made: list[_Closable]
) -> None:
    def show() -> None:
        widget = _make(made)
        shell.user_ns["_oh"][len(made)] = shell.user_ns["_"] = widget

    for _ in range(2):
        shell.execute("a", show)
    assert _closed(made) == [True, False]


def test_it_is_closed_once(shell: _Shell, made: list[_Closable]) -> None:
    for _ in range(2):
        shell.execute("a", lambda: shell.user_ns.update(w=_make(made)))
    made[0].closed = False
    shell.execute("a", lambda: None)
    assert _closed(made) == [False, False]
    assert len(shell.callbacks["post_run_cell"]) == 1


def test_what_is_gone_is_not_kept(shell: _Shell) -> None:
    shell.execute("a", lambda: reruns.watch(_Closable()))
    gc.collect()
    shell.execute("a", lambda: None)
    assert reruns._made == []


def test_where_no_cell_is_told_from_another_nothing_is_closed(
    shell: _Shell, made: list[_Closable]
) -> None:
    for _ in range(2):
        shell.execute(None, lambda: shell.user_ns.update(w=_make(made)))
    assert _closed(made) == [False, False]
    assert shell.callbacks["post_run_cell"] == []


@pytest.mark.parametrize("shell_of", [lambda: None, SimpleNamespace])
def test_without_a_kernel_nothing_is_closed(
    monkeypatch: pytest.MonkeyPatch, made: list[_Closable], shell_of: Any
) -> None:
    monkeypatch.setattr(reruns, "_shell", shell_of)
    monkeypatch.setattr(reruns, "_made", [])
    _make(made)
    assert reruns._made == []
    assert _closed(made) == [False]
