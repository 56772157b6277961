from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from bqscales import LinearScale, LogScale

from lrwidget.curve.fit import local_fit
from lrwidget.curve.smoothing import exponential_mean
from lrwidget.curve.suggestion import NO_SUGGESTION, Suggestion
from lrwidget.ui.chart import Chart
from lrwidget.ui.view_options import ViewOptions
from lrwidget.ui.widgets import close_with_parts
from tests.curves import LRS, curve_of, fitted, run_of, sweep, with_edges
from tests.ui.front_end import click, click_suggestion

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lrwidget.curve.arrays import FloatArray
    from lrwidget.curve.runs import Run
    from lrwidget.curve.trend import Smoothing

_VIEW = ViewOptions(0.5)
_FALLING = np.linspace(3, 1, 50)


@pytest.fixture
def chart(picked: list[float]) -> Iterator[Chart]:
    chart = Chart(1e-7, 10.0, _VIEW, picked.append)
    yield chart
    close_with_parts(chart)


def _limits(chart: Chart) -> tuple[float, float]:
    """Return the losses at the edges."""
    scale = chart.axes.on_curve["y"]
    return scale.min, scale.max


def _runs(*heights: float, setting: str | None = None) -> list[Run]:
    """Return runs that fall from some heights, each of its own setting if None."""
    return [
        run_of(height * _FALLING, f"{number}", number, setting or f"{number}")
        for number, height in enumerate(heights)
    ]


def test_the_latest_curve_is_drawn_as_it_is_looked_at(chart: Chart) -> None:
    curve = curve_of(*_FALLING)
    for view in (
        _VIEW,
        ViewOptions("fastai"),
        ViewOptions(0.3, 5, 5),
        ViewOptions(0.3, logarithmic=True),
    ):
        chart.show_others([], [], view)
        chart.draw(curve, NO_SUGGESTION, ended=True)
        sight = view.of(curve)
        np.testing.assert_array_equal(chart.latest.raw.y, sight.raw)
        np.testing.assert_array_equal(chart.latest.trend.y, with_edges(sight))
        assert _limits(chart) == sight.limits


def test_an_explosion_flattens_nothing(chart: Chart) -> None:
    chart.draw(curve_of(2.0, math.nan, 1.0, 1e300, math.inf), NO_SUGGESTION, ended=True)
    assert 2 < _limits(chart)[1] < 3
    assert chart.latest.raw.y.max() < 100


def test_nothing_finite_is_nothing_drawn(chart: Chart) -> None:
    chart.draw(curve_of(2.0, 1.0), Suggestion(1.1e-7, 1e-7, 1.2e-7), ended=True)
    chart.draw(curve_of(math.nan), NO_SUGGESTION, ended=True)
    marks = [*chart.latest.lines, chart.suggestion.dot, chart.suggestion.band]
    for mark in marks:
        assert len(mark.x) == np.size(mark.y) == 0


def test_logarithms_are_named_by_the_losses(chart: Chart) -> None:
    _, axis = chart.figure.axes
    chart.show_others([], [], ViewOptions(0.5, logarithmic=True))
    chart.draw(curve_of(*np.geomspace(100, 0.01, 50)), NO_SUGGESTION, ended=True)
    assert {"0.01", "1", "100"} <= set(axis.tick_labels.values())
    chart.show_others([], [], _VIEW)
    chart.draw(curve_of(*_FALLING), NO_SUGGESTION, ended=True)
    assert [*axis.tick_labels.values()] == ["1", "1.5", "2", "2.5", "3"]


def test_other_runs_have_a_line_each(chart: Chart) -> None:
    runs = _runs(1.0, 2.0)
    chart.show_others(runs, [], _VIEW)
    chart.draw(curve_of(*_FALLING), NO_SUGGESTION, ended=True)
    for line, run in zip(chart.others.lines, runs, strict=True):
        assert line in chart.figure.marks
        expected, _errors = fitted(run.history.curve(), 0.5)
        np.testing.assert_array_equal(line.y, expected)
    assert [line.labels[0] for line in chart.lines] == [
        *("0", "1", "one batch", "trend"),
    ]
    chart.show_others(runs[1:], [], _VIEW)
    assert [line.labels[0] for line in chart.lines] == ["1", "one batch", "trend"]
    assert chart.others.lines[0] in chart.figure.marks
    assert sum(mark in chart.lines for mark in chart.figure.marks) == 3


