from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest

from lrwidget.curve.record import LRCurve
from lrwidget.ui.chart import Chart, rate_ticks
from lrwidget.ui.closing import close_with_parts
from tests.ui.front_end import click, drag, move

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def chart() -> Iterator[Chart]:
    chart = Chart(1e-7, 10.0)
    yield chart
    close_with_parts(chart)


def _curve(*losses: float) -> LRCurve:
    return LRCurve(np.geomspace(1e-7, 10, 100)[: len(losses)], np.array(losses))


def test_shows_raw_and_smoothed_losses(chart: Chart) -> None:
    curve = _curve(3.0, 1.0, 2.0)
    for beta in (0.5, 0.0, 0.98):
        chart.draw(curve, beta, None)
        np.testing.assert_array_equal(chart.raw.y, curve.losses)
        np.testing.assert_array_equal(chart.smoothed.y, curve.smoothed(beta))
        np.testing.assert_array_equal(chart.smoothed.x, curve.lrs)


def test_what_is_not_finite_is_not_sent(chart: Chart) -> None:
    chart.draw(_curve(2.0, math.nan, 1.0, 1e300, math.inf, math.nan), 0.5, None)
    assert len(chart.raw.x) == len(chart.raw.y) == len(chart.smoothed.y) == 3
    assert np.isfinite(chart.raw.y).all()
    assert chart.raw.y.max() < 100
    assert 2 < chart._losses.max < 3


def test_nothing_finite_is_nothing_drawn(chart: Chart) -> None:
    chart.draw(_curve(2.0, 1.0), 0.5, 1.1e-7)
    chart.draw(_curve(math.nan), 0.5, None)
    for mark in (chart.raw, chart.smoothed, chart.suggestion):
        assert len(mark.x) == len(mark.y) == 0


def test_the_suggestion_is_a_dot_on_the_smoothed_line(chart: Chart) -> None:
    curve = _curve(*np.linspace(3, 1, 50))
    for beta in (0.0, 0.9):
        chart.draw(curve, beta, float(curve.lrs[20]))
        assert chart.suggestion.x.tolist() == [curve.lrs[20]]
        assert chart.suggestion.y[0] == pytest.approx(curve.smoothed(beta)[20])
    chart.draw(curve, 0.9, None)
    assert len(chart.suggestion.x) == 0


def test_no_handle_without_a_value(chart: Chart) -> None:
    for mark in (chart.handle, chart.line, chart.label):
        assert len(mark.x) == 0
    chart.value = 1e-3
    chart.value = None
    for mark in (chart.handle, chart.line, chart.label):
        assert len(mark.x) == 0


def test_the_handle_follows_the_value(chart: Chart) -> None:
    chart.value = 0.0123456
    assert chart.handle.x.tolist() == [0.0123456]
    assert chart.line.x.tolist() == [0.0123456] * 2
    assert list(chart.label.text) == ["0.0123"]


@pytest.mark.parametrize(("rate", "clamped"), [(1e-9, 1e-7), (50.0, 10.0)])
def test_the_value_stays_in_the_range(
    chart: Chart, rate: float, clamped: float
) -> None:
    chart.value = rate
    assert chart.value == clamped
    assert chart.handle.x.tolist() == [clamped]


def test_dragging_sets_a_short_value_and_leaves_the_handle_to_the_mouse(
    chart: Chart,
) -> None:
    chart.value = 1e-3
    values: list[float] = []
    places: list[float] = []
    chart.observe(lambda change: values.append(change["new"]), "value")
    chart.handle.observe(lambda change: places.append(change["new"][0]), "x")
    drag(chart, 0.00213456, 0.0345678)
    assert values == [0.00213, 0.0346]
    # its own last place is written when the mouse has let go, not before
    assert places == [0.00213456, 0.0345678, 0.0346]
    assert chart.line.x.tolist() == [0.0346] * 2


def test_dragging_out_of_the_chart_ends_at_its_edge(chart: Chart) -> None:
    chart.value = 1e-3
    drag(chart, 5.0, 123.0)
    assert chart.value == 10
    assert chart.handle.x.tolist() == [10]
    drag(chart, 1e-12)
    assert chart.value == 1e-7
    assert chart.handle.x.tolist() == [1e-7]


def test_pressing_the_handle_picks_nothing(chart: Chart) -> None:
    chart.value = 0.0123456789
    drag(chart, 0.0123456789 * (1 + 1e-13))
    assert chart.value == 0.0123456789
    assert chart.handle.x.tolist() == [0.0123456789]


def test_a_move_that_arrives_after_the_end_of_the_drag(chart: Chart) -> None:
    chart.value = 1e-3
    drag(chart, 123.0)
    move(chart, 1e6)
    assert chart.value == 10
    assert chart.handle.x.tolist() == [10]


def test_clicking_sets_a_short_value(chart: Chart) -> None:
    click(chart, 0.00456789)
    assert chart.value == 0.00457
    assert chart.handle.x.tolist() == [0.00457]


def test_clicking_the_suggestion_takes_it_exactly(chart: Chart) -> None:
    chart.draw(_curve(3.0, 2.0, 1.0), 0.5, 1.23456789e-7)
    chart.suggestion._handle_custom_msgs(None, {"event": "element_click", "data": {}})
    assert chart.value == 1.23456789e-7


def test_the_label_turns_at_the_right_edge(chart: Chart) -> None:
    chart.value = 1e-6
    assert (chart.label.align, chart.label.x_offset > 0) == ("start", True)
    chart.value = 9.0
    assert (chart.label.align, chart.label.x_offset > 0) == ("end", False)


@pytest.mark.parametrize(
    ("start", "end", "ticks"),
    [
        (1e-7, 10, [1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1, 10]),
        (2e-4, 0.5, [1e-3, 1e-2, 1e-1]),
        (1e-3, 2e-2, [1e-3, 2e-3, 5e-3, 1e-2, 2e-2]),
        (2.0, 32.0, [2, 5, 10, 20]),
        (1.0, 1.0625, np.geomspace(1, 1.0625, 5)),
    ],
)
def test_ticks(start: float, end: float, ticks: list[float]) -> None:
    np.testing.assert_allclose(rate_ticks(start, end), ticks)


def test_ticks_are_labelled_as_people_write_them() -> None:
    chart = Chart(1e-2, 10.0)
    axis = chart.figure.axes[0]
    assert axis.tick_format == ".0e"
    assert axis.tick_labels == {"1": "1", "10": "10"}
    close_with_parts(chart)
    chart = Chart(1.0, 1.0625)
    assert chart.figure.axes[0].tick_format == ".1e"
    close_with_parts(chart)
