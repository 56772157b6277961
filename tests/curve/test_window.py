"""The rates to show: those that matter, a zoom by hand, and room for a chosen rate."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrwidget.curve.lr_curve import LRCurve
from lrwidget.curve.window import Zoom, around, rates_that_matter, within
from tests.curves import LRS, sweep

_WHOLE = 1e-7, 10.0
_FLAT = LRCurve(LRS, np.ones(len(LRS)), "completed")
_FALLING = LRCurve(LRS, 2 / (1 + np.sqrt(LRS / 3e-3)), "completed")
_RISING = LRCurve(LRS, np.where(LRS >= 0.1, 9.0, 1.0), "completed")
_decades = st.floats(-12, 4).map(lambda exponent: 10.0**exponent)


def test_the_rates_that_matter_are_around_the_slope() -> None:
    curve = sweep()
    assert curve.learning_from is not None
    assert curve.unstable_from is not None
    low, high = rates_that_matter([curve], [], _WHOLE)
    assert low == pytest.approx(curve.learning_from / 10)
    assert high == pytest.approx(curve.unstable_from * math.sqrt(10))


def test_a_slope_with_an_open_end_is_shown_a_little_beyond_it() -> None:
    assert rates_that_matter([_FALLING], [], _WHOLE)[1] == 10
    stopped = LRCurve(LRS[:70], _FALLING.losses[:70], "stopped")
    high = rates_that_matter([stopped], [], _WHOLE)[1]
    assert high == pytest.approx(LRS[69] * math.sqrt(10))
    low, high = rates_that_matter([_RISING], [], _WHOLE)
    assert low == 1e-7
    assert _RISING.unstable_from is not None
    assert high == pytest.approx(_RISING.unstable_from * math.sqrt(10))


@pytest.mark.parametrize(
    "curves", [[], [_FLAT], [sweep(), _FLAT], [LRCurve(LRS[:0], LRS[:0])]]
)
def test_without_a_slope_the_whole_sweep_is_shown(curves: list[LRCurve]) -> None:
    assert rates_that_matter(curves, [1e-3], _WHOLE) == _WHOLE


def test_other_curves_and_held_rates_are_inside() -> None:
    alone = rates_that_matter([sweep()], [], _WHOLE)
    later = LRCurve(LRS, sweep(1.0).losses, "completed")
    assert rates_that_matter([_FLAT, sweep()], [], _WHOLE) == alone
    both = rates_that_matter([later, sweep()], [], _WHOLE)
    assert both == rates_that_matter([sweep(), later], [], _WHOLE)
    assert both[1] > alone[1]
    held = rates_that_matter([sweep()], [1e-6, 5.0, 50.0], _WHOLE)
    assert held == (1e-6, 10)


@given(_decades, _decades, st.floats(0.001, 10), st.floats(0.001, 10))
def test_two_decades_are_shown_if_there_are_so_many(
    start: float, held: float, left: float, right: float
) -> None:
    steep = LRCurve(start * LRS / LRS[50], sweep(LRS[60]).losses, "completed")
    whole = start / 10**left, start * 10**right
    low, high = rates_that_matter([steep], [held], whole)
    assert whole[0] <= low < high <= whole[1]
    least = min(2.0, left + right)
    assert math.log10(high / low) >= least - 1e-6
    assert low <= held <= high or not whole[0] <= held <= whole[1]


@given(_decades, _decades, _decades)
def test_a_chosen_rate_is_seen(one: float, other: float, rate: float) -> None:
    low, high = min(one, other), max(one, other) * 1.1
    bounds = min(1e-13, rate), max(1e5, rate)
    first, last = around((low, high), rate, bounds)
    assert first <= rate <= last
    assert (first, last) == (low, high) or not low <= rate <= high
    assert around((low, high), None, bounds) == (low, high)


def test_a_zoom_is_extended_only_to_rates_that_are_chosen_later() -> None:
    zoom = Zoom(1e-3, 1e-2, 0.5)
    assert zoom.window(_WHOLE, 0.5) == (1e-3, 1e-2)
    assert zoom.window(_WHOLE, 5e-3) == (1e-3, 1e-2)
    assert zoom.window(_WHOLE, 1.0) == pytest.approx((1e-3, 10**0.1))
    assert zoom.window(_WHOLE, None) == (1e-3, 1e-2)
    assert zoom.window((1.0, 2.0), 0.5) == (1.0, 2.0)  # nothing of it is left
    assert Zoom(0.0, math.inf, None).window(_WHOLE, 1e-3) == _WHOLE


def test_a_part_within_a_range() -> None:
    assert within((1e-9, 1e-3), _WHOLE) == (1e-7, 1e-3)
    assert within((20.0, 30.0), _WHOLE) == _WHOLE
