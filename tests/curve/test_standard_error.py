from __future__ import annotations

import math

import numpy as np
import pytest

from lrwidget.curve.standard_error import mean_with_error, weighted_mean


def test_a_weighted_mean_of_equal_weights() -> None:
    values = np.random.default_rng(0).standard_normal(50)
    error = float(values.std(ddof=1)) / math.sqrt(50)
    assert weighted_mean(values, np.full(50, 7.0)) == pytest.approx(
        (values.mean(), error)
    )


@pytest.mark.parametrize("factor", [-0.5, 0.0, 0.5, 0.9])
def test_the_standard_error_of_correlated_noise(factor: float) -> None:
    # Of an autoregressive process of order 1: sigma / (1 - factor) / sqrt(n).
    count = 40_000
    shocks = np.random.default_rng(2).standard_normal(count)
    values = np.empty(count)
    last = 0.0
    for i, shock in enumerate(shocks.tolist()):
        values[i] = last = factor * last + shock
    mean, error = mean_with_error(values + 3.0)
    assert error == pytest.approx(1 / (1 - factor) / math.sqrt(count), rel=0.1)
    assert abs(mean - 3) < 4 * error


def test_the_standard_error_of_few_steps() -> None:
    # Two standard errors hold the mean nearly as often as for independent steps.
    generator = np.random.default_rng(3)
    held = 0
    for _ in range(400):
        shocks = generator.standard_normal(60)
        values = np.array(
            [shocks[i : i + 30] @ 0.5 ** np.arange(30)[::-1] for i in range(25)]
        )
        mean, error = mean_with_error(values)
        held += abs(mean) < 2 * error
    assert 0.85 < held / 400 < 0.97
    assert mean_with_error(np.ones(9)) == (1.0, 0.0)
    assert mean_with_error(np.array([1.0, 2.0])) == (1.5, math.inf)
