from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from lrwidget.curve.smoothing import exponential_mean
from lrwidget.curve.training_curve import TrainingCurve


def _curve(*losses: float, **kwargs: Any) -> TrainingCurve:
    return TrainingCurve(0.1, np.array(losses, float), **kwargs)


def test_losses_are_copied_and_frozen() -> None:
    losses = np.array([2.0, 1.0])
    curve = TrainingCurve(0.1, losses)
    losses[0] = 5
    assert curve.losses.tolist() == [2, 1]
    with pytest.raises(ValueError, match="read-only"):
        curve.losses[0] = 3
    with pytest.raises(AttributeError):
        curve.lr = 3  # type: ignore[misc]  # the point


def test_numbers_from_numpy_and_lists() -> None:
    curve = TrainingCurve(np.float32(0.5), [3, 2])  # type: ignore[arg-type]  # as users
    assert (type(curve.lr), curve.lr) == (float, 0.5)
    assert curve.losses.dtype == np.float64
    assert (len(curve), curve.num_it) == (2, 2)


@pytest.mark.parametrize(
    ("count", "expected"),
    [(100, np.mean([9.0, 8, 7, 6, 5, 4, 3, 2, 1, 0])), (25, 0.5), (9, 0.0), (1, 0.0)],
)
def test_the_final_loss_is_the_mean_of_the_last_tenth(
    count: int, expected: float
) -> None:
    losses = np.arange(count)[::-1].astype(float)
    assert TrainingCurve(1.0, losses, "completed").final_loss == expected


@pytest.mark.parametrize(
    "reason", ["diverged", "non_finite", "exhausted", "stopped", None]
)
def test_no_final_loss_unless_all_steps_were_done(reason: Any) -> None:
    assert math.isnan(_curve(2, 1, stop_reason=reason, num_it=2).final_loss)
    assert math.isnan(_curve(stop_reason=reason, num_it=2).final_loss)


def test_smoothing_is_a_view_of_the_raw_losses() -> None:
    curve = _curve(3, 1, math.nan, 2)
    for beta in (0.0, 0.5, 0.9):
        np.testing.assert_array_equal(
            curve.smoothed(beta), exponential_mean(curve.losses, beta)
        )
    np.testing.assert_array_equal(curve.smoothed(0), curve.losses)


def test_repr_is_one_short_line() -> None:
    curve = TrainingCurve(0.0123, np.full(1000, 1 / 3), "completed")
    assert repr(curve) == (
        "<TrainingCurve: lr=0.0123, 1000 steps, final_loss=0.3333, "
        "stop_reason='completed'>"
    )


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"lr": -1.0}, ValueError, r"lr=-1\.0 must be finite and above 0"),
        ({"lr": "x"}, TypeError, "lr='x' must be a number"),
        ({"losses": [[1.0]]}, ValueError, r"one-dimensional, not of shape \(1, 1\)"),
        ({"stop_reason": "bored"}, ValueError, "stop_reason='bored' is not known"),
        ({"losses": ["a"]}, ValueError, r"losses=\['a'\] must be numbers"),
        ({"num_it": 1}, ValueError, "num_it=1 is less than the 2 steps"),
        ({"num_it": 2.5}, ValueError, r"num_it=2\.5 must be an integer"),
        ({"num_it": True}, ValueError, "num_it=True must be an integer"),
        (
            {"val_samples": [1]},
            ValueError,
            r"val_samples=\[1\] must be 2 finite numbers",
        ),
        (
            {"val_samples": [0, 0]},
            ValueError,
            r"=\[0, 0\] must be 2 finite numbers above",
        ),
        (
            {"val_samples": [-1, 2]},
            ValueError,
            "pass the number of samples of each batch",
        ),
    ],
)
def test_bad_arguments(arguments: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        TrainingCurve(
            **{"lr": 0.1, "losses": [2.0, 1.0], "val_losses": [2.0, 1.0], **arguments}
        )
