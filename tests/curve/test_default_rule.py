from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from lrwidget import LRCurve
from lrwidget.curve.default_rule import Tuning, descent
from lrwidget.curve.ticks import short

if TYPE_CHECKING:
    from lrwidget.curve.arrays import FloatArray
    from lrwidget.curve.suggestion import Suggestion

_LRS = np.geomspace(1e-7, 10, 100)
_X = np.log10(_LRS)
_EXPLOSION = np.where(_X > 0, 1e3 * _X, 0.0)
_TIMELY = Tuning(lateness=0.0)  # without a correction for the lag


def _sigmoid(middle: float, lrs: FloatArray = _LRS) -> FloatArray:
    """Return a loss that falls from 1 to 0 around a place."""
    falling: FloatArray = 1 / (1 + np.exp(6 * (np.log10(lrs) - middle)))
    return falling


def _found(
    losses: FloatArray,
    lrs: FloatArray = _LRS,
    tuning: Tuning = _TIMELY,
    memory: float = 1.0,
) -> Suggestion:
    return descent(LRCurve(lrs, losses, optimizer_memory=memory), tuning)


def _place(found: Suggestion) -> float:
    assert found.lr is not None, found.reason
    return math.log10(found.lr)


@pytest.mark.parametrize("middle", [-3.0, -2.0, -1.0])
def test_without_noise_most_of_the_descent_is_done(middle: float) -> None:
    found = _found(_sigmoid(middle) + _EXPLOSION)
    # The logistic function passes 95 % of its way there; the fit makes it some
    # tenths of a decade flatter.
    assert _place(found) == pytest.approx(middle + math.log(19) / 6, abs=0.3)
    assert found.reason == "at the lower end of the slope"


def test_the_noisier_the_descent_the_less_of_it() -> None:
    noises = np.random.default_rng(0).normal(size=(20, 100))
    losses = _sigmoid(-3) + _EXPLOSION
    tuning = _TIMELY._replace(visible=1e-9)  # the edge does not count
    places = [
        np.mean([_place(_found(losses + size * x, tuning=tuning)) for x in noises])
        for size in (0.0, 0.03, 0.1, 0.2)
    ]
    assert places == sorted(places, reverse=True)


def test_a_descent_that_begins_at_once() -> None:
    found = _found(_sigmoid(-5.5) + _EXPLOSION)
    assert _place(found) == pytest.approx(-5.5 + math.log(19) / 6, abs=0.3)


@pytest.mark.parametrize("seed", range(20))
def test_a_descent_that_noise_hides_leaves_the_edge(seed: int) -> None:
    noise = np.random.default_rng(seed).normal(size=100)
    found = _found(noise + np.where(_X > -1, 100.0, 0.0))
    assert _place(found) == pytest.approx(-1 - Tuning().setback, abs=0.9)
    assert "nois" in found.reason
    assert "where the loss rises" in found.reason


def test_the_share_of_mere_noise_that_gets_a_rate_is_small() -> None:
    rng = np.random.default_rng(0)
    found = [_found(rng.normal(size=100)) for _ in range(500)]
    assert sum(x.lr is None for x in found) > 0.9 * len(found)
    assert {x.reason for x in found if x.lr is None} == {
        "the loss neither falls nor rises beyond its noise",
        "the loss is lowest at the first rates",
    }


def test_flat_and_then_an_explosion_never_falls() -> None:
    found = _found(2 + _EXPLOSION)
    assert found[:3] == (None, None, None)
    assert found.reason == "the loss never falls"


def test_a_noisy_rise_from_the_start() -> None:
    noise = np.random.default_rng(0).normal(size=100)
    found = _found(10 * np.arange(100.0) + noise)
    assert found.lr is None
    assert "begin at a lower rate" in found.reason or "never falls" in found.reason


def test_losses_after_the_edge_change_little() -> None:
    losses = _sigmoid(-3) + _EXPLOSION
    expected = _place(_found(losses))
    for tail in (1e9, 1e300, math.inf, math.nan):
        changed = losses.copy()
        changed[-8:] = tail
        assert _place(_found(changed)) == pytest.approx(expected, abs=0.01)
    # The test stops a few steps after the edge.
    stopped = _found(losses[:92], _LRS[:92])
    assert _place(stopped) == pytest.approx(expected, abs=0.01)


def test_more_points_and_other_spacing_find_the_same() -> None:
    expected = _place(_found(_sigmoid(-2) + _EXPLOSION))
    for lrs in (np.geomspace(1e-7, 10, 5000), np.linspace(1e-4, 10, 100_000)):
        explosion = np.where(lrs > 1, 1e3 * np.log10(lrs), 0.0)
        found = _found(_sigmoid(-2, lrs) + explosion, lrs)
        assert _place(found) == pytest.approx(expected, abs=0.3)


