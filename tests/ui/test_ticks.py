from __future__ import annotations

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from lrwidget.ui.ticks import logarithm_ticks, loss_ticks


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        (0.0, 1.0, "0 0.2 0.4 0.6 0.8 1"),
        (-100.4, -86.9, "-100 -98 -96 -94 -92 -90 -88"),
        (6.9e30, 1.25e31, "7e30 8e30 9e30 1e31 1.1e31 1.2e31"),
        (8.9e-12, 1.21e-11, "9e-12 9.5e-12 1e-11 1.05e-11 1.1e-11 1.15e-11 1.2e-11"),
        (0.69299, 0.69327, "0.693 0.69305 0.6931 0.69315 0.6932 0.69325"),
        (-1.7e308, 1.7e308, ""),
    ],
)
def test_losses_are_written_at_round_numbers(
    low: float, high: float, labels: str
) -> None:
    ticks = loss_ticks(low, high)
    assert list(ticks.values()) == labels.split()
    for place, text in ticks.items():
        assert place == pytest.approx(float(text))


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        (-3.5, 1.5, "0.001 0.01 0.1 1 10"),
        (-0.9, 0.9, "0.2 0.5 1 2 5"),
        (math.log10(2), math.log10(3), "2 2.2 2.4 2.6 2.8 3"),
        (-310.0, -295.0, "1e-300 1e-299 1e-298 1e-297 1e-296 1e-295"),
        (304.5, 308.2, "1e305 1e306 1e307 1e308"),
        (300.0, 300.9, "1e300"),
    ],
)
def test_each_logarithm_has_its_number(low: float, high: float, labels: str) -> None:
    ticks = logarithm_ticks(low, high)
    assert list(ticks.values()) == labels.split()
    for place, text in ticks.items():
        assert place == pytest.approx(math.log10(float(text)))


@given(st.floats(-320, 299), st.floats(1e-3, 620))
def test_ticks_of_any_losses(low: float, height: float) -> None:
    assume(-290 < low + height <= 308)
    ticks = logarithm_ticks(low, low + height)
    assert 3 <= len(ticks) <= 10
    for place, text in ticks.items():
        assert max(low, -300) - 1e-9 <= place <= low + height + 1e-9
        assert float(text) == pytest.approx(10**place, rel=1e-5)
