from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from lrwidget.curve.fit import local_fit
from lrwidget.curve.lr_curve import LRCurve
from lrwidget.curve.trend import common_trend, trend, usable_smoothing
from tests.curves import LRS, curve_of, fitted

_NOISY = curve_of(*(2 + np.random.default_rng(0).normal(0, 0.1, 60)))


@pytest.mark.parametrize(("smoothing", "width"), [("automatic", None), (0.2, 0.2)])
def test_a_trend_is_the_fit_at_each_step(smoothing: Any, width: float | None) -> None:
    losses, errors = fitted(_NOISY, width)
    found = trend(_NOISY, smoothing)
    for one, expected in zip(found, (_NOISY.lrs, losses, errors), strict=True):
        np.testing.assert_array_equal(one, expected)


def test_it_does_not_follow_an_explosion() -> None:
    losses = np.r_[np.linspace(2, 1, 30), np.full(10, 1e6)]
    found = trend(curve_of(*losses))
    assert found.losses.max() < 2.5


def test_it_is_where_a_loss_is_finite() -> None:
    losses = np.array([2.0, np.nan, 1.5, np.inf, 1.0, -np.inf])
    for smoothing in ("automatic", "fastai", 0.3):
        found = trend(curve_of(*losses), smoothing)
        np.testing.assert_array_equal(np.isfinite(found.losses), np.isfinite(losses))


@pytest.mark.parametrize("losses", [[], [np.nan], [np.inf, np.nan]])
def test_without_a_finite_loss_there_is_none(losses: list[float]) -> None:
    for smoothing in ("automatic", "fastai", 0.3):
        curve = curve_of(*losses)
        assert np.isnan(trend(curve, smoothing).losses).all()
        assert len(common_trend([curve] * 3, smoothing).lrs) == 0


def test_a_common_trend_is_where_three_have_a_loss() -> None:
    whole = _NOISY.losses
    broken = whole.copy()
    broken[10] = np.nan
    curves = [curve_of(*whole), curve_of(*broken), curve_of(*whole[:40])]
    lrs = np.concatenate([curve.lrs for curve in curves])
    losses = np.concatenate([curve.losses for curve in curves])
    kept = np.delete(np.arange(40), 10)
    found = common_trend(curves, 0.2)
    np.testing.assert_array_equal(found.lrs, LRS[kept])
    expected, errors = local_fit(lrs, losses, 0.2).at(LRS[kept])
    np.testing.assert_array_equal(found.losses, expected)
    np.testing.assert_array_equal(found.errors, errors)
    np.testing.assert_array_equal(common_trend(curves, "fastai").lrs, LRS[kept])


def test_the_common_mean_of_fastai_is_of_all_losses_in_the_order_of_the_rates() -> None:
    curves = [curve_of(*losses) for losses in ([1.0, 4.0], [2.0, 5.0], [3.0, 6.0])]
    weights = 0.98 ** np.arange(5.0, -1, -1)
    means = [
        np.average(np.arange(1, last + 1), weights=weights[-last:]) for last in (3, 6)
    ]
    np.testing.assert_allclose(common_trend(curves, "fastai").losses, means)


@pytest.mark.parametrize(
    "smoothing", ["automatic", "fastai", 0.05, 0.8, np.float64(0.2), Fraction(1, 2)]
)
def test_known_smoothing(smoothing: Any) -> None:
    usable = usable_smoothing(smoothing)
    assert usable == smoothing
    assert type(usable) in {str, float}
    trend(LRCurve(LRS, np.ones(100)), usable)


@pytest.mark.parametrize(
    ("smoothing", "error"),
    [
        *((bad, ValueError) for bad in (0.98, 0.9, 1.0, 1, 0, -1.0, float("nan"))),
        ("auto", ValueError),
        *((bad, TypeError) for bad in (None, True, [0.2])),
    ],
)
def test_another_smoothing_is_refused(smoothing: Any, error: Any) -> None:
    with pytest.raises(error, match=r"smoothing=.* must be .*pass for example"):
        usable_smoothing(smoothing)


def test_the_former_number_is_told_the_way_to_it() -> None:
    with pytest.raises(ValueError, match=r"'fastai' \(fastai's mean, with beta=0.98\)"):
        usable_smoothing(0.98)