def test_spikes_move_it_little() -> None:
    losses = _sigmoid(-3) + _EXPLOSION
    losses += 0.02 * np.random.default_rng(0).normal(size=100)
    expected = _place(_found(losses))
    losses[[12, 30, 45]] = [50.0, 1e6, 1e12]
    assert _place(_found(losses)) == pytest.approx(expected, abs=0.3)


@pytest.mark.parametrize("part", [0.2, 0.5, 0.8])
@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_the_part_of_the_descent_to_go_down(part: float, noise: float) -> None:
    losses = _sigmoid(-2) + _EXPLOSION
    losses += noise * np.random.default_rng(0).normal(size=100)
    tuning = _TIMELY._replace(first=part, last=part, visible=1e-9)
    curve = LRCurve(_LRS, losses)
    lr = descent(curve, tuning).lr
    assert lr is not None
    fit = curve.fit(0.35)
    valley = float(fit.losses[fit.lrs < 1].min())
    loss = float(fit.at(np.array([lr]))[0][0])
    assert 1 - loss == pytest.approx(part * (1 - valley), abs=0.03)


@pytest.mark.parametrize("setback", [0.5, 1.0, 2.0])
def test_how_far_before_the_edge_to_go(setback: float) -> None:
    losses = _sigmoid(-2) + _EXPLOSION
    tuning = _TIMELY._replace(visible=1e12, setback=setback)
    lr, _, _, reason = _found(losses, tuning=tuning)
    # The first point of the explosion is the first above 1.
    edge = _LRS[np.flatnonzero(_EXPLOSION)[0]]
    assert lr == pytest.approx(edge / 10**setback, rel=1e-6)
    assert reason.startswith("Too noisy to see a slope. Rule of thumb: ")
    assert f"1/{short(10**setback)} of 1.1, where the loss rises" in reason


@pytest.mark.parametrize("memory", [1.0, 2.0, 10.0, 100.0])
@pytest.mark.parametrize("count", [50, 100, 1000])
def test_the_longer_the_lag_the_lower(memory: float, count: int) -> None:
    lrs = np.geomspace(1e-7, 10, count)
    losses = _sigmoid(-2, lrs) + np.where(lrs > 1, 1e3 * np.log10(lrs), 0.0)
    half = Tuning(last=0.5)
    expected = _place(_found(losses, lrs, half._replace(lateness=0.0)))
    found = _place(_found(losses, lrs, half, memory))
    lag = memory * 8 / (count - 1)
    assert found - expected == pytest.approx(
        -Tuning().lateness * math.log10((lag + 0.05) / 0.34), abs=0.01
    )


def test_it_is_never_within_the_rise() -> None:
    falling = 1 - 0.5 * (_X + 7)
    losses = np.where(_X < -2, falling, 1e3)
    found = _found(losses, tuning=Tuning(last=1.0, setback=-1.0))
    edge = LRCurve(_LRS, losses).unstable_from
    assert edge == _LRS[_X >= -2][0]
    assert found.lr is not None
    assert edge is not None
    assert found.lr < edge
    # Nor between the lowest point and the edge.
    rising = np.where(_X > -2.5, 0.3 * (_X + 2.5), 0) + np.where(_X > -0.2, 5, 0)
    curve = LRCurve(_LRS, _sigmoid(-4) + rising)
    lowest = curve.fit(0.35).lrs[np.argmin(curve.fit(0.35).losses)]
    lr = descent(curve, Tuning(visible=1e-9, timely=100.0)).lr
    assert lr == pytest.approx(lowest, rel=1e-6)


@pytest.mark.parametrize("spaced", [np.geomspace, np.linspace])
def test_the_first_rates_are_not_suggested_where_the_loss_rises_little(
    spaced: Any,
) -> None:
    lrs = spaced(1e-7, 10, 100)
    for seed in range(20):
        losses = 2 - np.where(lrs < 10**-6.5, 0.1, 0)
        losses += 0.05 * np.random.default_rng(seed).normal(size=100)
        found = _found(losses, lrs)
        assert found.lr is None or found.lr > 5e-7


@pytest.mark.parametrize("seed", range(20))
def test_one_lucky_point_in_the_explosion_is_no_descent(seed: int) -> None:
    lrs = np.geomspace(1e-7, 10, 20)
    noise = np.random.default_rng(seed).normal(size=20)
    losses = 2.3 - np.where(lrs > 1e-3, 0.3, 0) + 0.02 * noise
    losses[lrs > 3e-2] = 8 + noise[lrs > 3e-2]
    losses[-3] = 1.8
    found = _found(losses, lrs, Tuning(), 10)
    assert found.lr is not None
    assert found.lr < 3e-2


