from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import LBFGS, SGD, Adam, AdamW
from torch.utils.data import DataLoader, TensorDataset

from lrwidget import LRCurve, range_test
from tests.engine.training_parts import loader, state, warm

_LOSS = nn.CrossEntropyLoss()
_OPTIMIZERS = {
    "sgd": lambda ps: SGD(ps, lr=0.05, momentum=0.9),
    "adamw": lambda ps: AdamW(ps, lr=0.003, amsgrad=True),
    "lbfgs": lambda ps: LBFGS(ps, lr=0.1, max_iter=2),
}


def _line() -> tuple[nn.Module, DataLoader[tuple[torch.Tensor, ...]]]:
    """Return a linear model of one weight and one bias, and noisy points of a line."""
    inputs = torch.randn(160, 1)
    targets = 2 * inputs + 3 + 0.1 * torch.randn(160, 1)
    batches = DataLoader(TensorDataset(inputs, targets), batch_size=16, shuffle=True)
    return nn.Linear(1, 1), batches


def _find(model: nn.Module, batches: Any, **settings: Any) -> LRCurve:
    optimizer = SGD(model.parameters(), lr=1e-3)
    return range_test(model, optimizer, batches, nn.MSELoss(), **settings)


@pytest.mark.parametrize("rates", [(1e-7, 10), (1.0, 1.1)], ids=["fast", "slow"])
def test_a_test_that_diverges(rates: tuple[float, float]) -> None:
    """Case 9: the test stops early, at a loss above four times the lowest loss."""
    start_lr, end_lr = rates
    curve = _find(*_line(), start_lr=start_lr, end_lr=end_lr, stop_div="fastai")
    smoothed = curve.smoothed()
    assert len(curve.lrs) == len(curve.losses) == len(smoothed) < 100
    assert curve.stop_reason == "diverged"
    assert smoothed[-1] > 4 * smoothed.min()
    assert all(smoothed[:-1] <= 4 * np.minimum.accumulate(smoothed)[:-1])


def test_a_test_that_does_not_diverge() -> None:
    """Case 9: a complete test has a rate and a loss for each step."""
    curve = _find(*_line(), end_lr=0.1)
    smoothed = curve.smoothed()
    assert len(curve.lrs) == len(curve.losses) == 100
    assert smoothed[-1] <= 4 * smoothed.min()


def test_the_rates() -> None:
    """Case 9: the rates grow by equal ratios from 1e-7 to 10, both included."""
    curve = _find(*_line(), stop_div=False)
    expected = [1e-7 * 1e8 ** (i / 99) for i in range(100)]
    np.testing.assert_allclose(curve.lrs, expected, rtol=1e-12)


@pytest.mark.parametrize("isolation", ["copy", "restore"])
def test_nothing_is_left_of_it(isolation: Any) -> None:
    """Case 9: the test changes no weight, and leaves the optimizer without state."""
    model, batches = _line()
    optimizer = Adam(model.parameters())
    before = {name: value.clone() for name, value in model.state_dict().items()}
    curve = range_test(model, optimizer, batches, nn.MSELoss(), isolation=isolation)
    assert curve.losses[-1] != curve.losses[0]
    assert dict(optimizer.state) == {}
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])


@pytest.mark.parametrize("isolation", ["copy", "restore"])
@pytest.mark.parametrize("make_optimizer", _OPTIMIZERS.values(), ids=_OPTIMIZERS)
def test_two_in_a_row(make_optimizer: Any, isolation: Any) -> None:
    """Case 10: two tests during a training change no state, and have equal curves."""
    model, optimizer = warm(make_optimizer)
    batches = loader()
    before = state(model, optimizer)
    assert optimizer.state
    curves = []
    for _ in range(2):
        curves.append(range_test(model, optimizer, batches, _LOSS, isolation=isolation))
        assert state(model, optimizer) == before
    assert curves[0].to_dict() == curves[1].to_dict()


@pytest.mark.parametrize(("start_lr", "num_it"), [(1e-7, 100), (1e-4, 37), (0.5, 2)])
def test_as_many_steps_as_asked_for(start_lr: float, num_it: int) -> None:
    """Case 11: the first rate is start_lr, and without stop_div all steps are done."""
    curve = _find(*_line(), start_lr=start_lr, num_it=num_it, stop_div=False)
    assert curve.lrs[0] == start_lr
    assert len(curve.lrs) == len(curve.losses) == num_it
