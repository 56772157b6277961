from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest

from lrwidget.curve.loss_limits import loss_limits, whole_limits
from lrwidget.ui.view_options import ViewBar, ViewOptions
from lrwidget.ui.widgets import close_with_parts
from tests.curves import LRS, curve_of

if TYPE_CHECKING:
    from collections.abc import Iterator

_VALLEY = curve_of(*np.r_[np.linspace(2, 1, 40), np.geomspace(1, 1e9, 10)])
_ENDLESS = curve_of(2.0, math.nan, 1.0, math.inf, 0.5)


@pytest.fixture
def changes() -> list[ViewOptions]:
    return []


@pytest.fixture
def bar(changes: list[ViewOptions]) -> Iterator[ViewBar]:
    made: ViewBar = ViewBar(0.98, 100, lambda: changes.append(made.view))
    yield made
    close_with_parts(made)


@pytest.mark.parametrize("beta", [0.0, 0.5, 0.98])
def test_raw_and_smoothed_losses_are_seen(beta: float) -> None:
    sight = ViewOptions(beta).of(_VALLEY)
    np.testing.assert_array_equal(sight.lrs, _VALLEY.lrs)
    np.testing.assert_array_equal(sight.raw, _VALLEY.losses)
    np.testing.assert_array_equal(sight.smoothed, _VALLEY.smoothed(beta))


@pytest.mark.parametrize(("first", "last"), [(0, 5), (7, 0), (7, 5), (49, 0)])
def test_the_first_and_last_points_are_left_out(first: int, last: int) -> None:
    whole, sight = (
        ViewOptions(0.9).of(_VALLEY),
        ViewOptions(0.9, first, last).of(_VALLEY),
    )
    seen = slice(first, 50 - last)
    np.testing.assert_array_equal(sight.lrs, whole.lrs[seen])
    np.testing.assert_array_equal(sight.raw, whole.raw[seen])
    # what is left out was smoothed with, so that the line does not move
    np.testing.assert_array_equal(sight.smoothed, whole.smoothed[seen])


@pytest.mark.parametrize(
    ("first", "last"), [(50, 0), (0, 50), (0, 60), (30, 30), (99, 99)]
)
def test_nothing_is_left(first: int, last: int) -> None:
    sight = ViewOptions(0.9, first, last).of(_VALLEY)
    assert (len(sight.lrs), sight.limits) == (0, None)


def test_logarithms_of_the_losses() -> None:
    sight = ViewOptions(0.9, logarithmic=True).of(_VALLEY)
    np.testing.assert_allclose(10**sight.raw, _VALLEY.losses)
    # the logarithm of the mean, and not the mean of the logarithms
    np.testing.assert_allclose(10**sight.smoothed, _VALLEY.smoothed(0.9))


def test_what_has_no_logarithm_is_not_seen() -> None:
    curve = curve_of(2.0, 0.0, -1.0, 1.0)
    assert len(ViewOptions(0.0).of(curve).lrs) == 4
    sight = ViewOptions(0.0, logarithmic=True).of(curve)
    assert sight.lrs.tolist() == [LRS[0], LRS[3]]
    assert ViewOptions(0.0, logarithmic=True).of(curve_of(-1.0, -2.0)).limits is None


def test_what_is_not_finite_is_not_seen() -> None:
    sight = ViewOptions(0.5).of(_ENDLESS)
    assert sight.lrs.tolist() == LRS[[0, 2, 4]].tolist()
    assert np.isfinite([*sight.raw, *sight.smoothed]).all()


@pytest.mark.parametrize("logarithmic", [False, True])
def test_the_limits_are_those_of_the_interesting_part(*, logarithmic: bool) -> None:
    sight = ViewOptions(0.5, logarithmic=logarithmic).of(_VALLEY)
    assert sight.limits == loss_limits(sight.raw, sight.smoothed)
    assert sight.limits is not None
    assert sight.limits[1] < (math.log10(3) if logarithmic else 3)


def test_all_can_be_shown() -> None:
    sight = ViewOptions(0.5, everything=True).of(_VALLEY)
    assert sight.limits == whole_limits(_VALLEY.losses)
    assert sight.limits is not None
    assert sight.limits[1] > 1e9


def test_the_smoothed_line_is_shown_where_its_beginning_is_left_out() -> None:
    sight = ViewOptions(0.9, skip_first=1, everything=True).of(
        curve_of(100.0, *[1.0] * 9)
    )
    assert sight.limits is not None
    assert sight.limits[0] < 1
    assert sight.limits[1] > sight.smoothed.max() > 40


def test_the_bar_says_how_to_look(bar: ViewBar, changes: list[ViewOptions]) -> None:
    assert bar.view == ViewOptions(0.98)
    bar.smoothing.set_state({"value": 0.5})
    bar.points.set_state({"value": [3, 90]})
    bar.logarithmic.set_state({"value": True})
    bar.everything.set_state({"value": True})
    assert changes == [
        ViewOptions(0.5),
        ViewOptions(0.5, 2, 10),
        ViewOptions(0.5, 2, 10, logarithmic=True),
        ViewOptions(0.5, 2, 10, logarithmic=True, everything=True),
    ]


@pytest.mark.parametrize("total", [3, 50, 100, 200])
def test_as_many_points_stay_left_out(bar: ViewBar, total: int) -> None:
    bar.points.value = 6, 95
    bar.show_total(total)
    last = max(total - 5, min(6, total))
    assert (bar.points.max, bar.points.value) == (total, (min(6, total), last))
    bar.show_total(100)
    assert bar.points.value == (6, 95)


def test_all_points_stay_seen(bar: ViewBar) -> None:
    for total in (50, 200, 3, 100):
        bar.show_total(total)
        assert bar.points.value == (1, total)


@pytest.mark.parametrize("total", [0, 1, 2, 6, 10])
def test_of_a_short_curve_something_is_seen(bar: ViewBar, total: int) -> None:
    bar.points.value = 6, 95
    bar.show_total(total)
    first, last = bar.points.value
    assert 1 <= first <= last <= bar.points.max == max(total, 2)
