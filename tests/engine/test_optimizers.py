"""Every optimizer of torch, and some that are not."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any

import lion_pytorch
import numpy as np
import prodigyopt
import pytest
import schedulefree
import torch
from torch import nn
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)
from torch.utils.data import DataLoader, TensorDataset

from lrwidget.engine.optimizers import (
    apply_rate,
    needs_closure,
    rate_ratios,
    set_rate,
    stepping,
)
from lrwidget.engine.range_test import RangeTest
from tests.engine.training_parts import loader, state, train

if TYPE_CHECKING:
    from collections.abc import Callable

_LOSS = nn.CrossEntropyLoss()
_TORCHS = {
    name: kind
    for name, kind in vars(torch.optim).items()
    if isinstance(kind, type) and issubclass(kind, Optimizer) and kind is not Optimizer
}
_OTHERS = {
    "schedulefree SGD": schedulefree.SGDScheduleFree,
    "schedulefree AdamW": schedulefree.AdamWScheduleFree,
    "schedulefree RAdam": schedulefree.RAdamScheduleFree,
    "schedulefree with a closure": schedulefree.AdamWScheduleFreeClosure,
    "Prodigy": prodigyopt.Prodigy,
    "Lion": lion_pytorch.Lion,
}


def _training(name: str) -> tuple[nn.Module, Optimizer, Any]:
    """Return a warm model, its optimizer and a loader that suits both."""
    make: Any = {**_TORCHS, **_OTHERS}[name]
    batches: Any = loader(generator=torch.Generator().manual_seed(5))
    if name == "SparseAdam":
        model: nn.Module = nn.EmbeddingBag(20, 3, sparse=True)
        words = TensorDataset(torch.randint(20, (96, 4)), torch.randint(3, (96,)))
        batches = DataLoader(words, 16, generator=torch.Generator().manual_seed(5))
    elif name == "Muon":  # of matrices only
        model = nn.Sequential(nn.Linear(8, 6, bias=False), nn.Linear(6, 3, bias=False))
    else:
        model = nn.Sequential(nn.Linear(8, 6), nn.BatchNorm1d(6), nn.Linear(6, 3))
    optimizer = make(model.parameters(), lr=1e-3)
    if hasattr(optimizer, "train"):
        optimizer.train()
    train(model, optimizer, batches)
    return model, optimizer, batches


def test_torch_has_the_optimizers_that_we_know() -> None:
    assert set(_TORCHS) >= {"SGD", "AdamW", "LBFGS", "SparseAdam", "Rprop", "Muon"}
    assert len(_TORCHS) >= 15


@pytest.mark.parametrize("isolation", ["copy", "restore"])
@pytest.mark.parametrize("name", [*_TORCHS, *_OTHERS])
def test_a_point_for_each_step_and_all_as_before(name: str, isolation: Any) -> None:
    model, optimizer, batches = _training(name)
    steps = 0

    def count(*_args: Any) -> None:
        nonlocal steps
        steps += 1

    optimizer.register_step_post_hook(count)
    before = state(model, optimizer, batches)
    settings: Any = {"num_it": 20, "stop_div": False, "isolation": isolation}
    test = RangeTest(model, optimizer, batches, _LOSS, **settings)
    first = list(test)
    assert steps == 20
    np.testing.assert_allclose([s.lr for s in first], np.geomspace(1e-7, 10, 20))
    assert np.ptp([s.loss for s in first]) > 0
    assert state(model, optimizer, batches) == before
    assert str(list(test)) == str(first)  # text, since NaN is not equal to itself
    assert state(model, optimizer, batches) == before


@pytest.mark.parametrize("name", ["schedulefree AdamW", "Prodigy", "Lion", "LBFGS"])
def test_both_ways_find_the_same_curve(name: str) -> None:
    model, optimizer, batches = _training(name)
    curves = []
    for isolation in ("copy", "restore"):
        settings: Any = {"num_it": 20, "isolation": isolation}
        test = RangeTest(model, optimizer, batches, _LOSS, **settings)
        curves.append(str(list(test)))
    assert curves[0] == curves[1]


def test_an_optimizer_in_its_evaluation_mode_is_trained_in_the_other() -> None:
    model, optimizer, batches = _training("schedulefree AdamW")
    expected = list(RangeTest(model, optimizer, batches, _LOSS, num_it=10))
    optimizer.eval()  # type: ignore[attr-defined]  # it has modes
    before = state(model, optimizer, batches)
    for isolation in ("copy", "restore"):
        settings: Any = {"num_it": 10, "isolation": isolation}
        found = list(RangeTest(model, optimizer, batches, _LOSS, **settings))
        assert [s.loss for s in found] == pytest.approx([s.loss for s in expected])
        assert state(model, optimizer, batches) == before


def test_which_optimizers_evaluate_the_loss() -> None:
    model = nn.Linear(2, 2)
    assert needs_closure(torch.optim.LBFGS(model.parameters()))
    assert not needs_closure(SGD(model.parameters()))


def _counted_by_a_hook(optimizer: Optimizer, count: Callable[..., None]) -> None:
    optimizer.register_step_post_hook(count)


def _counted_before(optimizer: Optimizer, count: Callable[..., None]) -> None:
    optimizer.register_step_pre_hook(count)


def _counted_by_its_own_step(optimizer: Any, count: Callable[..., None]) -> None:
    step = optimizer.step

    @wraps(step)
    def counted(*args: Any) -> Any:
        count()
        return step(*args)

    optimizer.step = counted


@pytest.mark.parametrize(
    "counted", [_counted_by_a_hook, _counted_before, _counted_by_its_own_step]
)
def test_what_is_hung_on_a_step_is_called(counted: Any) -> None:
    optimizer = SGD(nn.Linear(2, 2).parameters())
    calls: list[None] = []
    step = stepping(optimizer)
    step()
    counted(optimizer, lambda *_: calls.append(None))
    step()
    stepping(optimizer)()
    assert len(calls) == 2


def test_hooks_on_all_optimizers_are_called() -> None:
    optimizer = SGD(nn.Linear(2, 2).parameters())
    calls: list[object] = []
    step = stepping(optimizer)
    hooks = (
        register_optimizer_step_pre_hook(lambda *args: calls.append(args[0])),
        register_optimizer_step_post_hook(lambda *args: calls.append(args[0])),
    )
    step()
    for hook in hooks:
        hook.remove()
    step()
    assert calls == [optimizer, optimizer]


def test_a_step_that_a_class_has_wrapped_is_taken_with_its_wrapper() -> None:
    class Own(SGD):
        pass

    calls: list[None] = []
    optimizer = Own(nn.Linear(2, 2).parameters())
    step, of_torch = stepping(optimizer), Own.step

    @wraps(of_torch)
    def counted(*args: Any) -> Any:
        calls.append(None)
        return of_torch(*args)

    Own.step = counted  # type: ignore[assignment]  # as a library may do to a class
    step()
    stepping(optimizer)()
    assert len(calls) == 2


@pytest.mark.parametrize("isolation", ["copy", "restore"])
def test_a_step_that_replaces_itself(isolation: Any) -> None:
    class Late(SGD):
        def step(self, _closure: Any = None) -> Any:
            vars(self)["step"] = super().step  # this one is the first only

    model, batch = nn.Linear(2, 1), (torch.ones(1, 2), torch.zeros(1, 1))
    optimizer = Late(model.parameters())
    settings: Any = {"start_lr": 0.01, "end_lr": 0.1, "isolation": isolation}
    test = RangeTest(model, optimizer, [batch], nn.MSELoss(), num_it=6, **settings)
    losses = [step.loss for step in test]
    assert losses[0] == losses[1] > losses[2] > losses[3]


def test_torchs_profiler_is_told_while_it_runs_and_costs_nothing_else() -> None:
    optimizer = SGD(nn.Linear(2, 2).parameters())
    told: list[None] = []
    # torch calls it in what it wraps a step in
    optimizer._optimizer_step_code = lambda: told.append(None)  # type: ignore[method-assign]
    step = stepping(optimizer)
    step()
    assert not told
    with torch.profiler.profile() as profile:
        step()
    assert len(told) == 1
    assert "Optimizer.step#SGD.step" in {event.key for event in profile.key_averages()}
    optimizer.step()
    assert len(told) == 2


@pytest.mark.parametrize("kind", [SGD, torch.optim.AdamW])
def test_a_step_is_the_optimizers_own_bit_for_bit(kind: Any) -> None:
    results = []
    for take in (lambda o: o.step, stepping):
        torch.manual_seed(0)
        model = nn.Linear(3, 2)
        optimizer = kind(model.parameters(), lr=0.1, weight_decay=0.1)
        step = take(optimizer)
        for _ in range(3):
            optimizer.zero_grad()
            model(torch.ones(4, 3)).square().mean().backward()
            step()
        results.append(model.weight.tolist())
    assert results[0] == results[1]


def _with_rates(*rates: float | torch.Tensor, **extra: float) -> SGD:
    groups = [
        {"params": [nn.Parameter(torch.zeros(1))], "lr": rate, **extra}
        for rate in rates
    ]
    return SGD(groups, lr=0.1)


def test_groups_keep_their_ratios_to_the_last() -> None:
    optimizer = _with_rates(1e-5, 1e-4, 1e-3)
    ratios = rate_ratios(optimizer)
    assert ratios == pytest.approx([0.01, 0.1, 1])
    set_rate(optimizer, 0.5, ratios)
    rates = [group["lr"] for group in optimizer.param_groups]
    assert rates == pytest.approx([0.005, 0.05, 0.5])
    assert rates[-1] == 0.5


def test_a_warm_up_from_zero_counts_by_its_initial_rates() -> None:
    optimizer = _with_rates(0.0, 0.0)
    for group, rate in zip(optimizer.param_groups, (0.1, 0.2), strict=True):
        group["initial_lr"] = rate
    assert rate_ratios(optimizer) == pytest.approx([0.5, 1])


def test_a_rate_in_a_tensor_stays_one() -> None:
    rate = torch.tensor(0.1)
    optimizer = _with_rates(rate)
    set_rate(optimizer, 0.25, rate_ratios(optimizer))
    assert optimizer.param_groups[0]["lr"] is rate
    assert rate.item() == 0.25


@pytest.mark.parametrize("rates", [(0.0,), (0.1, 0.0), (0.0, 0.1), (float("inf"),)])
def test_rates_without_ratios(rates: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match=r"optimizer has learning rates \[.*give each"):
        rate_ratios(_with_rates(*rates))


def test_a_rate_that_its_optimizer_finds_itself() -> None:
    optimizer = _with_rates(0.1)
    optimizer.param_groups[0]["lr"] = None
    with pytest.raises(ValueError, match=r"optimizer has learning rates \[None\]"):
        rate_ratios(optimizer)


def test_an_applied_rate_is_where_later_schedulers_start() -> None:
    optimizer = _with_rates(0.1, 0.2)
    LambdaLR(optimizer, lambda _: 1.0)
    apply_rate(optimizer, 0.5)
    LambdaLR(optimizer, lambda _: 1.0)
    rates = [group["lr"] for group in optimizer.param_groups]
    assert rates == pytest.approx([0.25, 0.5])
