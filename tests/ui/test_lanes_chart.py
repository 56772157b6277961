from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import ipywidgets as ipw
import numpy as np
import pytest

from lrwidget.curve.training_curve import TrainingCurve
from lrwidget.ui.lanes_chart import LanesChart, _distance, _step_ticks
from lrwidget.ui.widgets import close_with_parts
from tests.ui.front_end import click_lanes

if TYPE_CHECKING:
    from collections.abc import Iterator

_RATES = [0.01, 0.1, 1.0]


@pytest.fixture
def chart(picked: list[float]) -> Iterator[LanesChart]:
    chart = LanesChart(_RATES, 4, picked.append, "loss")
    yield chart
    close_with_parts(chart.figure)


def _curve(lr: float, *losses: float, reason: Any = "completed") -> TrainingCurve:
    return TrainingCurve(lr, np.array(losses, float), reason, 4)


_CURVES = [
    _curve(0.01, 4, 4, 4, 4),
    _curve(0.1, 4, 3, 2, 1),
    _curve(1.0, 4, 1e30, reason="diverged"),
]
_BY_NUMBER = dict(enumerate(_CURVES))


def test_a_line_for_each_rate(chart: LanesChart) -> None:
    chart.draw(_BY_NUMBER, ended=False)
    for lane, curve in zip(chart.lanes, _CURVES, strict=True):
        assert lane.line.x.tolist() == list(range(1, len(curve) + 1))
    for lane, curve in zip(chart.lanes[:2], _CURVES[:2], strict=True):
        np.testing.assert_allclose(lane.line.y, np.log10(curve.smoothed()))
    assert len({x.line.colors[0] for x in chart.lanes}) == 3


def test_a_long_race_sends_what_a_screen_shows(picked: list[float]) -> None:
    chart = LanesChart([0.1], 50_000, picked.append, "loss")
    losses = np.random.default_rng(0).uniform(1, 2, 50_000)
    chart.draw({0: TrainingCurve(0.1, losses, "completed", 50_000)}, ended=True)
    (lane,) = chart.lanes
    assert 100 < len(lane.line.x) <= 1000
    assert (lane.line.x[0], lane.line.x[-1]) == (1, 50_000)
    close_with_parts(chart.figure)


def test_an_explosion_flattens_nothing(chart: LanesChart) -> None:
    chart.draw(_BY_NUMBER, ended=True)
    assert math.log10(4) < chart.losses.scale.max < math.log10(5)
    assert all(np.isfinite(lane.line.y).all() for lane in chart.lanes)
    assert chart.lanes[2].line.y.max() < 100


def test_what_is_not_finite_is_not_sent(chart: LanesChart) -> None:
    chart.draw({0: _curve(0.01, math.nan)}, ended=False)
    assert len(chart.lanes[0].line.x) == 0
    chart.draw({0: _curve(0.01, 2, math.nan, 1, math.inf)}, ended=False)
    assert chart.lanes[0].line.x.tolist() == [1, 3]


def test_each_line_is_named_where_it_ends(chart: LanesChart) -> None:
    chart.draw(_BY_NUMBER, ended=True)
    places = dict(
        zip(
            chart.labels.text,
            zip(chart.labels.x.tolist(), chart.labels.y.tolist(), strict=True),
            strict=True,
        )
    )
    assert set(places) == {"1.0e-2", "0.1", "1"}
    assert places["1.0e-2"][0] == places["0.1"][0] == 1
    assert places["1.0e-2"][1] > places["0.1"][1]
    # the one that leaves the plot is named above it
    assert places["1"] == (pytest.approx(1 / 3), pytest.approx(1.05))


