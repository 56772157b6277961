from __future__ import annotations

import math
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrwidget.curve.training_curve import TrainingCurve
from lrwidget.ui.race_chart import (
    RaceChart,
    _distance,
    _step_ticks,
    apart,
    in_a_row,
)
from lrwidget.ui.widgets import close_with_parts
from tests.ui.front_end import click_race

if TYPE_CHECKING:
    from collections.abc import Iterator

_RATES = [0.01, 0.1, 1.0]
_SHARES = st.floats(0, 1)
_PLACES = st.lists(st.tuples(_SHARES, _SHARES), max_size=12).map(
    lambda places: {str(number): place for number, place in enumerate(places)}
)


@pytest.fixture
def chart(picked: list[float]) -> Iterator[RaceChart]:
    chart = RaceChart(_RATES, 4, picked.append, "loss")
    yield chart
    close_with_parts(chart)


def _curve(lr: float, *losses: float, reason: Any = "completed") -> TrainingCurve:
    return TrainingCurve(lr, np.array(losses, float), reason, 4)


_CURVES = [
    _curve(0.01, 4, 4, 4, 4),
    _curve(0.1, 4, 3, 2, 1),
    _curve(1.0, 4, 1e30, reason="diverged"),
]
_BY_NUMBER = dict(enumerate(_CURVES))


def test_a_line_for_each_rate(chart: RaceChart) -> None:
    chart.draw(_BY_NUMBER, ended=False)
    for entry, curve in zip(chart._entries, _CURVES, strict=True):
        assert entry.line.x.tolist() == list(range(1, len(curve) + 1))
    for entry, curve in zip(chart._entries[:2], _CURVES[:2], strict=True):
        np.testing.assert_array_equal(entry.line.y, curve.smoothed())
    looks = {(x.line.colors[0], x.line.line_style) for x in chart._entries}
    assert len(looks) == 3


def test_twelve_lines_differ(picked: list[float]) -> None:
    rates = [0.1 * number for number in range(1, 13)]
    chart = RaceChart(rates, 4, picked.append, "loss")
    looks = {(x.line.colors[0], x.line.line_style) for x in chart._entries}
    assert len(looks) == 12
    # as their buttons do
    assert len({x.button.layout.border_bottom for x in chart._entries}) == 12
    close_with_parts(chart)


def test_a_long_race_sends_what_a_screen_shows(picked: list[float]) -> None:
    chart = RaceChart([0.1], 50_000, picked.append, "loss")
    losses = np.random.default_rng(0).uniform(1, 2, 50_000)
    chart.draw({0: TrainingCurve(0.1, losses, "completed", 50_000)}, ended=True)
    (entry,) = chart._entries
    assert 100 < len(entry.line.x) <= 1000
    assert (entry.line.x[0], entry.line.x[-1]) == (1, 50_000)
    close_with_parts(chart)


def test_an_explosion_flattens_nothing(chart: RaceChart) -> None:
    chart.draw(_BY_NUMBER, ended=False)
    assert 4 < chart._losses.max < 5
    assert all(np.isfinite(entry.line.y).all() for entry in chart._entries)
    assert chart._entries[2].line.y.max() < 100


def test_what_is_not_finite_is_not_sent(chart: RaceChart) -> None:
    chart.draw({0: _curve(0.01, math.nan)}, ended=False)
    assert len(chart._entries[0].line.x) == 0
    chart.draw({0: _curve(0.01, 2, math.nan, 1, math.inf)}, ended=False)
    assert chart._entries[0].line.x.tolist() == [1, 3]


def test_each_line_is_named_where_it_ends(chart: RaceChart) -> None:
    chart.draw(_BY_NUMBER, ended=False)
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
    chart: RaceChart, picked: list[float], step: float, height: float, rate: float
) -> None:
    chart.draw(_BY_NUMBER, ended=False)
    click_race(chart, (step - 1) / 3, height)
    assert picked == [rate]


def test_a_click_that_means_nothing(chart: RaceChart, picked: list[float]) -> None:
    click_race(chart, 0.5, 0.5)
    chart.draw(_BY_NUMBER, ended=False)
    click_race(chart, math.nan, 0.5)
    assert picked == []


