from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lrwidget.curve.ticks import exact, plain, rate_ticks, rounded, short, tick_label


def _labels(low: float, high: float) -> list[str]:
    return [tick_label(tick) for tick in rate_ticks(low, high)]


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        (1e-7, 10, "1e-7 1e-6 1e-5 1e-4 1e-3 1e-2 1e-1 1 10"),
        (9e-6, 0.11, "1e-5 1e-4 1e-3 1e-2 1e-1"),
        (0.5, 2e6, "1 10 100 1000 10000 100000 1e6"),
        (1e-3, 5e-2, "1e-3 2e-3 5e-3 1e-2 2e-2 5e-2"),
        (1e-3, 2e-3, "1e-3 1.2e-3 1.4e-3 1.6e-3 1.8e-3 2e-3"),
        (0.9, 1.1, "9e-1 9.5e-1 1 1.05 1.1"),
        (1e-30, 1e3, "1e-30 1e-26 1e-22 1e-18 1e-14 1e-10 1e-6 1e-2 100"),
    ],
)
def test_ticks(low: float, high: float, labels: str) -> None:
    assert _labels(low, high) == labels.split()


@given(st.floats(-30, 5), st.floats(1e-4, 30))
@example(-1.21484375, 1e-4)
def test_ticks_are_a_few_and_told_apart(power: float, decades: float) -> None:
    low, high = 10**power, 10 ** (power + decades)
    ticks = rate_ticks(low, high)
    assert (np.diff(ticks) > 0).all()
    assert low * (1 - 1e-12) <= ticks[0] <= ticks[-1] <= high * (1 + 1e-12)
    labels = _labels(low, high)
    assert 3 <= len(labels) <= 10
    assert len(set(labels)) == len(labels)
    np.testing.assert_allclose([float(label) for label in labels], ticks, rtol=1e-6)


def test_rates_are_short() -> None:
    rates = [1e-7, 1.2345e-10, 0.0126, 0.014, 0.0999, 0.5, 1.2, 10, 123.4, 999, 2.5e30]
    expected = "1.0e-7 1.2e-10 1.3e-2 1.4e-2 0.1 0.5 1.2 10 120 1.0e3 2.5e30"
    assert [short(rate) for rate in rates] == expected.split()
    assert [rounded(rate) for rate in rates] == [float(x) for x in expected.split()]


def test_rates_with_more_digits() -> None:
    rates = [0.02, 0.1 + 0.2, 0.01234, 0.1234, 12.5]
    expected = "2.0e-2 0.3 1.234e-2 1.234e-1 12.5"
    assert [exact(rate) for rate in rates] == expected.split()


def test_plain_numbers() -> None:
    numbers = [0.0125, 1e-7, 0.012345678, 3, 2.5e30, -0.02]
    expected = ["0.0125", "1e-7", "0.0123457", "3", "2.5e30", "-0.02"]
    assert [plain(number) for number in numbers] == expected
