from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrwidget.curve.smoothing import exponential_mean

_losses = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50).map(np.array)
_betas = st.floats(0, 0.99)


def test_by_hand() -> None:
    # a = 0.5, 1.25; divided by 1 - 0.5 and 1 - 0.25
    np.testing.assert_allclose(exponential_mean(np.array([1.0, 2.0]), 0.5), [1, 5 / 3])


@given(_losses, _betas)
def test_is_the_weighted_mean_of_the_past(
    losses: np.ndarray[tuple[int], np.dtype[np.float64]], beta: float
) -> None:
    smoothed = exponential_mean(losses, beta)
    for last, value in enumerate(smoothed):
        weights = beta ** np.arange(last, -1.0, -1)
        mean = np.average(losses[: last + 1], weights=weights)
        assert value == pytest.approx(mean, rel=1e-6, abs=1e-4)


@given(_losses)
def test_without_smoothing_the_losses_stay(
    losses: np.ndarray[tuple[int], np.dtype[np.float64]],
) -> None:
    np.testing.assert_array_equal(exponential_mean(losses, 0.0), losses)


@given(st.floats(-1e6, 1e6), _betas)
def test_a_constant_stays(constant: float, beta: float) -> None:
    smoothed = exponential_mean(np.full(200, constant), beta)
    np.testing.assert_allclose(smoothed, constant, rtol=1e-9, atol=1e-300)


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_left_out(broken: float) -> None:
    smoothed = exponential_mean(np.array([1.0, broken, 2.0]), 0.5)
    np.testing.assert_allclose(smoothed, [1, math.nan, 5 / 3])


@pytest.mark.parametrize("count", [1, 63, 64, 65, 1000])
@pytest.mark.parametrize("beta", [0.0, 0.5, 0.98, 0.99])
def test_one_at_a_time_is_the_same(count: int, beta: float) -> None:
    losses = np.random.default_rng(0).normal(size=count)
    losses[count // 2] = math.inf
    mean, one_by_one, seen = 0.0, [], 0
    for loss in losses.tolist():
        if not math.isfinite(loss):
            one_by_one.append(math.nan)
            continue
        seen += 1
        mean = beta * mean + (1 - beta) * loss
        one_by_one.append(mean / (1 - beta**seen))
    np.testing.assert_allclose(exponential_mean(losses, beta), one_by_one, rtol=1e-10)


def test_nothing() -> None:
    assert exponential_mean(np.array([])).shape == (0,)


@pytest.mark.parametrize("beta", [-0.1, 1.0, 1.5, math.nan])
def test_beta_out_of_range(beta: float) -> None:
    with pytest.raises(ValueError, match=rf"beta={beta!r} must be at least 0 .* pass"):
        exponential_mean(np.array([1.0]), beta)
