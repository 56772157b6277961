from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest

from lrwidget.curve.record import LRCurve
from lrwidget.curve.suggestion import NO_SUGGESTION, Suggestion
from lrwidget.ui.chart import Chart, _rate_ticks
from lrwidget.ui.closing import close_with_parts
from tests.ui.front_end import click, drag, move, start_drag

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def picked() -> list[float]:
    return []


@pytest.fixture
def chart(picked: list[float]) -> Iterator[Chart]:
    chart = Chart(1e-7, 10.0, picked.append)
    yield chart
    close_with_parts(chart)


def _curve(*losses: float) -> LRCurve:
    return LRCurve(np.geomspace(1e-7, 10, 100)[: len(losses)], np.array(losses))


def test_shows_raw_and_smoothed_losses(chart: Chart) -> None:
    curve = _curve(3.0, 1.0, 2.0)
    for beta in (0.5, 0.0, 0.98):
        chart.draw(curve, beta, NO_SUGGESTION)
        np.testing.assert_array_equal(chart.raw.y, curve.losses)
        np.testing.assert_array_equal(chart.smoothed.y, curve.smoothed(beta))
        np.testing.assert_array_equal(chart.smoothed.x, curve.lrs)


def test_what_is_not_finite_is_not_sent(chart: Chart) -> None:
    chart.draw(
        _curve(2.0, math.nan, 1.0, 1e300, math.inf, math.nan), 0.5, NO_SUGGESTION
    )
    assert len(chart.raw.x) == len(chart.raw.y) == len(chart.smoothed.y) == 3
    assert np.isfinite(chart.raw.y).all()
    assert chart.raw.y.max() < 100
    assert 2 < chart._losses.max < 3


def test_nothing_finite_is_nothing_drawn(chart: Chart) -> None:
    chart.draw(_curve(2.0, 1.0), 0.5, Suggestion(1.1e-7, 1e-7, 1.2e-7))
    chart.draw(_curve(math.nan), 0.5, NO_SUGGESTION)
    for mark in (chart.raw, chart.smoothed, chart.suggestion, chart.band):
        assert len(mark.x) == len(mark.y) == 0


def test_the_suggestion_is_a_dot_on_the_smoothed_line(chart: Chart) -> None:
    curve = _curve(*np.linspace(3, 1, 50))
    for beta in (0.0, 0.9):
        chart.draw(curve, beta, Suggestion(float(curve.lrs[20])))
        assert chart.suggestion.x.tolist() == [curve.lrs[20]]
        assert chart.suggestion.y[0] == pytest.approx(curve.smoothed(beta)[20])
    chart.draw(curve, 0.9, NO_SUGGESTION)
    assert len(chart.suggestion.x) == 0


def test_the_range_of_a_suggestion_is_a_band(chart: Chart) -> None:
    curve = _curve(*np.linspace(3, 1, 50))
    chart.draw(curve, 0.5, Suggestion(1e-5, 2e-6, 3e-5))
    assert chart.band.x.tolist() == [2e-6, 3e-5]
    assert chart.band.y.tolist() == [1, 1]
    chart.draw(curve, 0.5, Suggestion(1e-5))
    assert len(chart.band.x) == 0


def test_no_handle_without_a_rate(chart: Chart, picked: list[float]) -> None:
    assert len(chart.handle.x) == len(chart.line.x) == len(chart.label.x) == 0
    chart.show_rate(1e-3)
    chart.show_rate(None)
    assert len(chart.handle.x) == len(chart.line.x) == len(chart.label.x) == 0
    assert picked == []


def test_the_handle_stands_at_the_rate(chart: Chart, picked: list[float]) -> None:
    chart.show_rate(0.0123456)
    assert chart.handle.x.tolist() == [0.0123456]
    assert chart.line.x.tolist() == [0.0123456] * 2
    assert list(chart.label.text) == ["0.0123"]
    assert picked == []


def test_dragging_picks_short_rates(chart: Chart, picked: list[float]) -> None:
    chart.show_rate(1e-3)
    drag(chart, 0.00213456, 0.0345678, 123.456)
    assert picked == [0.00213, 0.0346, 123, 123]


def _clamping() -> Chart:
    made: Chart = Chart(1e-7, 10.0, lambda rate: made.show_rate(min(rate, 10.0)))
    return made


def test_the_handle_is_the_mouses_while_it_is_dragged() -> None:
    chart = _clamping()
    chart.show_rate(1e-3)
    places: list[float] = []
    chart.handle.observe(lambda change: places.append(change["new"][0]), "x")
    drag(chart, 0.00213456, 123.456)
    assert places == [0.00213456, 123.456, 10.0]
    assert chart.line.x.tolist() == [10.0] * 2
    close_with_parts(chart)


def test_a_move_that_arrives_after_the_end_of_the_drag() -> None:
    chart = _clamping()
    chart.show_rate(1e-3)
    drag(chart, 123.0)
    move(chart, 1e6)
    assert chart.handle.x.tolist() == [10]
    close_with_parts(chart)


def test_pressing_the_handle_picks_nothing(chart: Chart, picked: list[float]) -> None:
    chart.show_rate(0.0123456789)
    drag(chart, 0.0123456789 * (1 + 1e-13))
    assert picked == []


def test_a_click_ends_a_drag_whose_end_was_lost(chart: Chart) -> None:
    chart.show_rate(1e-3)
    start_drag(chart)
    chart.show_rate(2e-3)
    assert chart.handle.x.tolist() == [1e-3]
    click(chart, 0.5)
    chart.show_rate(3e-3)
    assert chart.handle.x.tolist() == [3e-3]


def test_a_place_that_is_no_number_picks_nothing(
    chart: Chart, picked: list[float]
) -> None:
    move(chart, math.nan)
    click(chart, math.nan)
    click(chart, math.inf)
    assert picked == []


def test_clicking_picks_a_short_rate(chart: Chart, picked: list[float]) -> None:
    click(chart, 0.00456789)
    assert picked == [0.00457]


def test_clicking_the_suggestion_picks_it_exactly(
    chart: Chart, picked: list[float]
) -> None:
    chart.draw(_curve(3.0, 2.0, 1.0), 0.5, Suggestion(1.23456789e-7))
    chart.suggestion._handle_custom_msgs(None, {"event": "element_click", "data": {}})
    assert picked == [1.23456789e-7]


def test_the_label_turns_at_the_right_edge(chart: Chart) -> None:
    chart.show_rate(1e-6)
    assert (chart.label.align, chart.label.x_offset > 0) == ("start", True)
    chart.show_rate(9.0)
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
    np.testing.assert_allclose(_rate_ticks(start, end), ticks)


def test_ticks_are_labelled_as_people_write_them() -> None:
    chart = Chart(1e-2, 10.0, lambda _: None)
    axis = chart.figure.axes[0]
    assert axis.tick_format == ".0e"
    assert axis.tick_labels == {"1": "1", "10": "10"}
    close_with_parts(chart)
    chart = Chart(1.0, 1.0625, lambda _: None)
    assert chart.figure.axes[0].tick_format == ".1e"
    close_with_parts(chart)
