from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from torch import nn
from torch.optim import SGD, Adam
from torch.utils.data import DataLoader, TensorDataset

from lrwidget import LRCurve, RangeTest, range_test
from lrwidget.curve.rules import min_grad
from tests.engine.training_parts import Net, data, loader

_LOSS = nn.CrossEntropyLoss()


def _used_rates(**settings: Any) -> tuple[list[float], list[float]]:
    """Return the rates that a test records, and the rates of its optimizer steps."""
    used: list[float] = []
    model = nn.Linear(8, 3)
    optimizer = SGD(model.parameters(), lr=0.1)
    optimizer.register_step_pre_hook(
        lambda optimizer, *_: used.append(optimizer.param_groups[0]["lr"])
    )
    curve = range_test(model, optimizer, loader(), _LOSS, **settings)
    return curve.lrs.tolist(), used


def test_linear_history() -> None:
    """Case 1: five linear steps from 1e-5 to 5e-5, both ends included."""
    lrs, used = _used_rates(start_lr=1e-5, end_lr=5e-5, num_it=5, step_mode="linear")
    assert lrs == pytest.approx([1e-5, 2e-5, 3e-5, 4e-5, 5e-5], rel=1e-12)
    assert lrs == used


def test_exponential_history() -> None:
    """Case 2: five exponential steps from 1e-5 to 0.1, both ends included."""
    lrs, used = _used_rates(start_lr=1e-5, end_lr=0.1, num_it=5)
    assert lrs == pytest.approx([1e-5, 1e-4, 1e-3, 1e-2, 1e-1], rel=1e-12)
    assert lrs == used


@pytest.mark.parametrize(
    ("losses", "index"),
    [
        ([10, 8, 4, 1, 4, 16], 2),
        ([1, 0, 1, 2, 3, 4], 0),
        ([0, 1, 2, 3, 4, 3], 5),
    ],
)
def test_steepest_gradient(losses: list[float], index: int) -> None:
    """Case 3: the steepest descent from step to step, also at both ends."""
    lrs = np.geomspace(1e-5, 0.1, len(losses))
    assert min_grad(lrs, np.array(losses, float)) == lrs[index]


@pytest.mark.parametrize(
    ("count", "drawn"), [(1, 0), (2, 0), (9, 0), (10, 1), (11, 1), (100, 1)]
)
def test_drawing_with_too_few_points(count: int, drawn: int) -> None:
    """Case 4: the plot has a marker if there are enough points, and none otherwise."""
    lrs, losses = np.geomspace(1e-5, 0.1, count), np.linspace(2, 1, count)
    curve = LRCurve(lrs, losses, num_it=100)
    ax = Figure().subplots()
    curve.plot(ax)
    raw, smoothed, *markers = ax.lines
    np.testing.assert_array_equal(raw.get_xydata(), np.c_[lrs, losses])
    np.testing.assert_array_equal(smoothed.get_xdata(), lrs)
    assert (curve.suggest() is not None) == bool(drawn)
    marked = [float(np.ravel(marker.get_xdata())[0]) for marker in markers]
    assert marked == [curve.suggest()] * drawn


@pytest.mark.parametrize("num_it", [0, 1])
def test_too_few_iterations(num_it: int) -> None:
    """Case 5: a test of 0 steps or 1 step is refused."""
    model = nn.Linear(8, 3)
    optimizer = SGD(model.parameters(), lr=0.1)
    with pytest.raises(ValueError, match=f"num_it={num_it} must be at least 2"):
        RangeTest(model, optimizer, loader(), _LOSS, num_it=num_it)


def _xor() -> tuple[Any, Any, Any, Any]:
    inputs = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    targets = torch.tensor([[0.0], [1.0], [1.0], [0.0]])
    model = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 1))
    optimizer = SGD(model.parameters(), lr=1e-5)
    batches = DataLoader(TensorDataset(inputs, targets), batch_size=1, shuffle=True)
    return model, optimizer, batches, nn.MSELoss()


