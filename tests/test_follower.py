from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from lrwidget.curve.record import Step
from lrwidget.follower import Follower

if TYPE_CHECKING:
    from collections.abc import Generator

    from lrwidget.curve.record import StopReason


def _steps(count: int, reason: StopReason | None) -> Generator[Step, None, StopReason]:
    for iteration in range(count):
        yield Step(iteration, 0.1 * (iteration + 1), 5.0 - iteration)
    if reason is None:
        raise ZeroDivisionError
    return reason


def test_keeps_the_steps_and_the_reason() -> None:
    news: list[int] = []
    ends: list[tuple[Follower, bool]] = []
    follower: Follower = Follower(
        _steps(3, "diverged"),
        5,
        lambda: news.append(len(follower.curve)),
        lambda ended: ends.append((ended, ended.running)),
    )
    follower.start()
    follower.wait()
    curve = follower.curve
    assert curve.losses.tolist() == [5, 4, 3]
    assert (curve.stop_reason, curve.num_it) == ("diverged", 5)
    assert news[0] == 1
    assert ends == [(follower, False)]
    assert follower.seconds >= 0


def test_any_iterable_of_steps_is_a_source() -> None:
    steps = list(_steps(3, "completed"))
    follower = Follower(steps, 3, lambda: None, lambda _: None)
    follower.start()
    follower.wait()
    assert len(follower.curve) == 3


def test_a_failure_keeps_the_points() -> None:
    seen: list[BaseException | None] = []
    follower = Follower(
        _steps(2, None), 5, lambda: None, lambda ended: seen.append(ended.error)
    )
    follower.start()
    with pytest.raises(ZeroDivisionError):
        follower.wait()
    assert len(follower.curve) == 2
    assert follower.curve.stop_reason is None
    assert isinstance(seen[0], ZeroDivisionError)


def test_a_source_that_cannot_start() -> None:
    follower = Follower(3, 5, lambda: None, lambda _: None)  # type: ignore[arg-type]  # the point
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

    follower = Follower(steps(), 5, lambda: None, lambda _: None)
    follower.start()
    assert first.wait(60)
    assert follower.running
    follower.stop()
    go_on.set()
    follower.wait()
    assert follower.curve.stop_reason == "stopped"
    assert len(follower.curve) <= 2