def test_all_that_is_shown_fits(chart: Chart) -> None:
    runs = _runs(0.1, 5.0)
    chart.show_others(runs, [], _VIEW)
    chart.draw(curve_of(*_FALLING), NO_SUGGESTION, ended=True)
    low, high = _limits(chart)
    assert low < 0.1
    assert 15 < high < 20
    chart.show_others(runs[:1], [], _VIEW)
    chart.draw(curve_of(*_FALLING), NO_SUGGESTION, ended=True)
    assert _limits(chart)[1] < 4


def test_other_runs_are_looked_at_anew(chart: Chart) -> None:
    runs = _runs(1.0, 2.0)
    curve = curve_of(*_FALLING)
    for view in (
        ViewOptions(),
        ViewOptions(0.3, 10, 10),
        ViewOptions(0.3, logarithmic=True),
    ):
        chart.show_others(runs, [], view)
        chart.draw(curve, NO_SUGGESTION, ended=True)
        for line, run in zip(chart.others.lines, runs, strict=True):
            sight = view.of(run.history.curve())
            np.testing.assert_array_equal(line.x, sight.lrs)
            np.testing.assert_array_equal(line.y, sight.trend)


def test_a_run_that_changes_no_limits_is_drawn(chart: Chart) -> None:
    chart.draw(curve_of(*_FALLING), NO_SUGGESTION, ended=True)
    before = _limits(chart)
    for runs in (_runs(1.0), _runs(1.0, 1.0)):
        chart.show_others(runs, [], _VIEW)
        chart.draw(curve_of(*_FALLING), NO_SUGGESTION, ended=True)
        assert _limits(chart) == before
        assert [len(line.x) for line in chart.others.lines] == [50] * len(runs)


def test_other_runs_of_which_nothing_is_seen_are_gone(chart: Chart) -> None:
    runs = _runs(-1.0, -2.0, -3.0, setting="same")
    curve = curve_of(*-_FALLING)
    chart.show_others(runs, runs, _VIEW)
    chart.draw(curve, NO_SUGGESTION, ended=True)
    assert [len(line.x) for line in chart.lines] == [50] * 6
    for view in (ViewOptions(0.5, logarithmic=True), _VIEW, ViewOptions(0.5, 30, 30)):
        chart.show_others(runs, [], view)
        chart.draw(curve, NO_SUGGESTION, ended=True)
        count = 50 if view is _VIEW else 0
        assert [len(line.x) for line in chart.lines] == [count] * 5


def test_three_runs_of_one_setting_are_fitted_together(chart: Chart) -> None:
    runs = _runs(1.0, 4.0, 2.0, setting="same")
    chart.show_others(runs[:2], runs, _VIEW)
    chart.draw(runs[2].history.curve(), NO_SUGGESTION, ended=True)
    line = chart.others.lines[-1]
    losses = np.concatenate([run.history.curve().losses for run in runs])
    expected, errors = local_fit(np.tile(LRS[:50], 3), losses, 0.5).at(LRS[:50])
    kept = chart.axes.kept
    np.testing.assert_array_equal(line.x, LRS[:50])
    heights = np.array([expected - 2 * errors, expected, expected + 2 * errors])
    np.testing.assert_allclose(line.y, kept(heights))
    assert line in chart.lines


@pytest.mark.parametrize("smoothing", [0.3, "fastai"])
def test_the_common_trend_is_looked_at_like_the_lines(
    chart: Chart, smoothing: Smoothing
) -> None:
    # Runs that are the same have the trend of one.
    runs = _runs(2.0, 2.0, 2.0, setting="same")
    chart.show_others([], runs, ViewOptions(smoothing, 5, 7, logarithmic=True))
    curve = runs[2].history.curve()
    chart.draw(curve, NO_SUGGESTION, ended=True)
    (line,) = chart.others.lines
    low, trend, high = line.y
    np.testing.assert_array_equal(line.x, LRS[5:43])
    if smoothing == "fastai":
        # Of three equal losses at each rate, the last mean is that of all.
        expected = exponential_mean(np.repeat(curve.losses, 3))[2::3]
        np.testing.assert_array_equal([low, high], [trend, trend])
    else:
        expected, errors = fitted(curve, 0.3)
        margins = 10**high - 10**trend, 10**trend - 10**low
        np.testing.assert_allclose(margins, [2 * errors[5:43]] * 2, atol=1e-12)
    np.testing.assert_allclose(trend, np.log10(expected[5:43]))


def test_two_runs_of_one_setting_have_no_common_trend(chart: Chart) -> None:
    runs = [*_runs(1.0, 4.0, setting="same"), *_runs(2.0, 3.0, setting="other")]
    chart.show_others([], runs, _VIEW)
    chart.draw(curve_of(*_FALLING), NO_SUGGESTION, ended=True)
    assert chart.others.lines == []


