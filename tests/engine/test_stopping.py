from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrwidget.curve.smoothing import exponential_mean
from lrwidget.engine.stopping import SteadyStopRule, StopRule


def _stop(losses: list[float]) -> tuple[int, str] | None:
    rule = StopRule()
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
