from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrwidget.curve.fit import NARROWEST, WIDEST, local_fit

if TYPE_CHECKING:
    from lrwidget.curve.arrays import FloatArray

_LRS = np.geomspace(1e-7, 10, 100)


def _descent(lrs: FloatArray) -> FloatArray:
    """Return a loss of 2.3 that falls to 0.5 around a rate of 0.01."""
    falling: FloatArray = 2.3 - 1.8 / (1 + np.exp(-6 * (np.log10(lrs) + 2)))
    return falling


def _noisy(lrs: FloatArray, noise: float, seed: int = 0) -> FloatArray:
    noisy: FloatArray = _descent(lrs) + np.random.default_rng(seed).normal(
        0, noise, len(lrs)
    )
    return noisy


def _directly(
    lrs: FloatArray, losses: FloatArray, width: float, at: float
) -> tuple[float, FloatArray]:
    """Return numpy's line around a rate, at the rate, and the weight of each loss."""
    places = np.log10(lrs) - np.log10(at)
    kernel = np.exp(-0.5 * (places / width) ** 2)
    slope_and_value = np.polyfit(places, losses, 1, w=np.sqrt(kernel))
    design = np.vander(places, 2)
    weights = np.linalg.solve(design.T * kernel @ design, design.T * kernel)[1]
    return float(slope_and_value[1]), weights


@pytest.mark.parametrize("width", [0.2, 0.35, 1.0])
def test_it_is_the_line_of_least_squares_around_each_rate(width: float) -> None:
    losses = _noisy(_LRS, 0.1)
    losses = np.minimum(losses, losses[0])  # no loss is cut
    fit = local_fit(_LRS, losses, width)
    np.testing.assert_allclose(fit.lrs, _LRS, rtol=1e-12)  # each in a bin of its own
    expected = [_directly(_LRS, losses, width, lr)[0] for lr in _LRS]
    np.testing.assert_allclose(fit.losses, expected, rtol=1e-9)


def test_bins_change_little() -> None:
    lrs = np.geomspace(1e-7, 10, 3000)
    losses = np.minimum(_noisy(lrs, 0.1), 2.3)
    fit = local_fit(lrs, losses, 0.12)
    assert len(fit.lrs) < 200
    expected = [_directly(lrs, losses, 0.12, lr)[0] for lr in fit.lrs]
    np.testing.assert_allclose(fit.losses, expected, atol=0.01 * 1.8)


@pytest.mark.parametrize("width", [None, 0.12, 0.5, 2.0, 1e6, np.inf])
@pytest.mark.parametrize("spaced", [np.geomspace, np.linspace])
@pytest.mark.parametrize("first", [1e-4, 0.9999])
def test_a_line_is_fitted_as_it_is(
    width: float | None, spaced: Any, first: float
) -> None:
    lrs = spaced(first, 1.0, 300)
    slope = 2.8 / np.log10(first)
    line = 5 + slope * np.log10(lrs)
    fit = local_fit(lrs, line, width)
    np.testing.assert_allclose(fit.losses, 5 + slope * np.log10(fit.lrs), rtol=1e-9)
    inside = fit.lrs > first**0.75
    assert np.all(fit.errors[inside] < 0.01)


def test_it_has_no_lag() -> None:
    lrs = np.geomspace(1e-7, 10, 1000)
    fit = local_fit(lrs, _descent(lrs))
    assert fit.width == NARROWEST
    half = float(np.interp(1.4, fit.losses[::-1], np.log10(fit.lrs[::-1])))
    assert half == pytest.approx(-2, abs=0.01)
    np.testing.assert_allclose(fit.losses, _descent(fit.lrs), atol=0.03 * 1.8)


@given(
    scale=st.floats(1e-6, 1e6),
    shift=st.floats(-1e3, 1e3),
    noise=st.sampled_from([0.01, 0.1, 1.0]),
)
def test_scaled_and_shifted_losses(scale: float, shift: float, noise: float) -> None:
    losses = _noisy(_LRS, noise)
    fit, other = (local_fit(_LRS, x) for x in (losses, scale * (losses + shift)))
    assert other.width == pytest.approx(fit.width, rel=1e-6)
    tolerance = 1e-9 * scale * (abs(shift) + 10)
    np.testing.assert_allclose(
        other.losses, scale * (fit.losses + shift), rtol=1e-6, atol=tolerance
    )
    np.testing.assert_allclose(
        other.errors, scale * fit.errors, rtol=1e-5, atol=tolerance
    )


@pytest.mark.parametrize("noise", [0.03, 0.3])
def test_two_standard_errors_hold_the_truth_in_19_of_20_places(noise: float) -> None:
    lrs = np.geomspace(1e-7, 1, 200)
    held = []
    for seed in range(200):
        fit = local_fit(lrs, _noisy(lrs, noise, seed), 0.2)
        # On the flat part, where the fit has no bias and no loss is cut.
        flat = (fit.lrs > 1e-6) & (fit.lrs < 1e-4)
        apart = np.abs(fit.losses - _descent(fit.lrs))[flat]
        held.append(np.mean(apart < 2 * fit.errors[flat]))
    assert 0.91 < np.mean(held) < 0.97


