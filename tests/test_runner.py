from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from lrwidget import worker
from lrwidget.curve.history import Part
from lrwidget.curve.lr_curve import Recording, Step
from lrwidget.curve.race import RaceRecording
from lrwidget.runner import Follower

if TYPE_CHECKING:
    from collections.abc import Generator

    from lrwidget.curve.lr_curve import StopReason


def _steps(count: int, reason: StopReason | None) -> Generator[Step, None, StopReason]:
    for iteration in range(count):
        yield Step(iteration, 0.1 * (iteration + 1), 5.0 - iteration)
    if reason is None:
        raise ZeroDivisionError
    return reason


def test_keeps_the_steps_and_the_reason() -> None:
    news: list[int] = []
    ends: list[tuple[Follower, bool]] = []
    recording = Recording(5)
    follower = Follower(
        _steps(3, "diverged"),
        recording,
        lambda: news.append(len(recording)),
        lambda ended: ends.append((ended, ended.running)),
    )
    follower.start()
    follower.wait()
    curve = recording.curve()
    assert curve.losses.tolist() == [5, 4, 3]
    assert (curve.stop_reason, curve.num_it) == ("diverged", 5)
    assert news == sorted(set(news))
    assert ends == [(follower, True)]
    assert not follower.running
    assert follower.seconds >= 0


def test_news_come_while_the_source_waits() -> None:
    told = threading.Event()

    def steps() -> Generator[Step, None, StopReason]:
        for iteration in range(20):
            yield Step(iteration, 0.1 * (iteration + 1), 1.0)
        # A loader that hangs: what came before it is to be seen meanwhile.
        assert told.wait(60)
        return "completed"

    recording = Recording(20)

    def on_news() -> None:
        if len(recording) == 20:
            told.set()

    follower = Follower(steps(), recording, on_news, lambda _: None)
    follower.start()
    follower.wait()
    assert recording.stop_reason == "completed"


def test_what_news_raise_ends_the_run_and_keeps_the_points() -> None:
    drawn = threading.Event()

    def steps() -> Generator[Step, None, StopReason]:
        for iteration in range(100):
            yield Step(iteration, 0.1 * (iteration + 1), 1.0)
            assert drawn.wait(60)
            pause.wait(0.01)
        return "completed"

    pause = threading.Event()

    def on_news() -> None:
        drawn.set()
        raise ZeroDivisionError

    recording = Recording(100)
    follower = Follower(steps(), recording, on_news, lambda _: None)
    follower.start()
    with pytest.raises(ZeroDivisionError):
        follower.wait()
    # Nobody would see how it went on.
    assert len(recording) < 100
    assert recording.stop_reason == "stopped"


def test_nothing_is_told_after_it_was_abandoned() -> None:
    hanging, go_on = threading.Event(), threading.Event()
    news: list[int] = []

    def steps() -> Generator[Step, None, StopReason]:
        yield Step(0, 0.1, 1.0)
        hanging.set()
        assert go_on.wait(60)
        yield Step(1, 0.2, 1.0)
        return "completed"

    recording = Recording(2)
    follower = Follower(
        steps(), recording, lambda: news.append(len(recording)), lambda _: None
    )
    follower.start()
    assert hanging.wait(60)
    threading.Timer(0.2, go_on.set).start()
    follower.abandon()
    told = len(news)
    follower.wait()
    assert len(news) == told


def test_a_source_and_news_that_hang_have_one_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(worker, "_LAST_SECONDS", 2)
    hanging, released = threading.Event(), threading.Event()

    def steps() -> Generator[Step, None, StopReason]:
        yield Step(0, 0.1, 1.0)
        assert released.wait(20)
        return "completed"

    def on_news() -> None:
        hanging.set()
        assert released.wait(20)

    follower = Follower(steps(), Recording(1), on_news, lambda _: None)
    follower.start()
    assert hanging.wait(60)
    began = time.monotonic()
    follower.abandon()
    assert 2 <= time.monotonic() - began < 4
    assert follower.running
    released.set()
    follower.wait()


def test_any_iterable_of_steps_is_a_source() -> None:
    steps = list(_steps(3, "completed"))
    recording = Recording(3)
    follower = Follower(steps, recording, lambda: None, lambda _: None)
    follower.start()
    follower.wait()
    assert len(recording) == 3


def test_a_race_is_followed_in_the_same_way() -> None:
    items = [
        *(Part(0, Step(0, 0.1, 3.0)), Part(0, Step(1, 0.1, 2.0)), Part(0, "completed")),
        Part(1, Step(0, 0.2, 3.0)),
    ]
    recording = RaceRecording([0.1, 0.2], 2)
    follower = Follower(iter(items), recording, lambda: None, lambda _: None)
    follower.start()
    follower.wait()
    reasons = [curve.stop_reason for curve in recording.curves()]
    assert reasons == ["completed", "stopped"]


def test_a_failure_keeps_the_points() -> None:
    seen: list[BaseException | None] = []
    recording = Recording(5)
    follower = Follower(
        _steps(2, None), recording, lambda: None, lambda ended: seen.append(ended.error)
    )
    follower.start()
    with pytest.raises(ZeroDivisionError):
        follower.wait()
    assert len(recording) == 2
    assert recording.stop_reason is None
    assert isinstance(seen[0], ZeroDivisionError)


def test_a_source_that_cannot_start() -> None:
    follower = Follower(3, Recording(5), lambda: None, lambda _: None)  # type: ignore[arg-type]  # the point
    with pytest.raises(TypeError):
        follower.start()
    assert not follower.running
    with pytest.raises(TypeError):
        follower.wait()


def test_stopping() -> None:
    first = threading.Event()
    go_on = threading.Event()

    def steps() -> Generator[Step, None, StopReason]:
        yield Step(0, 0.1, 1.0)
        first.set()
        assert go_on.wait(60)
        for iteration in range(1, 100):
            yield Step(iteration, float(iteration), 1.0)
        return "completed"

    recording = Recording(5)
    follower = Follower(steps(), recording, lambda: None, lambda _: None)
    follower.start()
    assert first.wait(60)
    assert follower.running
    follower.stop()
    go_on.set()
    follower.wait()
    assert recording.stop_reason == "stopped"
    assert len(recording) <= 2
