from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam

from lrwidget import LRCurve, LRWidget, RangeTest, range_test
from lrwidget.curve.rules import RULES
from tests.engine.training_parts import loader, warm

_LOSS = nn.CrossEntropyLoss()


@pytest.mark.parametrize("rule", RULES)
def test_a_curve_that_only_rises(rule: str) -> None:
    """Case 23: no rule has a suggestion for a curve that only rises."""
    lrs = np.geomspace(1e-7, 10, 100)
    curve = LRCurve(lrs, np.linspace(0, 5, 100) ** 2)
    assert curve.suggest(rule) is None


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"num_it": 0}, ValueError, "num_it=0 must be at least 2"),
        ({"num_it": -1}, ValueError, "num_it=-1 must be at least 2"),
        ({"num_it": 0.0}, TypeError, "num_it=0.0 must be an integer"),
        ({"num_it": 100.0}, TypeError, "num_it=100.0 must be an integer"),
        ({"step_mode": "abc"}, ValueError, r"step_mode='abc' .*'exp', 'linear'"),
        (
            {"start_lr": 10, "end_lr": 1},
            ValueError,
            "start_lr=10 must be below end_lr=1",
        ),
        (
            {"start_lr": 10, "end_lr": 10},
            ValueError,
            "start_lr=10 must be below end_lr=10",
        ),
        (
            {"start_lr": [0.1, 0.2]},
            TypeError,
            r"start_lr=\[0.1, 0.2\] must be a number",
        ),
        ({"end_lr": [1.0, 2.0]}, TypeError, r"end_lr=\[1.0, 2.0\] must be a number"),
    ],
)
@pytest.mark.parametrize("finder", [RangeTest, LRWidget])
def test_wrong_arguments(
    finder: Any, settings: dict[str, Any], error: Any, message: str
) -> None:
    """Case 24: a wrong setting is refused at once, and the error names the setting."""
    model = nn.Linear(8, 3)
    optimizer = SGD(model.parameters(), lr=0.1)
    with pytest.raises(error, match=message):
        finder(model, optimizer, loader(), _LOSS, **settings)


def test_a_model_for_an_optimizer() -> None:
    """Case 24: an object that is no optimizer is refused."""
    model: Any = nn.Linear(8, 3)
    with pytest.raises(TypeError, match=r"optimizer=Linear.* must be a torch optim"):
        RangeTest(model, model, loader(), _LOSS)


@pytest.mark.parametrize("beta", [234, 1.0, -0.1])
def test_a_wrong_factor_of_smoothing(beta: float) -> None:
    """Case 24: a factor of smoothing is at least 0 and below 1."""
    curve = LRCurve(np.array([0.1, 0.2]), np.array([2.0, 1.0]))
    with pytest.raises(ValueError, match=rf"beta={beta} must be at least 0 and below"):
        curve.smoothed(beta)


@pytest.mark.parametrize("isolation", ["copy", "restore"])
@pytest.mark.parametrize(
    "make_optimizer",
    [lambda ps: SGD(ps, lr=1e-4), lambda ps: Adam(ps, lr=1e-4)],
    ids=["sgd", "adam"],
)
def test_model_and_optimizer_are_reset(make_optimizer: Any, isolation: Any) -> None:
    """Case 25: model and optimizer have the same states after a complete test."""
    model, optimizer = warm(make_optimizer)
    weights = copy.deepcopy(model.state_dict())
    inside = copy.deepcopy(optimizer.state_dict())
    curve = range_test(
        *(model, optimizer, loader(), _LOSS), stop_div=False, isolation=isolation
    )
    assert curve.stop_reason == "completed"
    torch.testing.assert_close(dict(model.state_dict()), dict(weights), rtol=0, atol=0)
    after = optimizer.state_dict()
    assert after["param_groups"] == inside["param_groups"]
    torch.testing.assert_close(after["state"], inside["state"], rtol=0, atol=0)
