from __future__ import annotations

import math
import re
from statistics import NormalDist

import numpy as np
import pytest

from lrwidget.curve.default_rule import Tuning, descent

_LRS = np.geomspace(1e-7, 10, 100)
_X = np.log10(_LRS)
_EXPLOSION = np.where(_X > 0, 1e3 * _X, 0.0)


def _sigmoid(
    middle: float, lrs: np.ndarray[tuple[int], np.dtype[np.float64]]
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return a loss that falls from 1 to 0 around a place."""
    result: np.ndarray[tuple[int], np.dtype[np.float64]] = 1 / (
        1 + np.exp(6 * (np.log10(lrs) - middle))
    )
    return result


@pytest.mark.parametrize("middle", [-3.0, -2.0, -1.0])
def test_without_noise_most_of_the_descent_is_done(middle: float) -> None:
    found = descent(_LRS, _sigmoid(middle, _LRS) + _EXPLOSION)
    assert found.lr is not None
    assert found.low is not None
    assert found.high is not None
    # The logistic function passes a part of its way there, and the smoothing, which
    # is a third of a decade wide, makes it that much flatter.
    done = [middle + math.log(part / (1 - part)) / 6 for part in (0.85, 0.3, 0.9)]
    places = np.log10([found.lr, found.low, found.high])
    np.testing.assert_allclose(places, done, atol=0.3)
    assert found.reason == "where 85% of the raw losses' descent is done"


def test_the_noisier_the_descent_the_less_of_it() -> None:
    noise = np.random.default_rng(0).normal(size=100)
    losses = _sigmoid(-3, _LRS) + _EXPLOSION
    reasons = [
        descent(_LRS, losses + size * noise).reason for size in (0.0, 0.03, 0.1, 0.2)
    ]
    parts = [int(re.findall(r"(\d+)%", reason)[0]) for reason in reasons]
    assert parts == sorted(set(parts), reverse=True)


def test_a_descent_that_begins_at_once() -> None:
    found = descent(_LRS, _sigmoid(-5.5, _LRS) + _EXPLOSION)
    assert found.lr is not None
    assert math.log10(found.lr) == pytest.approx(-5.2, abs=0.3)


@pytest.mark.parametrize("seed", range(20))
def test_a_descent_that_noise_hides_leaves_the_edge(seed: int) -> None:
    noise = np.random.default_rng(seed).normal(size=100)
    found = descent(_LRS, noise + np.where(_X > -1, 100.0, 0.0))
    assert found.lr is not None
    # A twentieth of 0.1; nothing of the descent is known.
    assert math.log10(found.lr) == pytest.approx(-1 - math.log10(20), abs=0.7)
    assert "nois" in found.reason
    assert found.low is not None
    assert found.high is not None
    assert 5 < found.high / found.low < 20


def test_the_share_of_mere_noise_that_gets_a_rate_is_small() -> None:
    rng = np.random.default_rng(0)
    found = [descent(_LRS, rng.normal(size=100)) for _ in range(500)]
    assert sum(x.lr is None for x in found) > 0.9 * len(found)
    assert {x.reason for x in found if x.lr is None} == {
        "only noise, beyond which the loss neither falls nor rises"
    }


def test_flat_and_then_an_explosion_never_falls() -> None:
    found = descent(_LRS, 2 + _EXPLOSION)
    assert found[:3] == (None, None, None)
    assert found.reason == "the loss never falls"


def test_a_noisy_rise_from_the_start() -> None:
    noise = np.random.default_rng(0).normal(size=100)
    found = descent(_LRS, 10 * np.arange(100.0) + noise)
    assert found.lr is None
    assert "begin at a lower rate" in found.reason or "never falls" in found.reason


def test_what_comes_after_the_edge_changes_nothing() -> None:
    losses = _sigmoid(-3, _LRS) + _EXPLOSION
    expected = descent(_LRS, losses)
    for tail in (1e9, 1e300, math.inf, math.nan):
        changed = losses.copy()
        changed[-8:] = tail
        assert descent(_LRS, changed)[:3] == pytest.approx(expected[:3], rel=1e-3)
    # The test stops a few steps after the edge.
    assert descent(_LRS[:92], losses[:92])[:3] == pytest.approx(expected[:3], rel=0.01)


def test_more_points_and_other_spacing_find_the_same() -> None:
    expected = descent(_LRS, _sigmoid(-2, _LRS) + _EXPLOSION).lr
    assert expected is not None
    for lrs in (np.geomspace(1e-7, 10, 5000), np.linspace(1e-4, 10, 100_000)):
        explosion = np.where(lrs > 1, 1e3 * np.log10(lrs), 0.0)
        found = descent(lrs, _sigmoid(-2, lrs) + explosion).lr
        assert found is not None
        assert math.log10(found) == pytest.approx(math.log10(expected), abs=0.3)


def test_spikes_move_it_little() -> None:
    losses = _sigmoid(-3, _LRS) + _EXPLOSION
    losses += 0.02 * np.random.default_rng(0).normal(size=100)
    expected = descent(_LRS, losses).lr
    losses[[12, 30, 45]] = [50.0, 1e6, 1e12]
    found = descent(_LRS, losses).lr
    assert expected is not None
    assert found is not None
    assert math.log10(found) == pytest.approx(math.log10(expected), abs=0.3)


@pytest.mark.parametrize("part", [0.2, 0.5, 0.8])
@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_the_part_of_the_descent_to_go_down(part: float, noise: float) -> None:
    losses = _sigmoid(-2, _LRS) + _EXPLOSION
    losses += noise * np.random.default_rng(0).normal(size=100)
    tuning = Tuning(first=part, last=part, visible=1e-9)
    lr = descent(_LRS, losses, tuning).lr
    assert lr is not None
    # A logistic function with normal smoothing is about a normal distribution, whose
    # variance is the sum of both.
    width = math.hypot(0.35, math.pi / 6 / 3**0.5)
    place = NormalDist(-2, width).inv_cdf(part)
    assert math.log10(lr) == pytest.approx(place, abs=0.06)


@pytest.mark.parametrize("setback", [0.5, 1.0, 2.0])
def test_how_far_before_the_edge_to_go(setback: float) -> None:
    losses = _sigmoid(-2, _LRS) + _EXPLOSION
    tuning = Tuning(visible=1e12, setback=setback)
    lr, low, high, reason = descent(_LRS, losses, tuning)
    assert lr is not None
    # The first point of the explosion is the first above 1.
    edge = _LRS[np.flatnonzero(_EXPLOSION)[0]]
    assert lr == pytest.approx(edge / 10**setback, rel=1e-6)
    assert low == pytest.approx(lr / 10**0.5, rel=1e-6)
    assert high == pytest.approx(lr * 10**0.5, rel=1e-6)
    assert f"1/{10**setback:.0f} of 1.1, where the loss rises" in reason


@pytest.mark.parametrize("height", [0.9, 1.7, 1.8, 2.0])
def test_a_loss_that_falls_and_then_goes_back(height: float) -> None:
    # as where a network dies, without any explosion
    losses = 2.3 - 1.8 * (1 - _sigmoid(-4.5, _LRS)) + height * (1 - _sigmoid(-3, _LRS))
    lr = descent(_LRS, losses).lr
    assert lr is not None
    assert math.log10(lr) == pytest.approx(-4.4, abs=0.3)


@pytest.mark.parametrize("draw", ["normal", "exponential", "lognormal"])
@pytest.mark.parametrize("count", [100, 1000])
def test_skewed_noise_is_noise_too(draw: str, count: int) -> None:
    rng = np.random.default_rng(0)
    lrs = np.geomspace(1e-7, 10, count)
    curves = [getattr(rng, draw)(size=count) for _ in range(100)]
    assert sum(descent(lrs, losses).lr is None for losses in curves) > 80


def test_gaps_are_left_out() -> None:
    losses = _sigmoid(-2, _LRS) + _EXPLOSION
    expected = descent(_LRS, losses)
    losses[[5, 15, 40]] = math.nan
    assert descent(_LRS, losses)[:3] == pytest.approx(expected[:3], rel=0.05)
    flat = 2 + 0.1 * np.random.default_rng(0).normal(size=100)
    flat[41:] = math.nan
    assert descent(_LRS, flat).lr is None


@pytest.mark.parametrize("level", [1.7917595, 1e-3, 4e5])
@pytest.mark.parametrize("seed", range(5))
def test_rounding_is_no_descent(level: float, seed: int) -> None:
    # Losses in single precision that differ in their last three bits alone.
    generator = np.random.default_rng(seed)
    steps = generator.choice([-4, 0, 4], p=[0.08, 0.84, 0.08], size=100)
    losses = np.float32(level) + steps.astype(np.float32) * np.spacing(
        np.float32(level)
    )
    found = descent(_LRS, losses.astype(np.float64))
    assert (found.lr, found.reason) == (None, "the loss never falls")