def test_the_error_is_that_of_the_noise_around() -> None:
    lrs = np.geomspace(1e-6, 1, 600)
    rng = np.random.default_rng(0)
    level = np.where(lrs < 1e-3, 0.1, 0.02)
    fit = local_fit(lrs, 1 + level * rng.normal(size=600), 0.2)
    for lr, noise in ((1e-5, 0.1), (3e-2, 0.02)):
        _, weights = _directly(lrs, lrs, 0.2, lr)
        expected = noise * np.sqrt(np.sum(weights**2))
        assert fit.at(np.array([lr]))[1][0] == pytest.approx(expected, rel=0.25)


def test_runs_of_the_same_settings_are_fitted_together() -> None:
    runs = [_noisy(_LRS, 0.3, seed) for seed in range(4)]
    ones = [local_fit(_LRS, run, 0.3).errors for run in runs]
    four = local_fit(np.tile(_LRS, 4), np.concatenate(runs), 0.3)
    inside = slice(20, 60)
    assert np.mean(four.errors[inside] / np.mean(ones, 0)[inside]) == pytest.approx(
        0.5, rel=0.15
    )
    mean = local_fit(_LRS, np.mean(runs, 0), 0.3)
    np.testing.assert_allclose(four.losses, mean.losses, atol=0.1)


@pytest.mark.parametrize("height", [10.0, 1e6, np.inf])
def test_an_explosion_does_not_raise_the_valley(height: float) -> None:
    lrs = np.geomspace(1e-7, 10, 400)
    losses = _noisy(lrs, 0.02)
    exploded = np.where(lrs < 1, losses, height)
    fit = local_fit(lrs, exploded)
    calm = local_fit(lrs, losses, fit.width)
    valley = fit.lrs < 10 ** (-2 * fit.width)
    apart = np.abs(fit.losses - calm.losses)[valley]
    assert apart.max() < 0.05 * 1.8
    assert 2.3 < fit.losses[-1] < 2.3 + 0.3 * 1.8


def test_what_is_not_a_number_is_left_out() -> None:
    losses = _noisy(_LRS, 0.1)
    broken = losses.copy()
    broken[[10, 50, 99]] = np.nan
    broken[20] = -np.inf
    kept = np.isfinite(broken)
    fit, expected = local_fit(_LRS, broken), local_fit(_LRS[kept], losses[kept])
    for found, value in zip(fit, expected, strict=True):
        np.testing.assert_array_equal(found, value)


@pytest.mark.parametrize("count", range(12))
def test_of_a_few_points_it_is_finite(count: int) -> None:
    fit = local_fit(_LRS[:count], _noisy(_LRS[:count], 0.1))
    assert len(fit.lrs) == count
    assert np.isfinite(fit.losses).all()
    assert np.isfinite(fit.errors).all()


@pytest.mark.parametrize(
    "losses",
    [[2, 1, 1e300], [1e308, -1e308, 1e308], [1e300] * 9, [*[0.0] * 9, 1e-320, 1e308]],
)
@pytest.mark.parametrize("width", [None, 1e-300, 1e300])
@np.errstate(all="raise")
def test_of_huge_losses_it_is_finite(losses: list[float], width: float | None) -> None:
    fit = local_fit(_LRS[: len(losses)], np.array(losses), width)
    assert np.isfinite(fit.losses).all()
    assert np.isfinite(fit.errors).all()


def test_of_no_finite_loss_there_is_none() -> None:
    fit = local_fit(_LRS, np.full(100, np.inf))
    assert len(fit.lrs) == len(fit.losses) == len(fit.errors) == 0
    assert np.isnan(fit.at(_LRS)).all()
    assert not fit.has_risen


def test_the_width_is_chosen_by_the_noise() -> None:
    lrs = np.geomspace(1e-7, 10, 1000)
    widths = [local_fit(lrs, _noisy(lrs, noise)).width for noise in (0, 0.3, 1.5, 9)]
    assert widths == sorted(widths)
    assert widths[0] == NARROWEST
    assert widths[-1] == WIDEST
    # Two standard errors are 15 % of the depth: twice the noise, four times the width.
    for noise in (1.0, 1.2):
        found = np.mean(
            [local_fit(lrs, _noisy(lrs, noise, seed)).width for seed in range(20)]
        )
        by_theory = (2 * noise / (0.15 * 1.8)) ** 2 / (2 * np.sqrt(np.pi) * 125)
        assert found == pytest.approx(by_theory, rel=0.3)


def test_it_is_no_narrower_than_the_steps() -> None:
    lrs = np.geomspace(1e-7, 10, 20)
    assert local_fit(lrs, _descent(lrs)).width == pytest.approx(1.1 * 8 / 19)


@pytest.mark.parametrize("level", [1.0, 0.1, -3e5])
def test_rounding_is_no_rise(level: float) -> None:
    single = np.nextafter(np.full(100, level, np.float32), np.float32(np.inf))
    last = np.where(_LRS < 1, np.float32(level), single).astype(float)
    for losses in (np.full(100, level), last):
        assert not local_fit(_LRS, losses).has_risen
    assert local_fit(_LRS, np.where(_LRS < 1, losses, losses + 1)).has_risen


@pytest.mark.parametrize("width", [0, -1.0, np.nan])
def test_a_width_is_above_0(width: float) -> None:
    with pytest.raises(ValueError, match=r"width=.* must be above 0"):
        local_fit(_LRS, _descent(_LRS), width)
