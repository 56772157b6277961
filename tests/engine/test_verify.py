from __future__ import annotations

import inspect
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import LBFGS, SGD

from lrwidget import LRCurve, RangeTest, race, range_test, verify
from lrwidget.curve.history import Started, Stepped, Validated
from lrwidget.curve.race_history import race_plans
from lrwidget.curve.verification import verification
from lrwidget.curve.verification_history import lane_rates
from lrwidget.engine.race import race_runs, run_in_turn
from tests.curves import LRS
from tests.engine.training_parts import Net, data, loader, state, warm

if TYPE_CHECKING:
    from collections.abc import Iterator

_LOSS = nn.CrossEntropyLoss()


def _parts() -> tuple[nn.Module, torch.optim.Optimizer]:
    model = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 3))
    return model, SGD(model.parameters(), lr=0.1)


def _held_out(count: int = 4) -> list[tuple[torch.Tensor, ...]]:
    """Return some batches of 7 samples, and a smaller one."""
    inputs, targets = data(count * 7 + 3).tensors
    parts = zip(inputs.split(7), targets.split(7), strict=True)
    return list(parts)


def test_the_parts_are_a_range_test_and_a_race() -> None:
    model, optimizer = _parts()
    parts = model, optimizer, loader(), _LOSS
    found = verify(*parts, total_steps=400, seed=3)
    curve = range_test(*parts, seed=3)
    assert found.curve.losses.tolist() == curve.losses.tolist()
    lanes = race(*parts, rates=lane_rates(curve), steps=60, seed=3)
    assert [lane.lr for lane in found.lanes] == [lane.lr for lane in lanes]
    for lane, other in zip(found.lanes, lanes, strict=True):
        assert lane.losses.tolist() == other.losses.tolist()
        assert math.isnan(lane.val_loss)
    expected = verification(curve, lanes, None, 400)
    assert (found.lr, found.verdict) == (expected.lr, expected.verdict)
    assert (found.total_steps, len(found.lanes)) == (400, 5)
    again = verify(*parts, total_steps=400, seed=3, curve=curve)
    assert again.curve is curve
    assert again.verdict == found.verdict


def _loss_by_hand(model: nn.Module, batches: list[Any]) -> float:
    """Return the mean loss of all samples, in evaluation mode."""
    modes = [module.training for module in model.modules()]
    model.eval()
    with torch.no_grad():
        losses = [_LOSS(model(x), y) * len(x) for x, y in batches]
    for module, training in zip(model.modules(), modes, strict=True):
        module.training = training
    return float(sum(losses)) / sum(len(x) for x, _ in batches)


@pytest.mark.parametrize("isolation", ["copy", "restore"])
def test_the_validation_losses_are_those_of_a_loop_by_hand(isolation: Any) -> None:
    model = Net()
    optimizer = SGD(model.head.parameters(), lr=0.1)
    batches, held_out = loader(), _held_out()
    before = state(model, optimizer, batches)
    test = RangeTest(
        *(model, optimizer, batches, _LOSS), val_loader=held_out, isolation=isolation
    )
    plans = race_plans([0.01, 0.1], 8)
    events = list(run_in_turn(race_runs(test, plans, at_ends=True), plans))
    assert state(model, optimizer, batches) == before
    start, *ends = (event for event in events if isinstance(event, Validated))
    assert [(x.run, x.iteration) for x in (start, *ends)] == [(0, 0), (0, 8), (1, 8)]
    assert start.samples == (7, 7, 7, 7, 3)
    assert [type(event) for event in events[:3]] == [Started, Validated, Stepped]
    assert start.loss == pytest.approx(_loss_by_hand(model, held_out))
    random_state = torch.get_rng_state()
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    for plan, end in zip(plans, ends, strict=True):
        torch.set_rng_state(random_state)
        model.load_state_dict(weights)
        model.train()
        optimizer.param_groups[0]["lr"] = plan.start_lr
        losses: list[float] = []
        for _ in range(2):
            for inputs, targets in batches:
                if len(losses) < 8:
                    optimizer.zero_grad()
                    loss = _LOSS(model(inputs), targets)
                    loss.backward()
                    optimizer.step()
                    losses.append(loss.item())
        steps = [x for x in events if isinstance(x, Stepped) and x.run == end.run]
        assert [x.step.loss for x in steps] == losses
        assert end.loss == pytest.approx(_loss_by_hand(model, held_out))


