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
    made: Handle = Handle(axes, lambda rate: made.show(min(rate, 10.0), []))
    yield made
    _close(made)


def _close(handle: Handle) -> None:
    for mark in handle.marks:
        close_with_parts(mark)


def test_no_handle_without_a_rate(handle: Handle, picked: list[float]) -> None:
    dot, line, label = handle.dot, handle.line, handle.label
    assert len(dot.x) == len(line.x) == len(label.x) == 0
    handle.show(1e-3, ["1e-3"])
    handle.show(None, [])
    assert len(dot.x) == len(line.x) == len(label.x) == 0
    assert picked == []


def test_it_stands_at_the_rate(handle: Handle, picked: list[float]) -> None:
    handle.show(0.0123456, ["1.23e-2"])
    assert handle.dot.x.tolist() == [0.0123456]
    assert handle.line.x.tolist() == [0.0123456] * 2
    assert handle.line.y.tolist() == [0, 1]
    assert list(handle.label.text) == ["1.23e-2"]
    assert picked == []


def test_its_words_stand_above_each_other(handle: Handle) -> None:
    words = ["1.4e-2", "loss 0.5", "0.6x the suggestion"]
    handle.show(0.014, words)
    assert list(handle.label.text) == words
    assert handle.label.x.tolist() == [0.014] * 3
    heights = handle.label.y.tolist()
    assert heights == sorted(heights, reverse=True)
    assert heights[-1] == handle.dot.y[0]
    assert max(heights) < 0.25


def test_its_words_turn_at_the_right_edge(handle: Handle) -> None:
    handle.show(1e-6, ["1e-6"])
    assert (handle.label.align, handle.label.x_offset > 0) == ("start", True)
    handle.show(9.0, ["9"])
    assert (handle.label.align, handle.label.x_offset > 0) == ("end", False)


def test_its_words_turn_by_the_edges_that_are_shown(handle: Handle, axes: Axes) -> None:
    axes.show_rates(1e-9, 1e-5)
    handle.show(9e-6, ["9e-6"])
    assert handle.label.align == "end"


def test_dragging_picks_short_rates(handle: Handle, picked: list[float]) -> None:
    handle.show(1e-3, [])
    drag(handle, 0.00213456, 0.0345678, 123.456)
    assert picked == [0.0021, 0.035, 120, 120]


def test_the_handle_is_the_mouses_while_it_is_dragged(clamping: Handle) -> None:
    clamping.show(1e-3, [])
    move(clamping, 123.456)
    assert clamping.dot.x.tolist() == [10.0]  # out of the chart it is put back
    move(clamping, 0.00213456)
    assert clamping.dot.x.tolist() == [0.00213456]
    drag(clamping, 0.00213456)
    assert clamping.dot.x.tolist() == [0.0021]
    assert clamping.line.x.tolist() == [0.0021] * 2


def test_a_move_that_arrives_after_the_end_of_the_drag(clamping: Handle) -> None:
    clamping.show(1e-3, [])
    drag(clamping, 123.0)
    move(clamping, 1e6)
    assert clamping.dot.x.tolist() == [10]


def test_pressing_the_handle_picks_nothing(handle: Handle, picked: list[float]) -> None:
    handle.show(0.0123456789, [])
    drag(handle, 0.0123456789 * (1 + 1e-13))
    assert picked == []


def test_a_drag_whose_end_is_lost_leaves_it_free(clamping: Handle) -> None:
    clamping.show(1e-3, [])
    start_drag(clamping)
    move(clamping, 0.00213456)
    clamping.show(2e-3, [])  # as by the field
    assert clamping.dot.x.tolist() == [2e-3]


def test_other_words_leave_the_dot_where_the_mouse_has_it(handle: Handle) -> None:
    handle.show(1e-3, ["1e-3"])
    move(handle, 0.5)  # whose pick is on its way, and not shown yet
    handle.say(["1e-3", "loss 2"])
    assert handle.dot.x.tolist() == [0.5]
    assert list(handle.label.text) == ["1e-3", "loss 2"]


@pytest.mark.parametrize("place", [math.nan, math.inf])
def test_a_place_that_is_no_number_picks_nothing(
    handle: Handle, picked: list[float], place: float
) -> None:
    move(handle, place)
    click(handle, place)
    assert picked == []


def test_a_click_picks_a_short_rate(clamping: Handle) -> None:
    clamping.show(None, [])
    for place, rate in ((0.00456789, 0.0046), (123.0, 10.0)):
        click(clamping, place)
        assert clamping.line.x.tolist() == clamping.dot.x.tolist() * 2 == [rate] * 2
