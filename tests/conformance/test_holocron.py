from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import SGD
from torch.utils.data import DataLoader, TensorDataset

from lrwidget import range_test


def _watched(model: nn.Module) -> tuple[SGD, list[float]]:
    """Return an optimizer, and the list of the rates of its steps."""
    used: list[float] = []
    optimizer = SGD(model.parameters(), lr=0.1)
    optimizer.register_step_pre_hook(
        lambda optimizer, *_: used.append(optimizer.param_groups[0]["lr"])
    )
    return optimizer, used


@pytest.mark.parametrize("isolation", ["copy", "restore"])
@pytest.mark.parametrize(
    ("accumulate", "batches", "steps"),
    [(1, 5, 5), (2, 5, 3), (8, 100, 13), (8, 3, 1)],
)
def test_accumulation(
    accumulate: int, batches: int, steps: int, isolation: Any
) -> None:
    """Case 26: each step gives a point: its rate, and the mean loss of its window."""
    model = nn.Linear(1, 1, bias=False).double()
    nn.init.ones_(model.weight)
    optimizer, used = _watched(model)
    numbers = torch.arange(batches, 0, -1, dtype=torch.float64)[:, None]
    curve = range_test(
        *(model, optimizer, iter(DataLoader(TensorDataset(numbers)))),
        training_step=lambda model, batch: model(batch[0]).mean(),
        start_lr=1e-3,
        end_lr=1e-1,
        num_it=max(steps, 2),
        accumulate=accumulate,
        stop_div=False,
        isolation=isolation,
    )
    assert len(curve) == len(used) == steps
    assert curve.lrs.tolist() == used
    assert curve.lrs[0] == 1e-3
    assert curve.lrs[-1] == (1e-1 if steps > 1 else 1e-3)
    # The loss of a window is the weight times the mean of its numbers. The mean is
    # also the gradient.
    weight, expected = 1.0, []
    for lr, window in zip(used, numbers.split(accumulate), strict=True):
        expected.append(weight * window.mean().item())
        weight -= lr * window.mean().item()
    np.testing.assert_allclose(curve.losses, expected, rtol=1e-9)


@pytest.mark.parametrize("isolation", ["copy", "restore"])
@pytest.mark.parametrize(
    ("accumulate", "slopes", "losses"),
    [
        (1, [4, 1, 1], [2, 3]),
        (1, [1, 4, 1], [1, 3]),
        (2, [1, 4, 1, 1, 1, 1], [3.5, 5.5]),
    ],
)
def test_overflow(
    accumulate: int, slopes: list[float], losses: list[float], isolation: Any
) -> None:
    """Case 27: an optimizer step that overflows gives no point and uses no rate."""
    model = nn.Linear(1, 1, bias=False)
    optimizer, used = _watched(model)
    # With this scale, a gradient of 4 is infinite in single precision, and a gradient
    # of 2 is finite.
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**126)
    numbers = torch.arange(1.0, len(slopes) + 1)
    batches = list(zip(numbers, torch.tensor(slopes) * accumulate, strict=True))

    def training_step(model: Any, batch: Any) -> Any:
        loss, slope = batch
        weight = model.weight.sum()
        return loss + slope * (weight - weight.detach())

    curve = range_test(
        *(model, optimizer, batches),
        training_step=training_step,
        start_lr=1e-3,
        end_lr=1e-1,
        num_it=2,
        accumulate=accumulate,
        grad_scaler=scaler,
        isolation=isolation,
    )
    assert curve.lrs.tolist() == used == [1e-3, 1e-1]
    assert curve.losses.tolist() == losses
    assert scaler.get_scale() == 2.0**126