class _Seen(nn.Module):
    """A model that notes its inputs, its mode and a random number of each call."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(8, 3)
        self.calls: list[tuple[bool, float, float]] = []

    def __deepcopy__(self, memo: Any) -> _Seen:
        twin = _Seen()
        twin.load_state_dict(self.state_dict())
        twin.calls = self.calls
        memo.update(
            {
                id(a): b
                for a, b in zip(self.parameters(), twin.parameters(), strict=True)
            }
        )
        memo[id(self)] = twin
        return twin

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        drawn = torch.rand(()).item() if self.training else 0.0
        self.calls.append((self.training, inputs.sum().item(), drawn))
        result: torch.Tensor = self.linear(inputs)
        return result


def test_all_lanes_see_the_same_batches_and_random_numbers() -> None:
    model = _Seen()
    # The loader draws from torch's random numbers, which its order depends on.
    held_out = torch.utils.data.DataLoader(data(21), 7, shuffle=True)
    optimizer = SGD(model.parameters(), lr=0.1)
    curve = LRCurve(LRS, np.where(LRS > 0.1, 9.0, 2.0) - np.minimum(LRS, 0.1))
    verify(
        *(model, optimizer, loader(), _LOSS),
        curve=curve,
        total_steps=70,
        val_loader=held_out,
        stop_div=False,
    )
    calls = model.calls
    assert [mode for mode, *_ in calls] == [False] * 3 + ([True] * 60 + [False] * 3) * 5
    lanes = [calls[first : first + 63] for first in range(3, 3 + 5 * 63, 63)]
    assert lanes[1:] == lanes[:1] * 4


def test_a_sweep_of_a_verification_uses_the_training_losses() -> None:
    parts = *_parts(), loader(), _LOSS
    found = verify(*parts, seed=1, total_steps=100, val_loader=_held_out())
    assert found.curve.losses.tolist() == range_test(*parts, seed=1).losses.tolist()
    done = [lane for lane in found.lanes if lane.stop_reason == "completed"]
    assert [len(lane.val_losses) for lane in done] == [5] * len(done)
    assert len(done) > 2


class _Quadratic(nn.Module):
    """Half of the curvatures times the squares of the weights, with noisy gradients."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.full((2,), 3.0, dtype=torch.float64))

    def forward(self, noise: Any) -> Any:
        curvatures = torch.tensor([1.0, 20.0], dtype=torch.float64)
        return (0.5 * curvatures * (self.weights - noise) ** 2).sum()


def test_a_training_whose_best_rate_is_known() -> None:
    # After T steps, the expected loss is the sum of a bias and a variance, both known
    # in closed form; the least of it is the best rate.
    model, deviation, total = _Quadratic(), 0.5, 1000
    generator = torch.Generator().manual_seed(0)
    batches = [
        (deviation * torch.randn(2, generator=generator, dtype=torch.float64),)
        for _ in range(512)
    ]
    optimizer = SGD(model.parameters(), lr=1.0)
    found = verify(model, optimizer, batches, total_steps=total, seed=0)
    assert found.lr is not None
    assert found.low is not None
    assert found.high is not None

    def excess(rate: float) -> float:
        loss = 0.0
        for curvature in (1.0, 20.0):
            factor = 1 - rate * curvature
            bias = 9.0 * factor ** (2 * total)
            spread = (1 - factor ** (2 * total)) / (1 - factor**2)
            loss += (
                0.5 * curvature * (bias + (rate * curvature * deviation) ** 2 * spread)
            )
        return loss

    start = 0.5 * 21 * 9.0
    least = min(excess(rate) for rate in np.geomspace(1e-4, 0.09, 200))
    assert found.low <= found.lr <= found.high
    assert (excess(found.lr) - least) / (start - least) < 0.02
    assert found.high < found.lanes[-1].lr