@pytest.mark.parametrize("count", [20, 100])
@pytest.mark.parametrize("end", [2.0, 9.0])
def test_one_low_loss_changes_little(count: int, end: float) -> None:
    lrs = np.geomspace(1e-7, 10, count)
    noise = 0.02 * np.random.default_rng(0).normal(size=count)
    flat = np.where(lrs < 0.1, 2.0, end) + noise
    falling = flat - np.where(lrs < 0.1, 1 - _sigmoid(-3, lrs), 0)
    for losses in (falling,) if end == 2.0 else (falling, flat):
        expected = _found(losses, lrs, Tuning(), 10).lr
        for place in (count // 2, count - 3, count - 1):
            lucky = losses.copy()
            lucky[place] -= 9
            found = _found(lucky, lrs, Tuning(), 10).lr
            assert found == pytest.approx(expected, rel=0.4)


def test_no_more_than_the_whole_descent_is_done() -> None:
    # Of heavy tails, the fit is lower before the point that is surely low.
    noise = 0.2 * np.random.default_rng(1133).standard_t(1.5, 100)
    losses = 2 - (1 - _sigmoid(-2)) + np.where(_X > 0, 5, 0) + noise
    reason = _found(losses, tuning=Tuning(), memory=10).reason
    assert reason.startswith("at the lower end of a noisy slope, and 1/")


def test_few_steps_are_told() -> None:
    lrs = np.geomspace(1e-7, 10, 40)
    losses = _sigmoid(-2, lrs) + np.where(lrs > 1, 1e3 * np.log10(lrs), 0.0)
    assert _found(losses, lrs).reason.endswith(
        "; more steps would make it surer (5 a decade)"
    )
    assert "few" not in _found(_sigmoid(-2) + _EXPLOSION).reason


def test_the_range_is_from_a_half_to_twice_as_much() -> None:
    lr, low, high, _ = _found(_sigmoid(-2) + _EXPLOSION)
    assert lr is not None
    assert (low, high) == pytest.approx((lr / 2, 2 * lr))


@pytest.mark.parametrize("height", [0.9, 1.7, 1.8, 2.0])
def test_a_loss_that_falls_and_then_goes_back(height: float) -> None:
    # as where a network dies, without any explosion
    losses = 2.3 - 1.8 * (1 - _sigmoid(-4.5)) + height * (1 - _sigmoid(-3))
    assert _place(_found(losses)) == pytest.approx(-4.3, abs=0.4)


@pytest.mark.parametrize("draw", ["normal", "exponential", "lognormal"])
@pytest.mark.parametrize("count", [100, 1000])
def test_skewed_noise_is_noise_too(draw: str, count: int) -> None:
    rng = np.random.default_rng(0)
    lrs = np.geomspace(1e-7, 10, count)
    curves = [getattr(rng, draw)(size=count) for _ in range(100)]
    assert sum(_found(losses, lrs).lr is None for losses in curves) > 75


def test_gaps_are_left_out() -> None:
    losses = _sigmoid(-2) + _EXPLOSION
    expected = _place(_found(losses))
    losses[[5, 15, 40]] = math.nan
    assert _place(_found(losses)) == pytest.approx(expected, abs=0.02)
    flat = 2 + 0.1 * np.random.default_rng(0).normal(size=100)
    flat[41:] = math.nan
    assert _found(flat).lr is None


def _single(losses: FloatArray) -> FloatArray:
    return losses.astype(np.float32).astype(np.float64)


def _brain(losses: FloatArray) -> FloatArray:
    bits = losses.astype(np.float32).view(np.uint32) + np.uint32(0x8000)
    rounded: FloatArray = (bits & np.uint32(0xFFFF0000)).view(np.float32)
    return rounded.astype(np.float64)


@pytest.mark.parametrize(("rounded", "unit"), [(_single, 2.0**-23), (_brain, 2.0**-7)])
@pytest.mark.parametrize("level", [1.7917595, 1e-3, 4e5])
def test_rounding_is_no_descent(rounded: Any, unit: float, level: float) -> None:
    # Losses that differ by one unit in the last place, in a few points.
    rng = np.random.default_rng(0)
    for _ in range(200):
        steps = rng.choice([-1, 0, 1], p=[0.08, 0.84, 0.08], size=100)
        losses = rounded(level * (1 + unit * steps))
        assert _found(losses).lr is None


@pytest.mark.parametrize("rounded", [_single, _brain])
def test_a_descent_of_rounded_losses_is_one(rounded: Any) -> None:
    losses = rounded(2.3 - 1.8 * (1 - _sigmoid(-2)) + _EXPLOSION)
    assert _place(_found(losses)) == pytest.approx(-2 + math.log(19) / 6, abs=0.4)


@pytest.mark.parametrize("level", [1.0, 3.0])
def test_a_start_of_short_numbers_is_of_the_precision_of_the_rest(level: float) -> None:
    losses = _single(level * (1 - 0.01 * (1 - _sigmoid(-2))))
    losses[_X < -3] = level
    assert _place(_found(losses)) == pytest.approx(-2 + math.log(19) / 6, abs=0.4)