def test_the_buttons_pick_and_tell(chart: RaceChart, picked: list[float]) -> None:
    buttons = [entry.button for entry in chart._entries]
    assert [button.description for button in buttons] == ["1.0e-2", "0.1", "1"]
    chart.draw(_BY_NUMBER, ended=False)
    assert [button.description for button in buttons] == ["1.0e-2", "0.1", "1"]
    chart.draw(_BY_NUMBER, ended=True)
    assert [button.description for button in buttons] == [
        *("1.0e-2 · loss 4", "0.1 · loss 1", "1 · diverged"),
    ]
    for button in buttons:
        button.click()
    assert picked == _RATES


def test_the_chosen_rate_is_marked(chart: RaceChart) -> None:
    for rate, marked in ((0.1, 1), (float(np.float32(0.01)), 0), (0.2, 9), (None, 9)):
        chart.show_rate(rate)
        for number, entry in enumerate(chart._entries):
            assert (entry.line.stroke_width > 2) == (number == marked)
            assert (entry.button.icon == "check") == (number == marked)


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [(0.5, 0.0, 0.25), (0.0, 0.25, 0.0), (-1.0, 0.25, 3.0), (1.0, 1.25, 1.0)],
)
def test_the_distance_from_a_line(x: float, y: float, expected: float) -> None:
    # a horizontal line over the whole width, which counts three times as much
    line = np.array([0.0, 1.0]), np.array([0.25, 0.25])
    assert _distance(x, y, *line) == pytest.approx(expected)
    point = np.array([0.5]), np.array([0.5])
    assert _distance(0.5, y, *point) == pytest.approx(abs(y - 0.5))


@pytest.mark.parametrize(
    ("steps", "ticks"),
    [
        (1, [1]),
        (3, [1, 2, 3]),
        (10, list(range(1, 11))),
        (30, [1, 5, 10, 15, 20, 25, 30]),
        (100, [1, *range(10, 101, 10)]),
        (1234, [1, 200, 400, 600, 800, 1000, 1200]),
    ],
)
def test_ticks_are_round_steps(steps: int, ticks: list[int]) -> None:
    assert _step_ticks(steps).tolist() == ticks


def test_a_rate_that_begins_before_a_lower_one(chart: RaceChart) -> None:
    chart.draw({1: _CURVES[1]}, ended=True)
    assert [len(entry.line.x) for entry in chart._entries] == [0, 4, 0]
    words = [entry.button.description for entry in chart._entries]
    assert words == ["1.0e-2", "0.1 · loss 1", "1"]


def test_what_is_apart_stays() -> None:
    places = {"a": (1.0, 0.1), "b": (1.0, 0.9), "c": (0.2, 0.9)}
    assert apart(places) == places


@given(_PLACES)
def test_no_text_covers_another(places: dict[str, tuple[float, float]]) -> None:
    moved = apart(places)
    assert moved.keys() == places.keys()
    assert all(moved[text][0] == places[text][0] for text in places)
    for one, other in combinations(moved.values(), 2):
        assert abs(one[0] - other[0]) >= 0.09 or abs(one[1] - other[1]) >= 0.0749


@given(_PLACES)
def test_texts_keep_their_order(places: dict[str, tuple[float, float]]) -> None:
    moved = apart({text: (1.0, y) for text, (_, y) in places.items()})
    by_height = sorted(places, key=lambda text: places[text][1])
    heights = [moved[text][1] for text in by_height]
    assert heights == sorted(heights)


def test_texts_at_an_edge_move_inside() -> None:
    low = apart({"a": (1.0, 0.0), "b": (1.0, 0.01)})
    assert min(y for _, y in low.values()) == 0
    high = apart({"a": (1.0, 1.0), "b": (1.0, 0.99)})
    assert max(y for _, y in high.values()) == 1


def test_a_row_keeps_the_order() -> None:
    row = in_a_row({"b": 0.02, "a": 0.01, "c": 0.5})
    assert row["a"][0] == 0.01
    assert row["b"][0] > row["a"][0] + 0.05
    assert row["c"][0] == 0.5
    assert {y for _, y in row.values()} == {1.05}
