from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from lrwidget.curve.history import Plan, RunHistory
from lrwidget.curve.lr_curve import LRCurve, Step
from lrwidget.curve.rules import RULES
from lrwidget.curve.smoothing import exponential_mean


def _curve(losses: list[float], **kwargs: Any) -> LRCurve:
    lrs = np.geomspace(1e-7, 10, 100)[: len(losses)]
    return LRCurve(lrs, np.array(losses, float), **kwargs)


def _valley() -> LRCurve:
    x = np.linspace(-7, 1, 100)
    losses = 1 / (1 + np.exp(2 * (x + 2.5))) + np.where(x > 0, x**2, 0)
    return _curve(losses.tolist(), stop_reason="completed")


def test_arrays_are_copied_and_frozen() -> None:
    losses = np.array([2.0, 1.0])
    curve = LRCurve(np.array([0.1, 0.2]), losses)
    losses[0] = 5
    assert curve.losses.tolist() == [2, 1]
    for array in (curve.lrs, curve.losses):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
    with pytest.raises(AttributeError):
        curve.lrs = losses  # type: ignore[misc]  # the point


@pytest.mark.parametrize(
    ("lrs", "losses", "message"),
    [
        ([0.1], [], "lrs and losses must be of one length, not of 1 and 0; pass"),
        ([0.1, 0.2], [1.0], "lrs and losses must be of one length, not of 2 and 1"),
        ([[0.1]], [[1.0]], r"lrs must be one-dimensional, not of shape \(1, 1\)"),
        ([0.1], ["a"], r"losses=\['a'\] must be numbers"),
        ([0.1], None, "losses must be one-dimensional"),
        ([0.1], [None, {}], r"losses=\[None, {}\] must be numbers"),
    ],
)
def test_what_is_no_curve(lrs: Any, losses: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LRCurve(lrs, losses)


@pytest.mark.parametrize(
    "lrs", [[0.0, 0.1], [-1.0, 1.0], [0.2, 0.1], [0.1, 0.1], [0.1, math.inf]]
)
def test_rates_that_are_none(lrs: Any) -> None:
    with pytest.raises(
        ValueError, match=r"lrs=.* must be finite, above 0 and strictly"
    ):
        LRCurve(lrs, np.array([1.0, 2.0]))


def test_a_training_loss_for_each_rate() -> None:
    with pytest.raises(ValueError, match="train_losses must be of one length, not of"):
        _curve([2.0, 1.0], train_losses=np.ones(3))


def test_unknown_stop_reason() -> None:
    with pytest.raises(ValueError, match="stop_reason='tired' is not known"):
        _curve([1.0], stop_reason="tired")


def test_more_steps_than_planned() -> None:
    with pytest.raises(ValueError, match="num_it=1 is less than the 2 steps"):
        _curve([2.0, 1.0], num_it=1)


def test_smoothing_is_a_view_of_raw_losses() -> None:
    curve = _curve([3.0, 1.0, 2.0])
    for beta in (0.0, 0.5, 0.98):
        expected = exponential_mean(curve.losses, beta)
        np.testing.assert_array_equal(curve.smoothed(beta), expected)
    np.testing.assert_array_equal(curve.smoothed(), curve.smoothed(0.98))
    assert curve.losses.tolist() == [3, 1, 2]


@pytest.mark.parametrize("width", ["0.2", True, np.array(0.2)])
def test_the_width_of_a_fit_is_a_number(width: Any) -> None:
    with pytest.raises(TypeError, match=r"width=.* must be a number; pass .*=0\.2"):
        _valley().fit(width)


@pytest.mark.parametrize("width", [None, 0.2])
def test_a_fit_is_computed_once_and_cannot_be_changed(width: float | None) -> None:
    curve = _valley()
    fit = curve.fit(width)
    assert curve.fit(width) is fit
    for array in (fit.lrs, fit.losses, fit.errors):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 7


def test_suggestions() -> None:
    curve = _valley()
    assert curve.suggestions == {rule: curve.suggest(rule) for rule in RULES}
    assert curve.suggest() == curve.suggest("descent") == curve.suggestion().lr
    assert curve.min_grad_lr == curve.suggest("min_grad")
    assert None not in curve.suggestions.values()


def test_trimming_goes_by_the_planned_steps() -> None:
    losses = np.geomspace(8, 1, 30).tolist()
    assert _curve(losses, num_it=30).suggest("valley") is not None
    assert _curve(losses, num_it=250).suggest("valley") is None


def test_repr_is_short() -> None:
    curve = _curve([2.0, 1.0], stop_reason="stopped")
    assert repr(curve) == "<LRCurve: 2 steps, 1e-07 to 1.2e-07, stop_reason='stopped'>"
    assert repr(_curve([])) == "<LRCurve: 0 steps, stop_reason=None>"


def test_a_history_becomes_a_curve_at_any_time() -> None:
    history = RunHistory(Plan(0.1, 0.8, 5))
    assert len(history.curve()) == 0
    for step in (Step(0, 0.1, 2.0), Step(1, 0.2, math.nan)):
        history.append(step)
    earlier = history.curve()
    history.append(Step(2, 0.4, 1.0))
    history.stop_reason = "stopped"
    curve = history.curve()
    assert earlier.lrs.tolist() == [0.1, 0.2]
    assert curve.lrs.tolist() == [0.1, 0.2, 0.4]
    np.testing.assert_array_equal(curve.losses, [2, math.nan, 1])
    assert (curve.stop_reason, curve.num_it, len(history)) == ("stopped", 5, 3)


def test_each_suggestion_is_computed_once() -> None:
    curve = _curve([5.0 - 0.04 * i for i in range(100)])
    for rule in ("descent", "valley"):
        assert curve.suggestion(rule) is curve.suggestion(rule)
    assert curve.suggestion("descent") != curve.suggestion("minimum")
