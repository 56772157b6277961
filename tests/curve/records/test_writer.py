"""Records of tests: what is written when, and what is left of it."""

from __future__ import annotations

import json
import math
import re
import resource
import signal
import threading
from contextlib import contextmanager
from inspect import GEN_CLOSED, getgeneratorstate
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrwidget.curve.lr_curve import LRCurve, Step
from lrwidget.curve.records import local_store as local_place
from lrwidget.curve.records.format import latest
from lrwidget.curve.records.local_store import LocalPlace
from lrwidget.curve.records.stop_request import StopRequest
from lrwidget.curve.records.store import place_of
from lrwidget.curve.records.writer import journaled
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


def _lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_line_for_each_step_before_it_is_given(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    steps = journaled(_steps(_LOSSES), place_of(path), _SETTINGS)
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
    assert _lines(path)[-1] == {"test": header["test"], "stop_reason": "completed"}
    curve = LRCurve.load(path)
    np.testing.assert_array_equal(curve.losses, _LOSSES)
    assert curve.stop_reason == "completed"


def test_what_a_test_returns_and_raises_stays(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    steps = journaled(_steps([1.0]), place_of(path), _SETTINGS)
    next(steps)
    with pytest.raises(StopIteration) as end:
        next(steps)
    assert end.value.value == "completed"
    failing = journaled(_steps([1.0], KeyError("key")), place_of(path), _SETTINGS)
    next(failing)
    with pytest.raises(KeyError, match="key"):
        next(failing)
    assert _lines(path)[-1]["error"] == "KeyError: 'key'"
    assert latest(path.read_bytes()).error == "KeyError: 'key'"
    assert LRCurve.load(path).stop_reason is None


def test_who_stops_a_test_is_recorded_and_it_ends(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    inner = _steps([1.0, 2.0])
    steps = journaled(inner, place_of(path), _SETTINGS)
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
    steps = journaled(watched(), place_of(path), _SETTINGS)
    next(steps)
    with (
        _disk_full_after(path.stat().st_size + 20),
        pytest.raises(OSError, match="File too large") as raised,
    ):
        next(steps)
    assert thrown == [raised.value]
    assert LRCurve.load(path).losses.tolist() == _LOSSES[:1]
    # With room again, there is another test.
    list(journaled(_steps([3.0]), place_of(path), _SETTINGS))
    assert LRCurve.load(path).losses.tolist() == [3.0]


def test_an_end_that_cannot_be_written_is_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    steps = journaled(_steps([1.0]), place_of(path), _SETTINGS)
    next(steps)
    with (
        _disk_full_after(path.stat().st_size),
        pytest.warns(UserWarning, match="the end of the test is not in its record"),
        pytest.raises(StopIteration) as end,
    ):
        next(steps)
    assert end.value.value == "completed"
    steps = journaled(_steps([1.0, 2.0]), place_of(path), _SETTINGS)
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
    steps = journaled(_steps([1.0], KeyError("key")), place_of(path), _SETTINGS)
    next(steps)
    with _disk_full_after(path.stat().st_size), pytest.raises(KeyError):
        next(steps)
    steps = journaled(_steps([1.0], _UnspeakableError()), place_of(path), _SETTINGS)
    next(steps)
    with pytest.raises(_UnspeakableError):
        next(steps)
    assert "_UnspeakableError" in _lines(path)[-1]["error"]
    list_of_one = journaled(
        _steps([], RuntimeError("x" * 10**6)), place_of(path), _SETTINGS
    )
    with pytest.raises(RuntimeError):
        next(list_of_one)
    assert len(_lines(path)[-1]["error"]) == 2000


def test_an_interrupt_stops_a_test_as_it_does_without_a_record(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    steps = journaled(_steps([1.0], KeyboardInterrupt()), place_of(path), _SETTINGS)
    next(steps)
    with pytest.raises(KeyboardInterrupt):
        next(steps)
    assert LRCurve.load(path).stop_reason == "stopped"


@pytest.mark.parametrize("other", [b"import torch\n", b'{"lrs": []}\n', b"[" * 9])
def test_a_file_of_another_kind_stays_as_it_is(tmp_path: Path, other: bytes) -> None:
    path = tmp_path / "train.py"
    path.write_bytes(other)
    said = re.escape(f"{short_repr(str(path))} is a file of another kind")
    with pytest.raises(ValueError, match=said):
        next(journaled(_steps([1.0]), place_of(path), _SETTINGS))
    assert path.read_bytes() == other


def test_tests_that_overlap_keep_apart(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    first = journaled(_steps([1.0, 2.0, 3.0]), place_of(path), _SETTINGS)
    next(first)
    second = journaled(_steps([4.0, 5.0]), place_of(path), _SETTINGS)
    next(second)
    next(first)
    next(second)
    first.close()
    curve = LRCurve.load(path)
    assert curve.losses.tolist() == [4.0, 5.0]
    assert curve.stop_reason is None


def test_the_latest_of_several_tests_counts(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    for losses in ([1.0, 2.0], [3.0]):
        list(journaled(_steps(losses), place_of(path), _SETTINGS))
    assert LRCurve.load(path).losses.tolist() == [3.0]
    assert len(_lines(path)) == 2 * 2 + 3


@given(st.integers(0, 1200))
def test_any_torn_record_has_all_finished_steps(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    path = tmp_path_factory.mktemp("torn") / "run.jsonl"
    list(journaled(_steps(_LOSSES), place_of(path), _SETTINGS))
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut] if cut else whole)
    finished = path.read_bytes().count(b"\n")
    if finished == 0:
        with pytest.raises(ValueError, match=r"run\.jsonl.* holds no (curve|record)"):
            LRCurve.load(path)
    else:
        steps = min(finished - 1, len(_LOSSES))
        np.testing.assert_array_equal(LRCurve.load(path).losses, _LOSSES[:steps])
    # Whoever runs it again adds to what there is.
    list(journaled(_steps([5.0]), place_of(path), _SETTINGS))
    assert LRCurve.load(path).losses.tolist() == [5.0]


def test_a_request_is_obeyed_at_the_next_step_and_removed(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    inner = _steps([1.0, 2.0, 3.0])
    steps = journaled(inner, place_of(path), _SETTINGS)
    next(steps)
    request = StopRequest(place_of(path), _lines(path)[0]["test"])
    request.send()
    with pytest.raises(StopIteration) as end:
        next(steps)
    assert end.value.value == "stopped"
    assert getgeneratorstate(inner) == GEN_CLOSED
    assert (len(LRCurve.load(path)), LRCurve.load(path).stop_reason) == (1, "stopped")
    assert [file.name for file in tmp_path.iterdir()] == ["run.jsonl"]


def test_a_request_that_comes_at_once_is_obeyed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(appender: local_place._LocalAppender, contents: bytes) -> None:
        written(appender, contents)
        line = json.loads(contents)
        if "format" in line:  # as soon as somebody can know the name of the test
            StopRequest(place_of(path), line["test"]).send()

    path = tmp_path / "run.jsonl"
    written = local_place._LocalAppender.write
    monkeypatch.setattr(local_place._LocalAppender, "write", write)
    assert len(list(journaled(_steps(_LOSSES), place_of(path), _SETTINGS))) == 1
    assert LRCurve.load(path).stop_reason == "stopped"


def test_two_tests_that_begin_a_record_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def appender(place: LocalPlace) -> object:
        if not path.exists():
            path.touch()
            next(other)
        return appended(place)

    path = tmp_path / "run.jsonl"
    other = journaled(_steps([1.0, 2.0]), place_of(path), _SETTINGS)
    appended = LocalPlace.appender
    monkeypatch.setattr(LocalPlace, "appender", appender)
    list(journaled(_steps([3.0]), place_of(path), _SETTINGS))
    list(other)
    assert sum("format" in line for line in _lines(path)) == 2
    assert LRCurve.load(path).losses.tolist() == [3.0]


@pytest.mark.parametrize("other", [b"", b"another", b"\0" * 10**6])
def test_a_request_to_another_test_stops_nothing(tmp_path: Path, other: bytes) -> None:
    path, request = tmp_path / "run.jsonl", tmp_path / "run.jsonl.stop"
    request.write_bytes(other)
    steps = journaled(_steps([1.0, 2.0]), place_of(path), _SETTINGS)
    next(steps)
    assert not request.exists()  # what was left of a test before
    request.write_bytes(other)
    assert next(steps).loss == 2.0
    assert request.read_bytes() == other


def test_what_is_no_request_stops_nothing(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    (tmp_path / "run.jsonl.stop").mkdir()
    assert len(list(journaled(_steps([1.0, 2.0]), place_of(path), _SETTINGS))) == 2
    assert LRCurve.load(path).stop_reason == "completed"


def test_a_record_in_a_file_system_of_fsspec(memory: str) -> None:
    for count in (2, 1):
        steps = journaled(_steps(_LOSSES[:count]), place_of(memory), _SETTINGS)
        for done, _ in enumerate(steps, 1):
            assert len(LRCurve.load(memory)) == done
        assert LRCurve.load(memory).stop_reason == "completed"
    place = place_of(memory)
    place.write(place.contents()[:-5])
    steps = journaled(_steps(_LOSSES), place, _SETTINGS)
    next(steps)
    test = latest(place.contents()).header["test"]
    StopRequest(place, test).send()
    pause = threading.Event()
    # who has to ask a server for it looks once a second
    done = 1 + sum(not pause.wait(0.3) for _ in steps)
    assert done < len(_LOSSES)
    assert LRCurve.load(memory).stop_reason == "stopped"
    assert not place.beside(".stop").exists()


def test_a_file_of_another_kind_in_fsspec_stays_as_it_is(memory: str) -> None:
    place = place_of(memory)
    place.write(b"import torch")
    with pytest.raises(ValueError, match="is a file of another kind"):
        next(journaled(_steps([1.0]), place, _SETTINGS))
    assert place.contents() == b"import torch"