def _closure(**settings: Any) -> tuple[Any, ...]:
    model, _ = _parts()
    return model, LBFGS(model.parameters(), lr=0.1, max_iter=2), loader(), settings


@pytest.mark.parametrize("settings", [{"accumulate": 2}, {"steps_per_lr": 2}, {}])
def test_the_ways_to_train_are_those_of_the_range_test(settings: Any) -> None:
    model, optimizer, batches, settings = _closure(**settings)
    curve = LRCurve(LRS, np.where(LRS > 0.1, 9.0, 2.0) - np.minimum(LRS, 0.1))
    found = verify(
        *(model, optimizer, batches, _LOSS), curve=curve, total_steps=30, **settings
    )
    lanes = race(
        *(model, optimizer, batches, _LOSS),
        rates=lane_rates(curve),
        steps=30,
        **settings,
    )
    for lane, expected in zip(found.lanes, lanes, strict=True):
        assert lane.losses.tolist() == expected.losses.tolist()
    assert found.verdict.count("These trainings are as long as yours") == 1


class _FaultError(Exception):
    pass


@pytest.mark.parametrize("isolation", ["copy", "restore"])
@pytest.mark.parametrize("call", [1, 2, 7, 30, 36, 70])
def test_all_is_as_before_an_error(call: int, isolation: Any) -> None:
    # In the validation at the start, in a step, in the validation at the end of a
    # lane, and in a later lane, of 2 + 30 + 2 calls each but the first.
    fault = [0]

    def loss_fn(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        fault[0] += 1
        if fault[0] == call:
            raise _FaultError
        return nn.functional.cross_entropy(outputs, targets)

    model, optimizer = warm(lambda ps: SGD(ps, lr=0.05, momentum=0.9))
    batches = loader(generator=torch.Generator())
    before = state(model, optimizer, batches)
    curve = LRCurve(LRS, np.where(LRS > 1e-3, 9.0, 2.0) - np.minimum(LRS, 1e-3))
    with pytest.raises(_FaultError):
        verify(
            *(model, optimizer, batches, loss_fn),
            curve=curve,
            total_steps=30,
            val_loader=_held_out(1),
            isolation=isolation,
        )
    assert state(model, optimizer, batches) == before


def test_a_loader_whose_batches_come_once() -> None:
    class Once:
        def __init__(self) -> None:
            self.inside = iter(list(loader()) * 40)

        def __iter__(self) -> Iterator[Any]:
            yield from self.inside

    with pytest.raises(ValueError, match=r"dataloader=.* is an iterator, which has no"):
        verify(*_parts(), iter(list(loader())), _LOSS)
    found = verify(*_parts(), Once(), _LOSS)
    words = "ended early. Not all trainings were completed, so they allow no"
    assert words in found.verdict
    assert (found.lr, found.low, found.high) == found.curve.suggestion()[:3]


def test_a_sweep_that_ends_at_once() -> None:
    def loss_fn(outputs: torch.Tensor, _targets: torch.Tensor) -> torch.Tensor:
        return outputs.sum() * math.nan

    with pytest.raises(RuntimeError, match="became infinite or NaN, and too few"):
        verify(*_parts(), loader(), loss_fn)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"total_steps": 0}, ValueError, "total_steps=0 must be at least 1"),
        ({"total_steps": 1e3}, TypeError, r"total_steps=1000\.0 must be an integer"),
        ({"curve": [1]}, TypeError, r"curve=\[1\] must be an LRCurve"),
        ({"val_loader": []}, ValueError, r"val_loader=\[\] is empty"),
        ({"num_it": 1}, ValueError, "num_it=1 must be at least 2"),
        ({"rates": [1]}, TypeError, "unexpected keyword argument 'rates'"),
    ],
)
def test_bad_arguments(arguments: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        verify(*_parts(), loader(), _LOSS, **arguments)


def test_the_settings_are_shown() -> None:
    names = list(inspect.signature(verify).parameters)
    assert names[4:6] == ["total_steps", "curve"]
    assert {"val_loader", "clip_grad_norm"} < set(names)
