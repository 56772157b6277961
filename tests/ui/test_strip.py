"""The strip: its picture, its brush and its buttons."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from lrwidget.curve.lr_curve import LRCurve
from lrwidget.ui.strip import PLACES, Strip
from lrwidget.ui.widgets import close_with_parts
from tests.curves import LRS, PLAN, curve_of, run_of, sweep
from tests.ui.front_end import tell
from tests.ui.snapshots import IDLE, snapshot_with

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lrwidget.ui.snapshot import Snapshot


class _Commands:
    """The receiver of the commands, which notes them."""

    def __init__(self) -> None:
        self.done: list[Any] = []

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *what: self.done.append((name, *what))


@pytest.fixture
def commands() -> _Commands:
    return _Commands()


@pytest.fixture
def strip(commands: _Commands) -> Iterator[Strip]:
    made: Any = commands
    strip = Strip(made, made.run, made.undo, (72, 18), can_run=True)
    strip.show(IDLE)
    yield strip
    close_with_parts(strip)


def _seen(low: float, high: float, **changes: Any) -> Snapshot:
    return snapshot_with(window=(low, high), **changes)


def _linear(snapshot: Snapshot) -> Snapshot:
    """Return a snapshot whose only run is a linear sweep from 0.01 to 1."""
    run = run_of([3.0])
    run.history.start(PLAN._replace(start_lr=0.01, end_lr=1.0, step_mode="linear"))
    return replace(snapshot, runs=[run], bounds=(0.01, 1.0), window=(0.01, 1.0))


def _brush(strip: Strip, low: int, high: int) -> None:
    """Drag the handles to two places."""
    strip.brush.set_state({"value": [low, high]})


def test_the_brush_is_where_the_chart_is(strip: Strip) -> None:
    assert strip.brush.value == (0, PLACES)
    strip.show(_seen(1e-5, 1e-1))
    assert strip.brush.value == (250, 750)
    assert strip.page.rates == ["1.0e-5", "0.1"]
    assert strip.text.value == "Shown: 1.0e-5 to 0.1"
    strip.show(replace(_linear(IDLE), window=(0.109, 0.505)))
    assert strip.brush.value == (100, 500)
    strip.show(replace(IDLE, bounds=(1e-7, 1e3)))  # for which there is room
    assert strip.brush.value == (0, 800)


def test_the_brush_zooms(strip: Strip, commands: _Commands) -> None:
    exact = 1.234e-5, 0.1
    strip.show(_seen(*exact))
    assert commands.done == []
    low, high = strip.brush.value
    _brush(strip, low, 1000)
    _brush(strip, 125, high)  # each leaves the other handle where it is
    assert commands.done[0] == ("zoom", exact[0], 10.0)
    assert commands.done[1] == ("zoom", pytest.approx(1e-6), exact[1])
    commands.done.clear()
    _brush(strip, low, low + 1)  # too narrow
    assert strip.brush.value == (low, high)
    assert commands.done == []
    strip.show(_linear(IDLE))
    _brush(strip, 0, 500)
    assert commands.done == [("zoom", 0.01, pytest.approx(0.505))]


def test_the_buttons(strip: Strip, commands: _Commands) -> None:
    def enabled() -> tuple[bool, bool]:
        return not strip.everything.disabled, not strip.again.disabled

    assert enabled() == (False, False)
    strip.show(_seen(1.234e-5, 0.0987))
    assert enabled() == (True, True)
    assert strip.again.tooltip.startswith("Sweep from 1.2e-5 to 9.9e-2")
    strip.again.click()
    strip.everything.click()
    assert commands.done == [("run", 1.2e-5, 0.099), ("show_all",)]
    strip.show(_seen(1.2301e-3, 1.2302e-3))  # the same in two digits
    strip.again.click()
    assert commands.done[-1] == ("run", 1.2301e-3, 1.2302e-3)


def test_the_page_gives_the_other_commands(strip: Strip, commands: _Commands) -> None:
    for message in ("all", "begin", "undo pick", "undo", "else"):
        tell(strip.page, do=message)
    given = [name for name, *_ in commands.done]
    assert given == ["show_all", "end_zoom", "undo_pick", "undo"]


def _line(strip: Strip) -> np.ndarray[Any, Any]:
    """Return the points of the curve, in rows."""
    (points,) = re.findall('points="(.*?)"', strip.picture.value)
    return np.array([point.split(",") for point in points.split()], float)


def test_the_picture_shows_the_trend_of_an_ended_test(strip: Strip) -> None:
    curve = sweep()
    testing = snapshot_with(curve=curve, testing=True)
    strip.show(testing)
    assert "polyline" not in strip.picture.value
    strip.show(replace(testing, testing=False))
    across, down = _line(strip).T
    lrs, losses, *_ = curve.fit()
    np.testing.assert_allclose(across, 1000 * (np.log10(lrs) + 7) / 8, atol=0.06)
    assert down.argmax() == losses.argmin()  # the lowest loss is the lowest point
    assert (down >= 0).all()
    assert (down <= 44).all()
    assert "1e-7" in strip.picture.value
    strip.show(_linear(replace(testing, testing=False)))
    assert ">0.2<" in strip.picture.value


@pytest.mark.parametrize(
    "curve",
    [
        curve_of(),
        curve_of(2.0),
        curve_of(*[np.nan] * 20),
        LRCurve(LRS, np.where(LRS < 1e-3, 1.0, np.inf)),
    ],
)
def test_any_curve_has_a_picture(strip: Strip, curve: LRCurve) -> None:
    strip.show(snapshot_with(curve=curve))
    assert "nan" not in strip.picture.value
    assert "svg" in strip.picture.value


def test_without_runs_there_is_none_to_repeat() -> None:
    made: Any = _Commands()
    strip = Strip(made, made.run, made.undo, (72, 18), can_run=False)
    assert strip.again.layout.display == "none"
    close_with_parts(strip)
