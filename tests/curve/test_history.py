from __future__ import annotations

from typing import TYPE_CHECKING

from lrwidget.curve.history import Part, Recordings, numbered
from lrwidget.curve.lr_curve import Recording, Step

if TYPE_CHECKING:
    from collections.abc import Generator

    from lrwidget.curve.lr_curve import StopReason


def _steps(closed: list[bool]) -> Generator[Step, None, StopReason]:
    try:
        yield Step(0, 0.1, 3.0)
        yield Step(1, 0.2, 2.0)
    finally:
        closed.append(True)
    return "exhausted"


def test_the_parts_of_one_of_many() -> None:
    assert list(numbered(3, _steps([]))) == [
        Part(3, Step(0, 0.1, 3.0)),
        Part(3, Step(1, 0.2, 2.0)),
        Part(3, "exhausted"),
    ]


def test_who_closes_the_parts_closes_the_training() -> None:
    closed: list[bool] = []
    parts = numbered(0, _steps(closed))
    next(parts)
    parts.close()
    assert closed == [True]


def test_parts_in_any_order_come_to_their_recordings() -> None:
    one, other, never = (Recording(total) for total in (2, 3, 4))
    recordings = Recordings([one, other, never])
    for part in (
        Part(1, Step(0, 0.1, 5.0)),
        Part(0, Step(0, 0.1, 3.0)),
        Part(1, Step(1, 0.2, 4.0)),
        Part(0, "diverged"),
    ):
        recordings.append(part)
    assert (list(one.losses), list(other.losses)) == ([3.0], [5.0, 4.0])
    assert (len(recordings), recordings.total) == (3, 1 + 3 + 4)
    assert recordings.begun() == {0: one, 1: other}
    recordings.stop_reason = "stopped"
    assert recordings.stop_reason == "stopped"
    reasons = [x.stop_reason for x in (one, other, never)]
    assert reasons == ["diverged", "stopped", None]
