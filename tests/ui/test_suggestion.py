from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from lrwidget.curve.suggestion import NO_SUGGESTION, Suggestion
from lrwidget.ui.closing import close_with_parts
from lrwidget.ui.suggestion import SuggestionMarks
from lrwidget.ui.view import ViewOptions
from tests.curves import LRS, curve_of
from tests.ui.front_end import click_suggestion

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lrwidget.ui.axes import Axes

_CURVE = curve_of(*np.linspace(3, 1, 50))
_SIGHT = ViewOptions(0.5).of(_CURVE)


@pytest.fixture
def marks(axes: Axes, picked: list[float]) -> Iterator[SuggestionMarks]:
    marks = SuggestionMarks(axes, picked.append)
    yield marks
    for mark in (marks.dot, marks.band):
        close_with_parts(mark)


@pytest.mark.parametrize(
    "view",
    [
        ViewOptions(0.0),
        ViewOptions(0.9),
        ViewOptions(0.9, 5, 5),
        ViewOptions(0.9, logarithmic=True),
    ],
)
def test_the_suggestion_is_a_dot_on_the_smoothed_line(
    marks: SuggestionMarks, view: ViewOptions
) -> None:
    sight = view.of(_CURVE)
    marks.draw(Suggestion(float(LRS[20])), sight)
    assert marks.dot.x.tolist() == [LRS[20]]
    assert marks.dot.y[0] == pytest.approx(sight.smoothed[20 - view.skip_first])
    marks.draw(NO_SUGGESTION, sight)
    assert len(marks.dot.x) == 0


def test_between_two_points_it_is_on_the_line(marks: SuggestionMarks) -> None:
    between = float(np.sqrt(LRS[20] * LRS[21]))
    marks.draw(Suggestion(between), _SIGHT)
    assert marks.dot.y[0] == pytest.approx(_SIGHT.smoothed[20:22].mean())


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


def test_a_click_picks_it_exactly(marks: SuggestionMarks, picked: list[float]) -> None:
    marks.draw(Suggestion(1.23456789e-7), _SIGHT)
    click_suggestion(marks)
    assert picked == [1.23456789e-7]


def test_a_click_that_comes_after_it_has_gone_picks_nothing(
    marks: SuggestionMarks, picked: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    click_suggestion(marks)
    assert picked == []
    assert caplog.records == []  # as ipywidgets tells what a callback raises
