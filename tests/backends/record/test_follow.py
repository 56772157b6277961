"""Widgets that follow the record of a test in another process."""

from __future__ import annotations

import json
import math
import os
import signal
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import fsspec
import pytest
from torch import nn

from lrwidget import LRCurve, LRWidget, RangeTest
from lrwidget.curve.records.store import RemoteStore
from lrwidget.curve.ticks import short
from lrwidget.ui import messages
from tests.curves import picked
from tests.jobs import eventually, job
from tests.ui.front_end import tell
from tests.widget_parts import BATCHES, SECONDS, display_of, parts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.jobs import Job

pytestmark = pytest.mark.slow
_RATES: dict[str, Any] = {
    "start_lr": 1e-5,
    "end_lr": 1.0,
    "num_it": 60,
    "stop_div": False,
}


@pytest.fixture
def follow() -> Iterator[Callable[..., LRWidget]]:
    """Return what makes widgets that follow, which are closed after the test."""
    made: list[LRWidget] = []

    def follow(path: Any, **options: Any) -> LRWidget:
        made.append(LRWidget.follow(path, **options))
        return made[-1]

    yield follow
    for widget in made:
        widget.close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a silence be long that takes no time in a test."""
    monkeypatch.setattr(messages, "_LONG_SILENCE", 0.3)


def _await_steps(widget: LRWidget, count: int) -> None:
    eventually(lambda: len(widget.curve) >= count, lambda: widget.status)


@contextmanager
def _held(
    path: Path, follow: Callable[..., LRWidget]
) -> Iterator[tuple[Job, LRWidget]]:
    """Start a job that is held after ten steps, and a widget that has them."""
    with job(path, 9, **_RATES) as running:
        running.await_held()
        widget = follow(path)
        _await_steps(widget, 10)
        yield running, widget


def _await_status(widget: LRWidget, said: str) -> None:
    """Wait until the status says something, in the widget as well as in Python."""
    shown = display_of(widget).answer.status
    eventually(lambda: said in widget.status, lambda: widget.status)
    eventually(lambda: said in shown.value, lambda: shown.value)


def _drawn(widget: LRWidget) -> int:
    return len(display_of(widget).chart.latest.raw.x)


def test_a_test_is_shown_while_it_grows_and_after_it(
    tmp_path: Path, follow: Callable[..., LRWidget]
) -> None:
    path = tmp_path / "run.jsonl"
    widget = follow(str(path), smoothing=0.5, rule="minimum")
    display = display_of(widget)
    assert widget.running
    _await_status(widget, f"Waiting for a test to begin in {path}")
    with job(path, 20, **_RATES) as running:
        running.await_held()
        _await_steps(widget, 21)
        eventually(lambda: _drawn(widget) == 21, lambda: _drawn(widget))
        _await_status(widget, "Running: step 21 of 60, ")
        assert widget.progress == 21 / 60
        assert widget._controller.state.shown.bounds == (1e-5, 1.0)
        assert widget.curve.to_dict() == LRCurve.load(path).to_dict()
        widget.value = 1e-7
        assert widget.value == 1e-5  # the swept range is that of the test
        widget.value = None
        running.go_on()
        curve = widget.wait(SECONDS)
        assert running.said() == curve.stop_reason == "completed"
    assert curve.to_dict() == LRCurve.load(path).to_dict()
    assert list(widget.curves) == [str(path)]
    assert widget.value == picked(widget.suggestions["minimum"])
    assert widget.status.startswith("Done. ")
    assert display.answer.progress.value == 60
    assert not widget.running


def test_it_has_the_controls_that_make_sense(
    tmp_path: Path, follow: Callable[..., LRWidget]
) -> None:
    path = tmp_path / "run.jsonl"
    settings: Any = {"record": path, **_RATES}
    list(RangeTest(*parts(), BATCHES, nn.MSELoss(), **settings))
    widget = follow(path)
    curve, display = widget.wait(SECONDS), display_of(widget)
    bar = display.answer
    hidden = (bar.button, bar.check, display.settings.toggle, display.answer.apply)
    eventually(lambda: not widget.running, lambda: widget.status)
    assert [part.layout.display for part in hidden] == ["none"] * 4
    tell(display.page, do="home")
    assert widget.value == picked(curve.suggest())
    assert display.copy.entries[0] == f"lr={short(picked(curve.suggest()))}"
    assert (
        LRCurve.from_dict(json.loads(widget._controller.export("json", 0.0))).num_it
        == 60
    )
    status = widget.status
    calls: list[Callable[[], object]] = [
        *(widget.run, widget.race, widget.verify, widget.apply),
        lambda: widget.values,
        lambda: widget.race(rates=[0.1]),
        lambda: widget.compare({"a": {}}),
        lambda: widget.run(num_it=9),
    ]
    for call in calls:
        with pytest.raises(RuntimeError, match="this widget follows the record"):
            call()
    assert widget.status == status
    assert widget.wait().to_dict() == curve.to_dict()


def test_stop_is_obeyed_at_the_next_step(
    tmp_path: Path, follow: Callable[..., LRWidget]
) -> None:
    path = tmp_path / "run.jsonl"
    with _held(path, follow) as (running, widget):
        display_of(widget).answer.button.click()
        _await_status(widget, f"Asked process {running.number} on ")
        assert widget.running
        running.go_on()
        assert widget.wait(SECONDS).stop_reason == "stopped"
        assert running.said() == "stopped"
        assert running.ended() == 0
    assert len(widget.curve) == 10
    assert "Stopped after 10 steps, at " in widget.status
    assert [file.name for file in tmp_path.iterdir()] == ["run.jsonl"]


def test_stop_asks_the_test_that_takes_over(
    tmp_path: Path, follow: Callable[..., LRWidget]
) -> None:
    path = tmp_path / "run.jsonl"
    with _held(path, follow) as (first, widget):
        widget.stop()
        _await_status(widget, f"Asked process {first.number} on ")
        first.kill()
    with job(path, 4, **_RATES) as second:
        second.await_held()
        eventually(lambda: len(widget.curve) == 5, lambda: widget.status)
        widget.stop()
        _await_status(widget, f"Asked process {second.number} on ")
        second.go_on()
        assert widget.wait(SECONDS).stop_reason == "stopped"
        assert second.said() == "stopped"
    assert len(widget.curve) == 5


@pytest.mark.usefixtures("impatient")
def test_a_killed_test_leaves_its_steps_and_is_silent(
    tmp_path: Path, follow: Callable[..., LRWidget]
) -> None:
    path = tmp_path / "run.jsonl"
    with _held(path, follow) as (running, widget):
        running.kill()
    _await_status(widget, "No new step for ")
    _await_status(widget, "No new step for 1 s")
    assert f"The test runs in process {running.number} on " in widget.status
    assert widget.running
    widget.stop()
    _await_status(widget, "at step 10 of 60. Asked process ")
    widget.stop()
    curve = widget.wait(SECONDS)
    assert curve.to_dict() == LRCurve.load(path).to_dict()
    assert (len(curve), curve.stop_reason) == (10, None)
    _await_status(widget, "No longer followed, after 10 steps, at ")
    # Who runs it again begins another test, and finds nothing that stops it.
    with job(path, **_RATES) as again:
        assert again.said() == "completed"


@pytest.mark.usefixtures("impatient")
def test_it_goes_on_when_a_step_comes(
    tmp_path: Path, follow: Callable[..., LRWidget]
) -> None:
    path = tmp_path / "run.jsonl"
    with _held(path, follow) as (running, widget):
        _await_status(widget, "No new step for")
        running.go_on()
        assert widget.wait(SECONDS).stop_reason == "completed"


def test_yesterdays_dead_test_is_known_at_once(
    tmp_path: Path, follow: Callable[..., LRWidget]
) -> None:
    path = tmp_path / "run.jsonl"
    with job(path, 9, **_RATES) as running:
        running.await_held()
        running.kill()
    yesterday = time.time() - 24 * 3600
    os.utime(path, (yesterday, yesterday))
    _await_status(follow(path), "No new step for 24 h, at step 10 of 60.")


def test_the_test_that_takes_over_is_the_one_that_is_shown(
    tmp_path: Path, follow: Callable[..., LRWidget]
) -> None:
    path = tmp_path / "run.jsonl"
    with _held(path, follow) as (running, widget):
        running.kill()
    with path.open("a") as file:
        file.write('{"iteration": 1')
    with job(path, 4, start_lr=1e-3, end_lr=0.1, num_it=20) as again:
        again.await_held()
        eventually(lambda: len(widget.curve) == 5, lambda: widget.status)
        eventually(lambda: _drawn(widget) == 5, lambda: _drawn(widget))
        assert widget._controller.state.shown.bounds == (1e-3, 0.1)
        again.go_on()
        assert widget.wait(SECONDS).to_dict() == LRCurve.load(path).to_dict()
    assert len(widget.curve) == 20


def test_a_failure_is_shown_and_raised_in_its_own_words(
    tmp_path: Path, follow: Callable[..., LRWidget]
) -> None:
    path = tmp_path / "run.jsonl"
    with _held(path, follow) as (running, widget):
        running.go_on("break")
        with pytest.raises(RuntimeError, match=r"has failed: .*Error") as raised:
            widget.wait(SECONDS)
    assert str(raised.value).partition(": ")[2] in widget.status
    assert widget.status.startswith("Failed after 10 steps. RuntimeError: the test")
    assert len(widget.curve) == 10
    assert widget.curve.stop_reason is None


_HEADER = {
    "format": "lrwidget.record",
    "version": 1,
    "test": "<b>x</b>",
    "host": "<script>alert(1)</script>",
    "process": 3,
    "settings": {"start_lr": 1e-7, "end_lr": 10.0, "num_it": 100},
}
_BEGUN = json.dumps(_HEADER).encode() + b"\n"
_STEP = b'{"iteration": 0, "lr": 1e-6, "loss": %s, "time": %s}\n'


@pytest.mark.parametrize(
    ("contents", "said"),
    [
        (b"import torch\n", "line 1: Expecting value"),
        (_BEGUN + b"\0\n", "line 2: Expecting value"),
        (_BEGUN + b"\0" * 200_000, "line 2: it is longer than 100000 bytes"),
        (_BEGUN + b"x" * 10**7, "line 2: it is longer than 100000 bytes"),
        (b"x" * 10**7, "line 1: it is longer than 100000 bytes"),
        (_BEGUN + b"[" * 90_000 + b"\n", "line 2: "),
        (_BEGUN + b"9" * 90_000 + b"\n", "line 2: a number of 90000 digits is too lar"),
        (_BEGUN + _STEP % (b"9" * 400, b"0"), "line 2: loss=9.* is too large"),
        (_BEGUN + b'{"<img src=x>": 1, "lr": 1}\n', "is no step"),
        (_BEGUN.replace(b"100}", b"1e9}"), "num_it=1000000000.0 must be an integer"),
        (_BEGUN.replace(b"10.0", b'"<b>"'), "end_lr='<b>' must be a number"),
    ],
)
def test_what_is_malformed_or_hostile_is_a_clear_error(
    tmp_path: Path, follow: Callable[..., LRWidget], contents: bytes, said: str
) -> None:
    path = tmp_path / "run.jsonl"
    path.write_bytes(contents)
    widget = follow(path)
    with pytest.raises(ValueError, match=said):
        widget.wait(SECONDS)
    assert widget.status.startswith("Failed before the first step. ValueError: path=")
    shown = display_of(widget).answer.status.value
    assert "<b>" not in shown
    assert "<img" not in shown


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    "loss", [b"1.7e308", b'"-inf"', b"-0.0", b"5e-324", b"9" * 300]
)
@pytest.mark.parametrize("seconds", [b"1e308", b"-1", b'"<b>"', b"1e400"])
def test_hostile_numbers_are_no_more_than_numbers(
    tmp_path: Path, follow: Callable[..., LRWidget], loss: bytes, seconds: bytes
) -> None:
    path = tmp_path / "run.jsonl"
    second = _STEP.replace(b": 0", b": 1").replace(b"1e-6", b"1e-5")
    path.write_bytes(_BEGUN + _STEP % (b"1.0", b"0") + second % (loss, seconds))
    widget = follow(path)
    _await_steps(widget, 2)
    _await_status(widget, "process 3")
    assert "<script" not in display_of(widget).answer.status.value
    with path.open("ab") as file:
        file.write(b'{"stop_reason": "diverged"}\n')
    assert widget.wait(SECONDS).stop_reason == "diverged"
    assert math.isfinite(widget.curve.losses[0])


def test_a_request_that_cannot_be_written_is_told(
    tmp_path: Path, follow: Callable[..., LRWidget]
) -> None:
    path = tmp_path / "run.jsonl"
    (tmp_path / "run.jsonl.stop").mkdir()
    path.write_bytes(_BEGUN + _STEP % (b"1.0", b"0"))
    widget = follow(path)
    _await_steps(widget, 1)
    widget.stop()
    _await_status(widget, "Asking failed: ")
    assert "Is a directory" in widget.status
    widget.stop()
    assert widget.wait(SECONDS).stop_reason is None


def test_what_is_no_file_is_told(
    tmp_path: Path, follow: Callable[..., LRWidget]
) -> None:
    os.mkfifo(tmp_path / "pipe")
    kinds: list[tuple[Any, type[Exception], str]] = [
        (tmp_path, OSError, "directory"),
        (tmp_path / "pipe", ValueError, "no regular file"),
        ("a\0b", ValueError, "null"),
        ("nosuch://run.jsonl", OSError, "Protocol not known"),
    ]
    for path, kind, said in kinds:
        widget = follow(path)
        with pytest.raises(kind, match=said):
            widget.wait(SECONDS)
        assert widget.status.startswith("Failed before the first step.")


@pytest.mark.parametrize(
    ("path", "options", "kind", "said"),
    [
        (3, {}, TypeError, "path=3 must be the path of a file"),
        (b"run", {}, TypeError, "path=b'run' must be"),
        (None, {}, TypeError, "path=None must be"),
        ("run", {"value": -1}, ValueError, "value=-1 must be a rate"),
        ("run", {"smoothing": 2}, ValueError, "smoothing=2 must be"),
        ("run", {"rule": "best"}, ValueError, "rule='best'"),
    ],
)
def test_bad_arguments(
    path: Any, options: Any, kind: type[Exception], said: str
) -> None:
    with pytest.raises(kind, match=said):
        LRWidget.follow(path, **options)


def test_a_rate_may_be_chosen_before_there_is_a_test(
    tmp_path: Path, follow: Callable[..., LRWidget]
) -> None:
    path = tmp_path / "run.jsonl"
    widget = follow(path, value=1e-9)
    assert widget.value == 1e-9
    path.write_bytes(_BEGUN.replace(b"1e-07", b"1e-10") + _STEP % (b"1.0", b"0"))
    _await_steps(widget, 1)
    eventually(
        lambda: widget._controller.state.shown.bounds == (1e-10, 10.0),
        lambda: widget._controller.state.shown.bounds,
    )
    assert widget.value == 1e-9


def test_closing_ends_following_at_once(
    tmp_path: Path, follow: Callable[..., LRWidget]
) -> None:
    path = tmp_path / "run.jsonl"
    waiting = follow(path)
    path.write_bytes(_BEGUN)
    begun = follow(path)
    _await_status(begun, "Running: waiting for the first step")
    for widget in (waiting, begun):
        widget.close()
        assert not widget.running
    assert not (tmp_path / "run.jsonl.stop").exists()  # nobody was asked


def test_nobody_is_asked_to_stop_after_the_end(
    tmp_path: Path, follow: Callable[..., LRWidget]
) -> None:
    path = tmp_path / "run.jsonl"
    path.write_bytes(_BEGUN + b'{"stop_reason": "exhausted"}\n')
    ended = follow(path)
    ended.wait(SECONDS)
    path.write_bytes(_BEGUN)
    closed = follow(path)
    _await_status(closed, "Running: waiting for the first step")
    closed.close()
    for widget in (ended, closed):
        eventually(lambda widget=widget: not widget.running, lambda: "runs")  # type: ignore[misc]  # a lambda's default
        widget.stop()
    assert not (tmp_path / "run.jsonl.stop").exists()


def test_an_interrupt_leaves_the_test_alone(
    tmp_path: Path, follow: Callable[..., LRWidget]
) -> None:
    path = tmp_path / "run.jsonl"
    path.write_bytes(_BEGUN)
    widget = follow(path)
    _await_status(widget, "Running: waiting for the first step")
    main = threading.get_ident()
    interrupt = threading.Timer(0.2, signal.pthread_kill, [main, signal.SIGINT])
    interrupt.start()
    with pytest.raises(KeyboardInterrupt):
        widget.wait(SECONDS)
    interrupt.join()
    widget.wait(SECONDS)
    assert widget.status == "No longer followed, before the first step."
    assert not (tmp_path / "run.jsonl.stop").exists()


def test_a_record_in_a_file_system_of_fsspec(
    tmp_path: Path,
    memory: str,
    monkeypatch: pytest.MonkeyPatch,
    follow: Callable[..., LRWidget],
) -> None:
    monkeypatch.setattr(RemoteStore, "seconds_between_reads", 0.01)
    remote, path = fsspec.filesystem("memory"), tmp_path / "run.jsonl"
    widget = follow(memory)
    settings: Any = {"record": path, **_RATES}
    test = RangeTest(*parts(), BATCHES, nn.MSELoss(), **settings)
    steps = iter(test)
    for count in range(1, 10):
        next(steps)
        remote.pipe_file(memory, path.read_bytes())
        _await_steps(widget, count)
    widget.stop()
    _await_status(widget, "Asked process")
    remote.get_file(f"{memory}.stop", f"{path}.stop")
    assert list(steps) == []
    assert test.curve.stop_reason == "stopped"
    remote.pipe_file(memory, path.read_bytes())
    assert widget.wait(SECONDS).to_dict() == test.curve.to_dict()
    assert len(LRCurve.load(memory)) == 9
