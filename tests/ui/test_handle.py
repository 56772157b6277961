from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest

from lrwidget.ui.handle import Handle
from lrwidget.ui.widgets import close_with_parts
from tests.ui.front_end import click, drag, move, start_drag

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lrwidget.ui.axes import Axes


@pytest.fixture
def handle(axes: Axes, picked: list[float]) -> Iterator[Handle]:
    handle = Handle(axes, picked.append)
    yield handle
    _close(handle)


@pytest.fixture
def clamping(axes: Axes) -> Iterator[Handle]:
    """Return a handle that goes where it is dragged, but not above 10."""
    made: Handle = Handle(axes, lambda rate: made.show(min(rate, 10.0)))
    yield made
    _close(made)


def _close(handle: Handle) -> None:
    for mark in (handle.line, handle.dot):
        close_with_parts(mark)


def test_no_handle_without_a_rate(handle: Handle, picked: list[float]) -> None:
    dot, line = handle.dot, handle.line
    assert len(dot.x) == len(line.x) == 0
    handle.show(1e-3)
    handle.show(None)
    assert len(dot.x) == len(line.x) == 0
    assert picked == []


def test_it_stands_at_the_rate(handle: Handle, picked: list[float]) -> None:
    handle.show(0.0123456)
    assert handle.dot.x.tolist() == [0.0123456]
    assert handle.line.x.tolist() == [0.0123456] * 2
    assert handle.line.y.tolist() == [0, 1]
    assert picked == []


def test_dragging_picks_short_rates(handle: Handle, picked: list[float]) -> None:
    handle.show(1e-3)
    drag(handle, 0.00213456, 0.0345678, 123.456)
    assert picked == [0.0021, 0.035, 120, 120]


def test_the_handle_is_the_mouses_while_it_is_dragged(clamping: Handle) -> None:
    clamping.show(1e-3)
    move(clamping, 123.456)
    assert clamping.dot.x.tolist() == [10.0]  # out of the chart it is put back
    move(clamping, 0.00213456)
    assert clamping.dot.x.tolist() == [0.00213456]
    drag(clamping, 0.00213456)
    assert clamping.dot.x.tolist() == [0.0021]
    assert clamping.line.x.tolist() == [0.0021] * 2


def test_a_move_that_arrives_after_the_end_of_the_drag(clamping: Handle) -> None:
    clamping.show(1e-3)
    drag(clamping, 123.0)
    move(clamping, 1e6)
    assert clamping.dot.x.tolist() == [10]


def test_pressing_the_handle_picks_nothing(handle: Handle, picked: list[float]) -> None:
    handle.show(0.0123456789)
    drag(handle, 0.0123456789 * (1 + 1e-13))
    assert picked == []


def test_a_drag_whose_end_is_lost_leaves_it_free(clamping: Handle) -> None:
    clamping.show(1e-3)
    start_drag(clamping)
    move(clamping, 0.00213456)
    clamping.show(2e-3)  # as by the field
    assert clamping.dot.x.tolist() == [2e-3]


@pytest.mark.parametrize("place", [math.nan, math.inf])
def test_a_place_that_is_no_number_picks_nothing(
    handle: Handle, picked: list[float], place: float
) -> None:
    move(handle, place)
    click(handle, place)
    assert picked == []


def test_a_click_picks_a_short_rate(clamping: Handle) -> None:
    clamping.show(None)
    for place, rate in ((0.00456789, 0.0046), (123.0, 10.0)):
        click(clamping, place)
        assert clamping.line.x.tolist() == clamping.dot.x.tolist() * 2 == [rate] * 2
