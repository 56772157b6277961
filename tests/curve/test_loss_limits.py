from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrwidget.curve.loss_limits import common_limits, loss_limits, whole_limits
from lrwidget.curve.smoothing import exponential_mean


def test_an_explosion_flattens_nothing() -> None:
    valley = np.linspace(2.0, 1.0, 80)
    losses = np.r_[valley, np.geomspace(1, 1e30, 20)]
    limits = loss_limits(losses, losses)
    assert limits is not None
    low, high = limits
    assert 0.8 < low < 1.0
    assert 2.25 < high < 2.4  # a quarter of the descent above it


@given(
    st.lists(st.floats(-1e30, 1e30), min_size=1, max_size=50),
    st.floats(0, 0.99),
)
def test_the_smoothed_descent_is_inside(values: list[float], beta: float) -> None:
    losses = np.array(values)
    smoothed = exponential_mean(losses, beta)
    limits = loss_limits(losses, smoothed)
    assert limits is not None
    descent = smoothed[: smoothed.argmin() + 1]
    assert limits[0] < limits[1]
    assert limits[0] <= descent.min() <= descent.max() <= limits[1]


def test_noise_is_not_magnified() -> None:
    rng = np.random.default_rng(0)
    losses = 10 + rng.normal(size=100)
    losses[1] = 6  # a minimum of the smoothed curve that says nothing
    limits = loss_limits(losses, exponential_mean(losses))
    assert limits is not None
    assert limits[0] < 8.5
    assert 11 < limits[1] < 14


def test_an_early_explosion_flattens_nothing() -> None:
    losses = np.array([2.0, 1.9, 1.7, 1.5, 1.6, 1.8, 1e5])
    limits = loss_limits(losses, exponential_mean(losses, 0.5))
    assert limits is not None
    assert limits[1] < 3


def test_only_finite_losses_count() -> None:
    losses = np.array([math.nan, 1.0, math.inf, 3.0, -math.inf])
    limits = loss_limits(losses, exponential_mean(losses, 0.5))
    assert limits is not None
    assert 0.5 < limits[0] < limits[1] < 3.5


@pytest.mark.parametrize("losses", [[], [math.nan], [math.inf, -math.inf]])
def test_nothing_to_show(losses: list[float]) -> None:
    values = np.array(losses)
    assert loss_limits(values, exponential_mean(values)) is None


def test_common_limits_hold_all_that_falls() -> None:
    falling = np.linspace(3, 1, 50)
    over_a_hump = np.concatenate([np.linspace(3, 5, 5), np.linspace(5, 0.5, 45)])
    exploding = np.geomspace(3, 3e15, 50)
    limits = common_limits([falling, over_a_hump, exploding])
    assert limits is not None
    assert limits[0] < 0.5
    assert 5 < limits[1] < 6


def test_common_limits_leave_out_an_explosion_that_ends() -> None:
    falling = np.linspace(3, 1, 50)
    exploding = np.concatenate([np.geomspace(3, 90, 5), np.linspace(90, 2, 45)])
    limits = common_limits([falling, exploding])
    assert limits is not None
    low, high = limits
    assert high - 3 == pytest.approx(3 - low)


def test_common_limits_where_nothing_falls() -> None:
    flat, exploding = np.full(50, 3.0), np.geomspace(3, 3e15, 50)
    limits = common_limits([exploding, flat])
    assert limits is not None
    assert limits[0] < 3 < limits[1] < 4


def test_common_limits_without_a_finite_loss() -> None:
    assert common_limits([]) is None
    assert common_limits([np.array([]), np.array([np.nan, np.inf])]) is None


def test_whole_limits_hold_explosions() -> None:
    limits = whole_limits(np.array([2.0, math.nan, 1.0, 1e30, math.inf]))
    assert limits is not None
    assert limits[0] < 1
    assert 1e30 < limits[1] < 1.1e30


def test_whole_limits_have_a_height() -> None:
    limits = whole_limits(np.array([3.0]))
    assert limits is not None
    assert 2.9 < limits[0] < 3 < limits[1] < 3.1


@pytest.mark.parametrize("losses", [[], [math.nan, math.inf]])
def test_whole_limits_without_a_finite_loss(losses: list[float]) -> None:
    assert whole_limits(np.array(losses)) is None
