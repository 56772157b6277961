from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest

from lrwidget.curve.lr_curve import LRCurve
from lrwidget.curve.suggestion import NO_SUGGESTION, Suggestion
from lrwidget.ui.marks import LatestLines, OtherLines, SuggestionMarks
from lrwidget.ui.view_options import ViewOptions
from lrwidget.ui.widgets import close_with_parts
from tests.curves import LRS, curve_of, run_of, trend_of, with_edges
from tests.ui.front_end import click_suggestion

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lrwidget.ui.axes import Axes


_CURVE = curve_of(*np.linspace(3, 1, 50))
_SIGHT = ViewOptions(0.5).of(_CURVE)


@pytest.fixture
def latest(axes: Axes) -> Iterator[LatestLines]:
    latest = LatestLines(axes)
    yield latest
    for mark in (*latest.lines, latest.training):
        close_with_parts(mark)


@pytest.fixture
def others(axes: Axes) -> Iterator[OtherLines]:
    others = OtherLines(axes)
    yield others
    others.show([], [])  # which closes all marks


def test_raw_losses_and_their_trend(latest: LatestLines) -> None:
    curve = curve_of(3.0, 1.0, 2.0)
    for smoothing in (0.5, "fastai", 0.05):
        sight = ViewOptions(smoothing).of(curve)
        latest.draw(sight)
        np.testing.assert_array_equal(latest.raw.y, curve.losses)
        np.testing.assert_array_equal(latest.trend.y, with_edges(sight))
        for line in latest.lines:
            np.testing.assert_array_equal(line.x, curve.lrs)


def test_training_losses_beside_those_of_validations(latest: LatestLines) -> None:
    losses = np.array([3.0, math.nan, 2.0])
    both = LRCurve(LRS[:3], np.array([2.0, 1.0, 1.5]), train_losses=losses)
    view = ViewOptions(0.5)
    latest.draw(view.of(both), view.training_of(both))
    assert latest.training.x.tolist() == LRS[[0, 2]].tolist()
    assert latest.training.y.tolist() == [3, 2]
    assert latest.training.marker != latest.raw.marker
    assert [latest.raw.labels, latest.training.labels] == [
        ["validation loss"],
        ["training loss"],
    ]
    latest.show_steps(10_000)
    assert latest.training.marker is None
    assert latest.training.line_style != latest.raw.line_style
    alone = curve_of(3.0, 1.0)
    assert view.training_of(alone) is None
    latest.draw(view.of(alone))
    assert (len(latest.training.x), latest.raw.labels) == (0, ["one batch"])


def test_what_is_not_finite_is_not_sent(latest: LatestLines) -> None:
    curve = curve_of(2.0, math.nan, 1.0, 1e300, math.inf, math.nan)
    latest.draw(ViewOptions(0.5).of(curve))
    assert len(latest.raw.x) == len(latest.raw.y) == latest.trend.y.shape[1] == 3
    assert np.isfinite(latest.raw.y).all()
    # nor is what is so far outside that the browser overflows
    assert latest.raw.y.max() < 100


def test_no_more_points_are_sent_than_a_screen_shows(latest: LatestLines) -> None:
    losses = np.random.default_rng(0).uniform(0, 1, 20_000)
    curve = LRCurve(np.geomspace(1e-7, 10, 20_000), losses)
    sight = ViewOptions().of(curve)
    latest.draw(sight)
    for line, whole, most in (
        (latest.raw, curve.losses, 1000),
        (latest.trend, sight.trend, 500),
    ):
        assert most / 2 < len(line.x) <= most
        heights = trend_of(line)
        assert set(zip(line.x, heights, strict=True)) <= set(
            zip(curve.lrs, whole, strict=True)
        )
        assert (line.x[0], line.x[-1]) == (curve.lrs[0], curve.lrs[-1])
        assert (heights.min(), heights.max()) == (whole.min(), whole.max())


def test_a_line_for_each_other_run(others: OtherLines) -> None:
    runs = [run_of([3.0, 2.0], "a", 0), run_of([3.0, 1.0], "b", 1)]
    others.show(runs, [])
    assert [line.labels for line in others.lines] == [["a"], ["b"]]
    sight = ViewOptions(0.5).of(runs[1].history.curve())
    others.draw(runs[1], sight)
    first, second = others.lines
    assert len(first.x) == 0
    np.testing.assert_array_equal(second.x, sight.lrs)
    np.testing.assert_array_equal(second.y, sight.trend)


