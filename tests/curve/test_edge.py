from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest

from lrwidget import LRCurve

if TYPE_CHECKING:
    from lrwidget.curve.arrays import FloatArray

_LRS = np.geomspace(1e-7, 10, 100)
_X = np.log10(_LRS)


def _falling(middle: float) -> LRCurve:
    """Return a loss that falls from 2 to 1 around a place, and explodes above 1."""
    losses = 1 + 1 / (1 + np.exp(6 * (_X - middle)))
    return LRCurve(_LRS, losses + np.where(_X > 0, 1e3 * _X, 0.0))


@pytest.mark.parametrize("middle", [-4.0, -3.0, -2.0])
def test_it_learns_from_a_twentieth_of_the_fall(middle: float) -> None:
    # The sigmoid is a twentieth below its start where its exponent is log(1 / 19).
    expected = middle + math.log(1 / 19) / 6
    found = _falling(middle).learning_from
    assert found is not None
    # The fit is smeared by its width of 0.35 decades.
    assert expected - 0.5 < math.log10(found) < expected + 0.1


def test_it_moves_and_scales_with_the_curve() -> None:
    curve = _falling(-3)
    found = curve.learning_from
    scaled = LRCurve(10 * curve.lrs, 8 * curve.losses).learning_from
    assert found is not None
    assert scaled == pytest.approx(10 * found)


def test_learning_is_below_instability() -> None:
    curve = _falling(-3)
    assert curve.learning_from is not None
    assert curve.unstable_from is not None
    assert curve.learning_from < curve.unstable_from


@pytest.mark.parametrize(
    "losses",
    [
        np.full(100, 2.0),
        2 + _X - _X[0],
        np.full(100, np.nan),
        np.where(_X < -6.5, 2 - _X, np.nan),
    ],
    ids=["flat", "rising", "not finite", "few finite"],
)
def test_no_fall_is_no_learning(losses: FloatArray) -> None:
    assert LRCurve(_LRS, losses).learning_from is None


def test_noise_is_seldom_a_fall() -> None:
    found = 0
    for seed in range(100):
        noise = np.random.default_rng(seed).normal(0, 0.1, 100)
        found += LRCurve(_LRS, 2 + noise).learning_from is not None
    # The lowest of some ten fitted losses that are nearly independent is three standard
    # errors below their mean in few sweeps; the errors are estimates.
    assert found <= 20
