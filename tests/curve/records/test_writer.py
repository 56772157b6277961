"""Records of tests: what is written when, and what is left of it."""

from __future__ import annotations

import json
import math
import os
import re
import resource
import signal
from contextlib import contextmanager
from inspect import GEN_CLOSED, getgeneratorstate
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrwidget.curve.lr_curve import LRCurve, Step
from lrwidget.curve.records.reader import RecordedTest
from lrwidget.curve.records.store import LocalStore
from lrwidget.curve.records.writer import RecordFile, recorded
from lrwidget.curve.short_repr import short_repr

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

    from lrwidget.curve.lr_curve import StopReason

_SETTINGS = {"num_it": 100, "start_lr": 1e-7}
_LOSSES = [2.0, math.nan, 0.1, math.inf, -math.inf, 1e-300]


def _steps(
    losses: list[float], error: BaseException | None = None
) -> Generator[Step, None, StopReason]:
    for iteration, loss in enumerate(losses):
        yield Step(iteration, 1e-7 * 1.5**iteration, loss)
    if error is not None:
        raise error
    return "completed"


def _store(path: Path) -> LocalStore:
    return LocalStore(str(path), path)


def _lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_line_for_each_step_before_it_is_given(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    steps = recorded(_steps(_LOSSES), _store(path), _SETTINGS)
    assert not path.exists()
    for done, step in enumerate(steps, 1):
        header, *rest = _lines(path)
        assert header["settings"] == _SETTINGS
        assert set(header["versions"]) == {"python", "torch", "lrwidget"}
        assert len(rest) == done
        assert (rest[-1]["iteration"], rest[-1]["lr"]) == (done - 1, step.lr)
        assert 0 <= rest[0]["time"] <= rest[-1]["time"]
        so_far = LRCurve.load(path)
        assert (len(so_far), so_far.stop_reason, so_far.num_it) == (done, None, 100)
    assert _lines(path)[-1] == {"stop_reason": "completed"}
    curve = LRCurve.load(path)
    np.testing.assert_array_equal(curve.losses, _LOSSES)
    assert curve.stop_reason == "completed"


def test_what_a_test_returns_and_raises_stays(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    steps = recorded(_steps([1.0]), _store(path), _SETTINGS)
    next(steps)
    with pytest.raises(StopIteration) as end:
        next(steps)
    assert end.value.value == "completed"
    failing = recorded(_steps([1.0], KeyError("key")), _store(path), _SETTINGS)
    next(failing)
    with pytest.raises(KeyError, match="key"):
        next(failing)
    assert _lines(path)[-1]["error"] == "KeyError: 'key'"
    test = RecordedTest()
    test.feed(path.read_bytes())
    assert test.error == "KeyError: 'key'"
    assert LRCurve.load(path).stop_reason is None


def test_who_stops_a_test_is_recorded_and_it_ends(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    inner = _steps([1.0, 2.0])
    steps = recorded(inner, _store(path), _SETTINGS)
    next(steps)
    steps.close()
    assert _lines(path)[-1]["stop_reason"] == "stopped"
    assert LRCurve.load(path).stop_reason == "stopped"
    assert getgeneratorstate(inner) == GEN_CLOSED


@contextmanager
def _disk_full_after(size: int) -> Iterator[None]:
    """Let no file grow beyond a size, which fails as on a full disk."""
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)


def test_a_step_that_cannot_be_written_fails_the_test(tmp_path: Path) -> None:
    def watched() -> Generator[Step, None, StopReason]:
        try:
            return (yield from _steps(_LOSSES))
        except OSError as error:
            thrown.append(error)
            raise

    thrown: list[OSError] = []
    path = tmp_path / "run.jsonl"
    steps = recorded(watched(), _store(path), _SETTINGS)
    next(steps)
    with (
        _disk_full_after(path.stat().st_size + 20),
        pytest.raises(OSError, match="File too large") as raised,
    ):
        next(steps)
    assert thrown == [raised.value]
    assert LRCurve.load(path).losses.tolist() == _LOSSES[:1]
    # With room again, there is another test.
    list(recorded(_steps([3.0]), _store(path), _SETTINGS))
    assert LRCurve.load(path).losses.tolist() == [3.0]


def test_an_end_that_cannot_be_written_is_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    steps = recorded(_steps([1.0]), _store(path), _SETTINGS)
    next(steps)
    with (
        _disk_full_after(path.stat().st_size),
        pytest.warns(UserWarning, match="the end of the test is not in its record"),
        pytest.raises(StopIteration) as end,
    ):
        next(steps)
    assert end.value.value == "completed"
    steps = recorded(_steps([1.0, 2.0]), _store(path), _SETTINGS)
    next(steps)
    with (
        _disk_full_after(path.stat().st_size),
        pytest.warns(UserWarning, match="the end of the test"),
    ):
        steps.close()


class _UnspeakableError(Exception):
    def __str__(self) -> str:
        msg = "no words"
        raise ValueError(msg)


def test_the_error_of_a_test_comes_through_whatever_the_record(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    steps = recorded(_steps([1.0], KeyError("key")), _store(path), _SETTINGS)
    next(steps)
    with _disk_full_after(path.stat().st_size), pytest.raises(KeyError):
        next(steps)
    steps = recorded(_steps([1.0], _UnspeakableError()), _store(path), _SETTINGS)
    next(steps)
    with pytest.raises(_UnspeakableError):
        next(steps)
    assert "_UnspeakableError" in _lines(path)[-1]["error"]
    list_of_one = recorded(
        _steps([], RuntimeError("x" * 10**6)), _store(path), _SETTINGS
    )
    with pytest.raises(RuntimeError):
        next(list_of_one)
    assert len(_lines(path)[-1]["error"]) == 2000


def test_an_interrupt_stops_a_test_as_it_does_without_a_record(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    steps = recorded(_steps([1.0], KeyboardInterrupt()), _store(path), _SETTINGS)
    next(steps)
    with pytest.raises(KeyboardInterrupt):
        next(steps)
    assert LRCurve.load(path).stop_reason == "stopped"


@pytest.mark.parametrize("other", [b"import torch\n", b'{"lrs": []}\n', b"[" * 9])
def test_a_file_of_another_kind_stays_as_it_is(tmp_path: Path, other: bytes) -> None:
    path = tmp_path / "train.py"
    path.write_bytes(other)
    said = re.escape(f"{short_repr(str(path))} is no record, and is not replaced")
    with pytest.raises(ValueError, match=said):
        next(recorded(_steps([1.0]), _store(path), _SETTINGS))
    assert path.read_bytes() == other


def test_tests_that_overlap_have_a_file_each(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    first = recorded(_steps([1.0, 2.0, 3.0]), _store(path), _SETTINGS)
    next(first)
    second = recorded(_steps([4.0, 5.0]), _store(path), _SETTINGS)
    next(second)
    next(first)
    next(second)
    first.close()
    for name, losses, reason in (
        ("run.jsonl", [4.0, 5.0], None),
        ("run.1.jsonl", [1.0, 2.0], "stopped"),
    ):
        curve = LRCurve.load(tmp_path / name)
        assert (curve.losses.tolist(), curve.stop_reason) == (losses, reason)


def test_the_latest_of_several_tests_counts_and_none_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    for losses in ([1.0, 2.0], [3.0], [4.0]):
        list(recorded(_steps(losses), _store(path), _SETTINGS))
    names = ["run.jsonl", "run.1.jsonl", "run.2.jsonl"]
    found = [LRCurve.load(tmp_path / name).losses.tolist() for name in names]
    assert found == [[4.0], [1.0, 2.0], [3.0]]
    assert len(list(tmp_path.iterdir())) == 3


@given(st.integers(0, 1200))
def test_any_torn_record_has_all_finished_steps(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    path = tmp_path_factory.mktemp("torn") / "run.jsonl"
    list(recorded(_steps(_LOSSES), _store(path), _SETTINGS))
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut] if cut else whole)
    finished = path.read_bytes().count(b"\n")
    if finished == 0:
        with pytest.raises(ValueError, match=r"run\.jsonl.* holds no (curve|record)"):
            LRCurve.load(path)
    else:
        steps = min(finished - 1, len(_LOSSES))
        np.testing.assert_array_equal(LRCurve.load(path).losses, _LOSSES[:steps])
    torn = path.read_bytes()
    list(recorded(_steps([5.0]), _store(path), _SETTINGS))
    assert LRCurve.load(path).losses.tolist() == [5.0]
    assert path.with_name("run.1.jsonl").read_bytes() == torn


def test_a_request_is_obeyed_at_the_next_step_and_removed(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    inner = _steps([1.0, 2.0, 3.0])
    steps = recorded(inner, _store(path), _SETTINGS)
    next(steps)
    _store(path).request_stop(_lines(path)[0]["test"])
    with pytest.raises(StopIteration) as end:
        next(steps)
    assert end.value.value == "stopped"
    assert getgeneratorstate(inner) == GEN_CLOSED
    assert (len(LRCurve.load(path)), LRCurve.load(path).stop_reason) == (1, "stopped")
    assert [file.name for file in tmp_path.iterdir()] == ["run.jsonl"]


def test_a_request_that_comes_at_once_is_obeyed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def append(file: RecordFile, line: Any) -> None:
        appended(file, line)
        if "format" in line:  # as soon as somebody can know the name of the test
            _store(path).request_stop(line["test"])

    path = tmp_path / "run.jsonl"
    appended = RecordFile.append
    monkeypatch.setattr(RecordFile, "append", append)
    assert len(list(recorded(_steps(_LOSSES), _store(path), _SETTINGS))) == 1
    assert LRCurve.load(path).stop_reason == "stopped"


@pytest.mark.parametrize("other", [b"", b"another", b"\0" * 10**6])
def test_a_request_to_another_test_stops_nothing(tmp_path: Path, other: bytes) -> None:
    path, request = tmp_path / "run.jsonl", tmp_path / "run.jsonl.stop"
    request.write_bytes(other)
    steps = recorded(_steps([1.0, 2.0]), _store(path), _SETTINGS)
    next(steps)
    assert not request.exists()  # what was left of a test before
    request.write_bytes(other)
    assert next(steps).loss == 2.0
    assert request.read_bytes() == other


@pytest.mark.parametrize("kind", ["folder", "pipe"])
def test_what_is_no_request_stops_nothing(tmp_path: Path, kind: str) -> None:
    path, request = tmp_path / "run.jsonl", tmp_path / "run.jsonl.stop"
    steps = recorded(_steps([1.0, 2.0]), _store(path), _SETTINGS)
    next(steps)
    if kind == "folder":
        request.mkdir()
    else:
        os.mkfifo(request)
    assert len(list(steps)) == 1
    assert LRCurve.load(path).stop_reason == "completed"
    list(recorded(_steps([1.0, 2.0]), _store(path), _SETTINGS))
    assert LRCurve.load(path).stop_reason == "completed"


@pytest.mark.parametrize("linked", ["test", "request", "both", "both, then moved"])
def test_a_request_to_stop_reaches_the_test_through_links(
    tmp_path: Path, linked: str
) -> None:
    (tmp_path / "disk").mkdir()
    path = tmp_path / "disk" / "run.jsonl"
    link, other = tmp_path / "link.jsonl", tmp_path / "other.jsonl"
    link.symlink_to(path)
    other.symlink_to(path)
    written, asked = (path if linked == "request" else link), other
    if linked == "test":
        asked = path
    steps = recorded(_steps([1.0, 2.0]), _store(written), _SETTINGS)
    next(steps)
    if linked.endswith("moved"):
        link.unlink()
        link.symlink_to(tmp_path / "elsewhere.jsonl")
    _store(asked).request_stop(_lines(path)[0]["test"])
    assert list(steps) == []
    assert [x.name for x in path.parent.iterdir()] == ["run.jsonl"]


def test_a_request_to_stop_follows_a_link_that_was_moved(tmp_path: Path) -> None:
    link = tmp_path / "link.jsonl"
    asking = _store(link)
    for name in ("a.jsonl", "b.jsonl"):
        link.unlink(missing_ok=True)
        link.symlink_to(tmp_path / name)
        steps = recorded(_steps([1.0, 2.0]), _store(tmp_path / name), _SETTINGS)
        next(steps)
        asking.request_stop(_lines(link)[0]["test"])
        assert list(steps) == []