def test_a_run_that_is_shown_on_keeps_its_line(others: OtherLines) -> None:
    runs = [run_of([1.0], name, number) for number, name in enumerate("abc")]
    others.show(runs, [])
    _, second, third = others.lines
    others.show(runs[1:], [])
    assert others.lines == [second, third]
    others.show([], [])
    assert others.lines == []
    assert second.comm is None


def test_they_are_fainter_than_the_latest(
    latest: LatestLines, others: OtherLines
) -> None:
    others.show([run_of([1.0])], [])
    (line,) = others.lines
    assert line.stroke_width < latest.trend.stroke_width
    assert line.line_style != latest.trend.line_style
    assert line.colors != latest.trend.colors


def test_the_common_trend_of_runs_that_repeat_each_other(others: OtherLines) -> None:
    run = run_of([1.0], "a", setting="s")
    others.show([], [run])
    others.draw_repeats(run, _SIGHT)
    (line,) = others.lines
    assert set(line.labels) == {"trend, s"}
    assert line.fill == "between"
    assert line.opacities == [0, 1, 0]  # the edges of the band have no line
    np.testing.assert_array_equal(line.x, _SIGHT.lrs)
    np.testing.assert_array_equal(line.y, with_edges(_SIGHT))
    others.show([], [])
    assert others.lines == []
    assert line.comm is None


def test_each_setting_has_its_own_trend(others: OtherLines) -> None:
    runs = [run_of([1.0], "a", 0, "s"), run_of([1.0], "b", 1, "t")]
    others.show([], runs)
    assert len(others.lines) == 2
    others.draw_repeats(runs[1], ViewOptions().of(curve_of(0.5, 0.4, 0.3)))
    assert [len(line.x) for line in others.lines] == [0, 3]


@pytest.fixture
def marks(axes: Axes, picked: list[float]) -> Iterator[SuggestionMarks]:
    marks = SuggestionMarks(axes, picked.append)
    yield marks
    for mark in (marks.dot, marks.band):
        close_with_parts(mark)


@pytest.mark.parametrize(
    "view",
    [
        ViewOptions(),
        ViewOptions("fastai"),
        ViewOptions(0.3, 5, 5),
        ViewOptions(0.3, logarithmic=True),
    ],
)
def test_the_suggestion_is_a_dot_on_the_trend(
    marks: SuggestionMarks, view: ViewOptions
) -> None:
    sight = view.of(_CURVE)
    marks.draw(Suggestion(float(LRS[20])), sight)
    assert marks.dot.x.tolist() == [LRS[20]]
    assert marks.dot.y[0] == pytest.approx(sight.trend[20 - view.skip_first])
    marks.draw(NO_SUGGESTION, sight)
    assert len(marks.dot.x) == 0


def test_between_two_points_it_is_on_the_line(marks: SuggestionMarks) -> None:
    between = float(np.sqrt(LRS[20] * LRS[21]))
    marks.draw(Suggestion(between), _SIGHT)
    assert marks.dot.y[0] == pytest.approx(_SIGHT.trend[20:22].mean())


def test_the_range_of_a_suggestion_is_a_band(marks: SuggestionMarks) -> None:
    marks.draw(Suggestion(1e-5, 2e-6, 3e-5), _SIGHT)
    assert marks.band.x.tolist() == [2e-6, 3e-5]
    assert marks.band.y.tolist() == [1, 1]
    marks.draw(Suggestion(1e-5), _SIGHT)
    assert len(marks.band.x) == 0


def test_without_a_curve_there_is_nothing(marks: SuggestionMarks) -> None:
    marks.draw(Suggestion(1e-5, 2e-6, 3e-5), _SIGHT)
    marks.draw(NO_SUGGESTION, ViewOptions(0.5).of(curve_of()))
    for mark in (marks.dot, marks.band):
        assert len(mark.x) == len(mark.y) == 0


def test_a_click_picks_it_in_two_digits(
    marks: SuggestionMarks, picked: list[float]
) -> None:
    marks.draw(Suggestion(1.23456789e-7), _SIGHT)
    click_suggestion(marks)
    assert picked == [1.2e-7]


def test_a_click_that_comes_after_it_has_gone_picks_nothing(
    marks: SuggestionMarks, picked: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    click_suggestion(marks)
    assert picked == []
    assert caplog.records == []  # as ipywidgets tells what a callback raises


def test_a_trend_of_one_point_has_three_heights_too(latest: LatestLines) -> None:
    latest.draw(ViewOptions().of(curve_of(0.5)))
    np.testing.assert_array_equal(latest.trend.x, [LRS[0]] * 2)
    assert latest.trend.y.shape == (3, 2)
