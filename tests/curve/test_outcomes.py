from __future__ import annotations

import math

import numpy as np
import pytest

from lrwidget.curve.outcomes import TENTH, best_of, compared
from lrwidget.curve.standard_error import mean_with_error
from lrwidget.curve.training_curve import TrainingCurve

_STEPS = 40


def _lane(lr: float, end: float, noise: float = 0.0) -> TrainingCurve:
    """Return a lane from 2 to an end, with a noise for each rate."""
    losses = np.linspace(2.0, end, _STEPS)
    losses += noise * np.random.default_rng(int(1e6 * lr)).standard_normal(_STEPS)
    return TrainingCurve(lr, losses, "completed", _STEPS)


def test_the_difference_is_that_on_the_same_batches() -> None:
    worse, best = _lane(0.01, 1.0, 0.1), _lane(0.1, 0.5, 0.1)
    (found, lowest), start = compared([worse, best])
    apart = (worse.losses - best.losses)[-10:]  # the last quarter
    assert (found.above, found.error) == mean_with_error(apart)
    assert found.loss == pytest.approx(worse.losses[-10:].mean())
    assert found.loss - lowest.loss == pytest.approx(found.above)
    assert start == pytest.approx(worse.losses[:3].mean())
    assert (found.state, lowest.state) == ("worse", "close")
    assert math.isnan(lowest.error)
    assert best_of([found, lowest]) is lowest


def test_the_loss_of_a_race_is_that_of_its_curves() -> None:
    lanes = [_lane(0.01, 1.0), _lane(0.1, 0.5)]
    found, _ = compared(lanes, last=TENTH)
    assert [x.loss for x in found] == [lane.final_loss for lane in lanes]


def test_lanes_without_a_result() -> None:
    ends = {"diverged": "unstable", "stopped": "unfinished", None: "unfinished"}
    lanes = [
        TrainingCurve(0.1, np.array([2.0, 1.0]), reason, _STEPS)  # type: ignore[arg-type]
        for reason in ends
    ]
    found, _ = compared([*lanes, _lane(1.0, 3.0)])
    assert [x.state for x in found] == [*ends.values(), "nothing"]
    assert best_of(found) is None
    assert compared([])[0] == []