def test_the_handle_stands_at_the_rate(chart: Chart, picked: list[float]) -> None:
    chart.show_rate(0.0123456)
    assert chart.handle.dot.x.tolist() == [0.0123456]
    chart.show_rate(None)
    assert len(chart.handle.dot.x) == 0
    assert picked == []


def test_other_rates_at_the_edges(chart: Chart) -> None:
    curve = sweep(0.1)
    chart.draw(curve, NO_SUGGESTION, ended=True)
    chart.show_rate(1e-6)
    for edges, area in (
        ((1e-9, 1e3), [curve.unstable_from, 1e3]),
        ((1e-9, 1e-5), []),
        ((1e-3, 1.0), [curve.unstable_from, 1.0]),
    ):
        chart.show_range(*edges)
        assert chart.axes.range == edges
        assert chart.handle.dot.x.tolist() == [1e-6]
        assert chart.zones.unstable.x.tolist() == area


def test_an_ended_curve_has_zones_and_a_loss_at_the_start(chart: Chart) -> None:
    curve = sweep(0.1)
    low, high, level = curve.learning_from, curve.unstable_from, curve.fit().start.level
    for logarithmic in (False, True):
        chart.show_others([], [], ViewOptions(logarithmic=logarithmic))
        chart.draw(curve, NO_SUGGESTION, ended=True)
        assert chart.overlay.zones == [
            ["too low to learn", None, low],
            ["learning", low, high],
            ["unstable", high, None],
        ]
        assert chart.zones.unstable.x.tolist() == [high, 10.0]
        height = math.log10(level) if logarithmic else level
        assert chart.zones.start.y.tolist() == [height] * 2
        assert chart.overlay.start == level
    chart.draw(curve, NO_SUGGESTION, ended=False)
    assert (chart.overlay.zones, chart.overlay.start) == ([], None)
    assert len(chart.zones.unstable.x) == len(chart.zones.start.x) == 0


@pytest.mark.parametrize(
    ("losses", "names"),
    [
        (_FALLING, ["too low to learn", "learning"]),
        (np.r_[np.full(20, 2.0), np.geomspace(2, 1e6, 20)], ["unstable"]),
        (np.full(50, 2.0), []),
    ],
    ids=["falling", "rising", "flat"],
)
def test_zones_that_are_not_known_have_no_name(
    chart: Chart, losses: FloatArray, names: list[str]
) -> None:
    chart.draw(curve_of(*losses), NO_SUGGESTION, ended=True)
    assert [name for name, _, _ in chart.overlay.zones] == names


@pytest.mark.parametrize(("steps", "dots"), [(2, True), (300, True), (301, False)])
def test_each_batch_is_a_dot_unless_there_are_many(
    chart: Chart, steps: int, *, dots: bool
) -> None:
    chart.prepare("run", steps, linear=False)
    raw = chart.latest.raw
    assert chart.latest.dotted == dots
    assert (raw.marker, raw.stroke_width) == (("circle", 0) if dots else (None, 1))
    assert chart.latest.trend.labels == ["run"] * 3


def test_a_linear_sweep_has_a_linear_axis(chart: Chart) -> None:
    runs = _runs(1.0)
    chart.show_others(runs, [], _VIEW)
    chart.show_range(0.1, 0.5)
    for linear, scale in ((True, LinearScale), (False, LogScale)):
        chart.prepare("run", 50, linear=linear)
        chart.draw(curve_of(*_FALLING), NO_SUGGESTION, ended=True)
        rates = chart.axes.on_curve["x"]
        assert isinstance(rates, scale)
        assert (rates.min, rates.max) == chart.axes.range == (0.1, 0.5)
        axis = chart.figure.axes[0]
        assert axis.scale is rates
        on_rates = [mark for mark in chart.figure.marks if mark.scales["x"] is rates]
        assert len(on_rates) == len(chart.figure.marks) - 1  # but the loss at the start
    assert axis.tick_values.tolist() == [0.1, 0.2, 0.5]


def test_the_handle_picks(chart: Chart, picked: list[float]) -> None:
    click(chart.handle, 0.00456789)
    assert set(picked) == {0.0046}


def test_clicking_the_suggestion_picks_it(chart: Chart, picked: list[float]) -> None:
    chart.draw(curve_of(3.0, 2.0, 1.0), Suggestion(1.23456789e-7), ended=True)
    click_suggestion(chart.suggestion)
    assert picked == [1.2e-7]


def test_the_losses_are_named(picked: list[float]) -> None:
    chart = Chart(1e-7, 10.0, _VIEW, picked.append, "validation loss")
    assert chart.figure.axes[1].label == "validation loss"
    close_with_parts(chart)
