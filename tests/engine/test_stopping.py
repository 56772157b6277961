from __future__ import annotations

import math
import tracemalloc
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrwidget.curve.schedule import learning_rates
from lrwidget.curve.smoothing import exponential_mean
from lrwidget.engine.stopping import FitStopRule, SteadyStopRule, StopRule

if TYPE_CHECKING:
    from lrwidget.curve.arrays import FloatArray
    from lrwidget.engine.stopping import Rule


def _stop(losses: list[float], rule: Rule | None = None) -> tuple[int, str] | None:
    rule = rule or StopRule()
    for index, loss in enumerate(losses):
        reason = rule.update(loss)
        if reason is not None:
            return index, reason
    return None


@given(st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=100))
def test_positive_losses_stop_where_fastai_stops(losses: list[float]) -> None:
    # after ten steady losses, of which none is small by chance
    losses = [losses[0]] * 10 + losses
    smoothed = exponential_mean(np.array(losses))
    best = np.minimum.accumulate(smoothed)
    beyond = np.flatnonzero(smoothed > 4 * best * (1 + 1e-9))
    stop = _stop(losses)
    assert (stop and stop[0]) == (beyond[0] if beyond.size else None)


@pytest.mark.parametrize(
    ("count", "limit"),
    # Four times the best, which counts more the fewer losses it is of.
    [(1, 20), (4, 12), (8, 4 * (1 + 2**0.5)), (16, 4)],
)
def test_how_far_the_mean_may_rise_above_the_first_losses(
    count: int, limit: float
) -> None:
    ones = [1.0] * count
    # What the next loss has to be, so that the mean is a little above or below.
    weights = (1 - 0.98) * 0.98 ** np.arange(count, -1.0, -1)
    weights /= weights.sum()
    for factor, stops in ((0.99, False), (1.01, True)):
        last = (factor * limit - weights[:-1].sum()) / weights[-1]
        assert (_stop([*ones, last]) is not None) == stops


def test_a_steady_rate_may_come_near_to_zero() -> None:
    losses = [*np.geomspace(1, 1e-6, 50).tolist(), *[1.0] * 20]
    assert _stop(losses) is not None
    rule = SteadyStopRule()
    assert {rule.update(loss) for loss in losses} == {None}
    assert "diverged" in {rule.update(1e3) for _ in range(10)}


@pytest.mark.parametrize("steady", [1, 2, 5, 9, 10, 50])
def test_an_explosion_stops_at_once(steady: int) -> None:
    assert _stop([1.0] * steady + [1e4] * 10) == (steady, "diverged")


def test_growth_from_the_first_step_on_stops() -> None:
    assert _stop([1.3**k for k in range(40)]) is not None


def test_a_fast_descent_does_not_stop() -> None:
    assert _stop([0.5**k for k in range(40)]) is None


def test_a_small_first_loss_of_a_noisy_training_does_not_stop_it() -> None:
    assert _stop([0.2, *[3.0, 1.0] * 50]) is None


@pytest.mark.parametrize("offset", [-5.0, -100.0])
def test_negative_losses_do_not_stop_at_once(offset: float) -> None:
    descent = (offset - np.linspace(0, 2, 50)).tolist()
    noise = [offset, offset + 0.5, offset - 0.5] * 20
    assert _stop(descent) is None
    assert _stop(noise) is None


def test_negative_losses_stop_when_they_explode() -> None:
    stop = _stop([-1.0] * 20 + [10.0**k for k in range(20)])
    assert stop is not None
    assert 20 <= stop[0] < 25


@pytest.mark.parametrize("seed", range(50))
def test_noise_around_zero_does_not_stop(seed: int) -> None:
    rng = np.random.default_rng(seed)
    assert _stop([-0.05, *rng.normal(0, 0.1, 100)]) is None


def test_noise_around_zero_after_a_descent_does_not_stop() -> None:
    rng = np.random.default_rng(0)
    losses = np.r_[np.linspace(5, -0.01, 400), rng.normal(-0.01, 0.1, 200)]
    assert _stop(losses.tolist()) is None


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_stops_at_once(broken: float) -> None:
    assert _stop([2.0, 1.0, broken, 1.0]) == (2, "non_finite")
    assert _stop([broken]) == (0, "non_finite")


@pytest.mark.parametrize("count", [9, 15])
def test_no_limit_is_so_high_that_an_infinite_loss_passes(count: int) -> None:
    assert _stop([*[1e308] * count, math.inf]) == (count, "non_finite")


# ---- the default rule

_START, _VALLEY, _EDGE = 2.3, 0.5, 0.1


def _exploding(lrs: FloatArray, after: float, noise: float = 0.05) -> FloatArray:
    """Return losses that fall below the start and, from an edge on, are ``after``."""
    fallen = _START - (_START - _VALLEY) / (1 + (2e-3 / lrs) ** 1.5)
    losses = np.where(lrs < _EDGE, fallen, after)
    return losses + noise * np.random.default_rng(0).normal(size=len(lrs))


def _stop_of(lrs: FloatArray, losses: FloatArray) -> tuple[int, str] | None:
    return _stop(losses.tolist(), FitStopRule(lrs))


