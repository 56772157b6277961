from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest

from benchmarks.adaptive import Adaptive, Schedule, even, placed, sweep
from benchmarks.tasks import TASKS

pytestmark = pytest.mark.exhaustive


def _swept(schedule: Schedule, losses: list[float]) -> list[float]:
    """Return the logarithms of the rates of a sweep with these losses."""
    places: list[float] = []
    while (
        place := schedule(places, losses[: max(len(places) - 1, 0)], 1.0)
    ) is not None:
        places.append(place)
    return places


_FLAT = [1.0, 1.01] * 20
_FALLING = _FLAT[:20] + [0.5] * 20


def test_even_rates() -> None:
    assert _swept(partial(even, 9), _FLAT) == pytest.approx(range(-7, 2))


def test_a_sweep_of_flat_losses_has_long_strides() -> None:
    places = _swept(Adaptive(0.25, 1, 2.0).next, _FLAT)
    assert places == pytest.approx(np.arange(-7, 1.1, 0.25))


def test_strides_are_even_after_the_fall_of_the_loss_before_the_last() -> None:
    places = _swept(Adaptive(0.25, 1, 2.0).next, _FALLING)
    # The 21st loss is known when the 22nd step is done.
    assert places[:22] == pytest.approx(-7 + 0.25 * np.arange(22))
    assert places[21:] == pytest.approx(np.linspace(-1.75, 1, 19))


def test_a_sweep_ends_at_a_clear_rise() -> None:
    losses = [*_FALLING[:25], *[2.0] * 15]
    # Each loss far above the start counts as 2.75, so three are more than eight.
    assert len(_swept(Adaptive(0.25, 1, 2.0, risen=8.0).next, losses)) == 25 + 3 + 1


@pytest.mark.parametrize("center", [-7.0, -3.2, 1.0])
def test_placed_rates(center: float) -> None:
    places = np.array(_swept(partial(placed, center), _FLAT))
    assert len(places) == 40
    assert places[[0, -1]] == pytest.approx([-7, 1])
    near = np.abs(places[:-1] + np.diff(places) / 2 - center) < 1.5 - 0.25
    assert np.diff(places)[near].max() < np.diff(places)[~near].min() + 1e-9


def test_a_sweep_does_the_steps_of_its_schedule() -> None:
    (task,) = (task for task in TASKS if task.name == "wines MLP, RMSprop")
    curve = sweep(task, 0, partial(even, 17))
    assert curve.lrs == pytest.approx(np.geomspace(1e-7, 10, 17))
    assert math.isfinite(curve.losses[0])
    assert curve.losses[-1] > 10 * curve.losses[0]