def _discriminative() -> tuple[Any, Any, Any, Any]:
    model = Net()
    groups = [
        {"params": model.features.parameters(), "lr": 1e-3},
        {"params": model.head.parameters(), "lr": 1e-2},
    ]
    return model, Adam(groups), loader(), _LOSS


@pytest.mark.parametrize("isolation", ["copy", "restore"])
@pytest.mark.parametrize(
    ("make", "rates"), [(_xor, [1e-5]), (_discriminative, [1e-3, 1e-2])]
)
def test_reset(make: Any, rates: list[float], isolation: Any) -> None:
    """Case 6: a test restores the rate of each group, for one group and for several."""
    model, optimizer, batches, loss_fn = make()
    curve = range_test(
        *(model, optimizer, batches, loss_fn),
        end_lr=0.1,
        isolation=isolation,
    )
    assert curve.lrs[-1] > max(rates)
    assert [group["lr"] for group in optimizer.param_groups] == rates


def test_accumulation() -> None:
    """Case 7: the loss is computed accumulate x num_it times."""
    sizes: list[int] = []

    def loss_fn(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        sizes.append(len(targets))
        return nn.functional.cross_entropy(outputs, targets)

    model = nn.Linear(8, 3)
    optimizer = SGD(model.parameters(), lr=0.1)
    batches = DataLoader(data(), batch_size=32 // 4, shuffle=True)
    curve = range_test(
        *(model, optimizer, batches, loss_fn),
        accumulate=4,
        num_it=10,
        stop_div=False,
    )
    assert len(curve) == 10
    assert sizes == [8] * 40


def _numbers(*numbers: float, shuffle: bool = False) -> Any:
    samples = TensorDataset(torch.tensor(numbers, dtype=torch.float64)[:, None])
    return DataLoader(samples, batch_size=1, shuffle=shuffle)


def _one_weight() -> tuple[nn.Module, SGD]:
    model = nn.Linear(1, 1, bias=False).double()
    nn.init.constant_(model.weight, 2.0)
    return model, SGD(model.parameters(), lr=0.1)


def test_the_training_loader_starts_again() -> None:
    """Case 8: a training loader that is too short starts again."""
    seen: list[float] = []

    def training_step(model: nn.Module, batch: Any) -> Any:
        seen.append(batch[0].item())
        return model(batch[0]).mean()

    curve = range_test(
        *(*_one_weight(), _numbers(1, 2, 3)),
        training_step=training_step,
        num_it=10,
        stop_div=False,
    )
    assert len(curve) == 10
    assert seen == [1, 2, 3, 1, 2, 3, 1, 2, 3, 1]


def test_a_shuffled_training_loader_starts_again() -> None:
    """Case 8: each pass of a shuffled loader has every sample."""
    seen: list[float] = []

    def training_step(model: nn.Module, batch: Any) -> Any:
        seen.append(batch[0].item())
        return model(batch[0]).mean()

    range_test(
        *(*_one_weight(), _numbers(1, 2, 3, shuffle=True)),
        training_step=training_step,
        num_it=9,
        stop_div=False,
    )
    assert [sorted(seen[i : i + 3]) for i in (0, 3, 6)] == [[1, 2, 3]] * 3


def test_the_validation_loader_starts_again() -> None:
    """Case 8: each rate has the loss of the whole validation loader."""
    seen: list[float] = []

    def training_step(model: nn.Module, batch: Any) -> Any:
        if not model.training:
            seen.append(batch[0].item())
        return model(batch[0]).mean()

    curve = range_test(
        *(*_one_weight(), _numbers(1)),
        training_step=training_step,
        val_loader=_numbers(3, 4, 8),
        num_it=5,
        start_lr=0.01,
        end_lr=0.1,
        stop_div=False,
    )
    assert seen == [3, 4, 8] * 5
    # The gradient is 1, so that each step subtracts its rate from the weight, which
    # starts at 2. The validation loss is 5, the mean of the numbers, times the weight.
    expected = 5 * (2 - np.cumsum(curve.lrs))
    np.testing.assert_allclose(curve.losses, expected, rtol=1e-12)