@pytest.mark.parametrize(
    ("num_it", "mode", "start_lr"),
    [
        *((20, "exp", 1e-7), (100, "exp", 1e-7), (100_000, "exp", 1e-7)),
        *((100, "linear", 1e-3), (1000, "linear", 1e-7)),
    ],
)
def test_losses_that_settle_above_the_start_stop_soon(
    num_it: int, mode: Any, start_lr: float
) -> None:
    lrs = learning_rates(start_lr, 10 if mode == "exp" else 1, num_it, mode)
    stop = _stop_of(lrs, _exploding(lrs, 2.8))
    assert stop is not None
    steps, reason = stop
    assert reason == "diverged"
    # Five of twenty bins in a decade, and five steps where there are fewer.
    five = max(5 / 20, math.log10(lrs[-1] / lrs[-6]))
    assert _EDGE < lrs[steps] <= _EDGE * 10 ** (five + 0.15)
    # as low as the start, or below it
    for after in (_START, 1.5):
        assert _stop_of(lrs, _exploding(lrs, after)) is None


@pytest.mark.parametrize(
    ("scale", "shift"), [(1e-6, 0.0), (1e6, 0.0), (1.0, -10.0), (1e-3, 5.0)]
)
def test_scale_and_shift_of_the_losses_change_nothing(
    scale: float, shift: float
) -> None:
    lrs = learning_rates(1e-7, 10, 100)
    losses = _exploding(lrs, 2.8)
    assert _stop_of(lrs, scale * losses + shift) == _stop_of(lrs, losses) is not None


def test_a_loss_below_its_start_has_not_diverged() -> None:
    lrs = learning_rates(1e-7, 10, 10_000)
    losses = np.select([lrs < 1e-3, lrs < 0.05], [2.31, 1e-3], 0.4)
    assert _stop_of(lrs, losses) is None
    assert _stop(losses.tolist()) is not None  # by fastai's rule


@pytest.mark.parametrize("num_it", [20, 100, 1000])
def test_outliers_do_not_stop_a_noisy_training(num_it: int) -> None:
    lrs = learning_rates(1e-7, 10, num_it)
    for seed in range(20):
        noise = np.random.default_rng(seed).lognormal(0, 1, num_it)
        for end in (1.0, 0.5):  # without a descent, and with one
            losses = noise * (1 - (1 - end) / (1 + 1e-3 / lrs))
            assert _stop_of(lrs, losses) is None


@pytest.mark.parametrize("noise", [0.02, 0.2])
@pytest.mark.parametrize("num_it", [20, 100, 1000])
def test_a_rise_before_the_descent_does_not_stop(num_it: int, noise: float) -> None:
    lrs = learning_rates(1e-7, 10, num_it)
    for place in (-6, -5, -4, -3):
        bump = 1.5 * np.exp(-0.5 * ((np.log10(lrs) - place) / 0.3) ** 2)
        fall = 1.8 / (1 + (10 ** (place + 1) / lrs) ** 1.5)
        losses = 2.3 + bump - fall
        losses += noise * np.random.default_rng(1).normal(size=num_it)
        assert _stop_of(lrs, losses) is None


@pytest.mark.parametrize("noise", [0.0, 0.2])
def test_a_rise_without_a_descent_stops_after_two_decades(noise: float) -> None:
    lrs = learning_rates(1e-7, 10, 100)
    losses = 2.3 + noise * np.random.default_rng(1).normal(size=100)
    losses += np.where(lrs < 1e-3, 0, 4)
    stop = _stop_of(lrs, losses)
    assert stop is not None
    assert 2e-2 < lrs[stop[0]] < 0.2


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("place", [1e-6, 1e-5, 1e-3])
def test_an_explosion_stops_within_the_start_and_after_it(
    sign: float, place: float
) -> None:
    lrs = learning_rates(1e-7, 10, 100)
    losses = 2.3 * sign + 0.1 * np.random.default_rng(1).normal(size=100)
    losses += np.where(lrs < place, 0, 50)
    stop = _stop_of(lrs, losses)
    assert stop is not None
    assert stop[0] - int(np.sum(lrs < place)) in (3, 4)


def test_a_plan_of_close_rates() -> None:
    lrs = learning_rates(1, 1.1, 100)
    losses = np.r_[[1.0] * 40, [0.5] * 40, [2.0] * 20]
    losses += 0.01 * np.random.default_rng(0).normal(size=100)
    stop = _stop_of(lrs, losses)
    assert stop is not None
    assert 80 < stop[0] < 90
    lrs = learning_rates(1e-7, np.nextafter(1e-7, 1), 2)
    assert _stop([1.0, 2.0], FitStopRule(lrs)) is None


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_stops_the_default_rule(broken: float) -> None:
    for before in ([], [1.0] * 50, [1e308] * 50, [-1e308] * 50):
        for num_it in (100, 1000):
            rule = FitStopRule(learning_rates(1e-7, 10, num_it))
            assert _stop([*before, broken], rule) == (len(before), "non_finite")


def test_a_long_test_takes_no_memory() -> None:
    tracemalloc.start()
    lrs = learning_rates(1e-7, 10, 20_000)
    before = tracemalloc.get_traced_memory()[0]
    rule = FitStopRule(lrs)
    assert _stop([2.0, 1.0] * 10_000, rule) is None
    taken = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert taken < 20_000  # a byte a step
