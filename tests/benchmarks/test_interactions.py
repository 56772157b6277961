from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.interactions import by_thread, calls_counted, file_changes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_SOURCES = {
    "counted/first.py": """
from counted.inner.second import double, numbers

def one():
    return two()

def two():
    return double(double(1))

def summed():
    return sum(numbers()) + two()
""",
    "counted/inner/second.py": """
def double(number):
    return 2 * number

def numbers():
    yield 1
    yield 2
""",
    "other.py": """
from threading import Thread

from counted.first import one

def one_in_thread():
    thread = Thread(target=one, name="other")
    thread.start()
    one()
    thread.join()
""",
}
_ONE = [
    ("first.py", "one"),
    ("first.py", "two"),
    ("inner/second.py", "double"),
    ("inner/second.py", "double"),
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Yield a folder of two modules, which a module outside of the folder calls."""
    for name, source in _SOURCES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path / "counted"
    for name in set(sys.modules):
        if name.split(".")[0] in {"counted", "other"}:
            del sys.modules[name]


def _function(module: str, name: str) -> Callable[[], Any]:
    function: Callable[[], Any] = getattr(importlib.import_module(module), name)
    return function


def test_the_calls_in_order_and_the_changes_of_the_file(folder: Path) -> None:
    one = _function("counted.first", "one")
    with calls_counted(folder) as calls:
        assert one() == 4
    one()
    assert [(call.file, call.function) for call in calls] == _ONE
    assert file_changes(calls) == 1


def test_a_generator_is_called_each_time_it_goes_on(folder: Path) -> None:
    summed = _function("counted.first", "summed")
    with calls_counted(folder) as calls:
        assert summed() == 7
    functions = ["summed", *["numbers"] * 3, "two", "double", "double"]
    assert [call.function for call in calls] == functions
    assert file_changes(calls) == 3


def test_each_thread_is_counted_on_its_own(folder: Path) -> None:
    one_in_thread = _function("other", "one_in_thread")
    with calls_counted(folder) as calls:
        one_in_thread()
    threads = by_thread(calls)
    assert {thread.name for thread in threads} == {"MainThread", "other"}
    for of_thread in threads.values():
        assert [(call.file, call.function) for call in of_thread] == _ONE
    assert file_changes(calls) == 2


def test_what_was_called_before_each_call_is_so_again(folder: Path) -> None:
    def profile(*_: object) -> None:
        pass

    former = sys.getprofile()
    sys.setprofile(profile)
    try:
        with calls_counted(folder):
            assert sys.getprofile() is not profile
        assert sys.getprofile() is profile
    finally:
        sys.setprofile(former)