@pytest.mark.parametrize(
    ("step", "height", "rate"),
    # 0.1 ends low and 0.01 as high as all began, where 1 has gone straight up
    [(4, 0.0, 0.1), (4, 0.5, 0.1), (4, 1.0, 0.01), (2.9, 0.95, 0.01), (1, 1.0, 1.0)],
)
def test_a_click_picks_the_nearest_line(
    chart: LanesChart, picked: list[float], step: float, height: float, rate: float
) -> None:
    chart.draw(_BY_NUMBER, ended=True)
    click_lanes(chart, (step - 1) / 3, height)
    assert picked == [rate]


def test_a_click_that_means_nothing(chart: LanesChart, picked: list[float]) -> None:
    click_lanes(chart, 0.5, 0.5)
    chart.draw(_BY_NUMBER, ended=False)
    click_lanes(chart, math.nan, 0.5)
    assert picked == []


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [(0.5, 0.0, 0.25), (0.0, 0.25, 0.0), (-1.0, 0.25, 1.5), (1.0, 1.25, 1.0)],
)
def test_the_distance_from_a_line(x: float, y: float, expected: float) -> None:
    # a horizontal line over the whole width, which counts half as much again
    line = np.array([0.0, 1.0]), np.array([0.25, 0.25])
    assert _distance(x, y, *line) == pytest.approx(expected)
    point = np.array([0.5]), np.array([0.5])
    assert _distance(0.5, y, *point) == pytest.approx(abs(y - 0.5))


@pytest.mark.parametrize(
    ("steps", "ticks"),
    [
        (1, [1]),
        (3, [1, 2, 3]),
        (10, [1, 2, 4, 6, 8, 10]),
        (30, [1, 10, 20, 30]),
        (100, [1, *range(20, 101, 20)]),
        (1234, [1, 500, 1000]),
    ],
)
def test_ticks_are_round_steps(steps: int, ticks: list[int]) -> None:
    assert _step_ticks(steps).tolist() == ticks


def test_losses_that_are_not_above_zero_have_a_linear_axis(chart: LanesChart) -> None:
    chart.draw({0: _curve(0.01, 2, -1, -1, -1)}, ended=True)
    np.testing.assert_array_equal(
        chart.lanes[0].line.y, _curve(0.01, 2, -1, -1, -1).smoothed()
    )


def test_a_line_that_grows_is_one_message(
    chart: LanesChart, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as it stays within the axis, which has room while lanes grow."""
    losses = [4.0, 3.0, 2.5, 3.3]
    chart.draw({0: _curve(0.01, *losses[:3], reason=None)}, ended=False)
    sent: list[Any] = []
    monkeypatch.setattr(ipw.Widget, "send_state", lambda *parts: sent.append(parts[0]))
    chart.draw({0: _curve(0.01, *losses, reason=None)}, ended=False)
    assert set(sent) == {chart.lanes[0].line}


def test_a_lane_is_named_once_it_has_ended(chart: LanesChart) -> None:
    chart.draw(
        {0: _curve(0.01, 4, 3, 2, 1), 1: _curve(0.1, 4, reason=None)}, ended=False
    )
    assert list(chart.labels.text) == ["1.0e-2"]


def test_the_best_line_is_thicker(chart: LanesChart) -> None:
    for best in (0.1, 1.0, None):
        chart.mark(best)
        thick = [lane.lr for lane in chart.lanes if lane.line.stroke_width > 2]
        assert thick == [x for x in [best] if x is not None]


def test_lanes_that_leave_the_plot_share_a_text(picked: list[float]) -> None:
    rates = [0.01, 0.1, 0.2, 0.3, 0.4]
    chart = LanesChart(rates, 4, picked.append, "loss")
    for count, said in ((3, "0.1, 0.2, 0.3"), (4, "0.1 to 0.4")):
        lanes = [_curve(lr, 4, 1e30, reason="diverged") for lr in rates[1 : count + 1]]
        chart.draw(dict(enumerate([_CURVES[1], *lanes])), ended=True)
        assert list(chart.labels.text) == ["1.0e-2", said]
        assert chart.labels.x.tolist() == [1, pytest.approx(1 / 3)]
    close_with_parts(chart.figure)
