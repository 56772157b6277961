"""Every optimizer of torch, and some that are not."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any

import lion_pytorch
import numpy as np
import prodigyopt
import pytest
import schedulefree
import timm
import torch
from timm.optim._optim_factory import create_optimizer_v2
from timm.scheduler.cosine_lr import CosineLRScheduler
from torch import nn
from torch.optim import LBFGS, SGD, Adam, AdamW, Muon, Optimizer, SparseAdam
from torch.optim.lr_scheduler import LambdaLR, StepLR
from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)
from torch.utils.data import DataLoader, TensorDataset

from lrwidget.engine.optimizers import (
    apply_rate,
    as_one,
    memory,
    needs_closure,
    needs_graph,
    rate_ratios,
    saved_rates,
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


def test_an_optimizer_in_evaluation_mode_is_put_into_training_mode() -> None:
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
def test_hooks_and_replacements_of_a_step_are_called(counted: Any) -> None:
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


@pytest.mark.parametrize(
    ("group", "steps"),
    [
        ({"momentum": 0.9}, 10),
        ({"momentum": torch.tensor(0.9), "nesterov": True}, 10),
        ({"momentum": 0, "betas": (0.5, 0.999)}, 2),
        ({"betas": (torch.tensor(0.9), torch.tensor(0.999))}, 10),
        ({"betas": torch.tensor([0.9, 0.999])}, 10),
        ({"betas": np.array([0.9, 0.95, 0.999])}, 10),
        ({"betas": 0.9}, 10),
        ({"beta1": 0.9, "betas": None}, 10),
        # without a momentum, or without one number for it
        ({}, 1),
        ({"beta1": None}, 1),
        ({"betas": (None, 0.999)}, 1),
        ({"betas": ()}, 1),
        ({"betas": ((0.9, 0.95), 0.999)}, 1),
        ({"momentum": 1.0}, 1),
        ({"momentum": float("nan")}, 1),
        ({"momentum": torch.tensor([[0.9, 0.8]])}, 1),
    ],
)
def test_the_number_of_steps_that_the_last_group_averages_over(
    group: dict[str, Any], steps: int
) -> None:
    optimizer = SGD([{"params": [nn.Parameter(torch.ones(1))]}], momentum=0.99)
    optimizer.add_param_group({"params": [nn.Parameter(torch.ones(1))]})
    optimizer.param_groups[-1] = {"lr": 0.1, **group}
    assert memory(optimizer) == pytest.approx(steps)


def test_an_applied_rate_is_where_later_schedulers_start() -> None:
    optimizer = _with_rates(0.1, 0.2)
    LambdaLR(optimizer, lambda _: 1.0)
    apply_rate(optimizer, 0.5)
    LambdaLR(optimizer, lambda _: 1.0)
    rates = [group["lr"] for group in optimizer.param_groups]
    assert rates == pytest.approx([0.25, 0.5])


@pytest.mark.parametrize("decayed", [1.0, 0.5])
def test_the_change_of_a_scheduler_is_not_made_twice(decayed: float) -> None:
    optimizer = _with_rates(0.1, 0.2)
    LambdaLR(optimizer, [lambda _: 0.25, lambda _: decayed])
    apply_rate(optimizer, 0.5)
    rates = [group["lr"] for group in optimizer.param_groups]
    assert rates == pytest.approx([0.0625 / decayed, 0.5])
    rates = [group["initial_lr"] for group in optimizer.param_groups]
    assert rates == pytest.approx([0.25, 0.5])


def _with_layer_decay() -> tuple[nn.Module, Optimizer]:
    torch.manual_seed(0)
    model = timm.create_model("test_vit", num_classes=3, img_size=32)
    optimizer = create_optimizer_v2(model, "momentum", lr=0.1, layer_decay=0.5)
    return model, optimizer


@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize("after", [False, True])
def test_layer_decay_is_that_of_timms_scheduler(before: bool, after: bool) -> None:  # noqa: FBT001
    _, optimizer = _with_layer_decay()
    if before:
        CosineLRScheduler(optimizer, 10)
    scales = [group["lr_scale"] for group in optimizer.param_groups]
    assert scales[0] < scales[-1] == 1
    assert rate_ratios(optimizer) == pytest.approx(scales)
    apply_rate(optimizer, 0.5)
    if after:
        CosineLRScheduler(optimizer, 10)
    elif not before:
        return
    rates = [group["lr"] for group in optimizer.param_groups]
    assert rates == pytest.approx([0.5 * scale for scale in scales])


def test_layer_decay_is_trained_as_by_timms_scheduler() -> None:
    images, targets = torch.randn(8, 3, 32, 32), torch.arange(8) % 3
    model, optimizer = _with_layer_decay()
    settings: Any = {"num_it": 8, "start_lr": 1e-3, "end_lr": 0.1}
    steps = list(RangeTest(model, optimizer, [(images, targets)], _LOSS, **settings))
    model, optimizer = _with_layer_decay()
    model.train()
    scheduler = CosineLRScheduler(optimizer, 10)
    for step in steps:
        scheduler.update_groups(step.lr)
        optimizer.zero_grad()
        loss = _LOSS(model(images), targets)
        loss.backward()
        optimizer.step()
        assert step.loss == pytest.approx(loss.item(), abs=1e-6)


def _several(kind: str) -> tuple[nn.Module, list[Optimizer]]:
    """Return a model, and two optimizers of different parameters with other rates."""
    torch.manual_seed(0)
    if kind == "Muon":
        model = nn.Sequential(nn.Linear(8, 6), nn.BatchNorm1d(6), nn.Linear(6, 3))
        matrices = [p for p in model.parameters() if p.ndim > 1]
        others = [p for p in model.parameters() if p.ndim == 1]
        return model, [Muon(matrices, lr=0.02), AdamW(others, lr=0.001)]
    model = nn.Sequential(nn.EmbeddingBag(20, 6, sparse=True), nn.Linear(6, 3))
    first, last = model
    return model, [SparseAdam(first.parameters(), lr=0.01), Adam(last.parameters())]


def _batches(kind: str) -> list[Any]:
    generator = torch.Generator().manual_seed(1)
    words = torch.randint(20, (48, 4), generator=generator)
    inputs = torch.randn(48, 8, generator=generator) if kind == "Muon" else words
    return list(zip(inputs.split(16), (words[:, 0] % 3).split(16), strict=True))


@pytest.mark.parametrize("isolation", ["copy", "restore"])
@pytest.mark.parametrize("kind", ["Muon", "SparseAdam"])
@pytest.mark.parametrize("as_kind", [list, tuple])
def test_several_optimizers_train_as_in_a_loop(
    kind: str, as_kind: Any, isolation: Any
) -> None:
    batches = _batches(kind)
    model, optimizers = _several(kind)
    StepLR(optimizers[0], 1)  # it wraps the step of the original
    before = state(model, optimizers)
    settings: Any = {"num_it": 20, "start_lr": 1e-5, "end_lr": 0.1}
    settings |= {"isolation": isolation, "val_loader": None}
    test = RangeTest(model, as_kind(optimizers), batches, _LOSS, **settings)
    steps = list(test)
    assert state(model, optimizers) == before
    assert list(test) == steps
    model, optimizers = _several(kind)
    ratio = optimizers[0].param_groups[0]["lr"] / optimizers[1].param_groups[0]["lr"]
    for number, step in enumerate(steps):
        for optimizer, rate in zip(optimizers, (ratio * step.lr, step.lr), strict=True):
            optimizer.param_groups[0]["lr"] = rate
            optimizer.zero_grad()
        inputs, targets = batches[number % len(batches)]
        loss = _LOSS(model(inputs), targets)
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
        assert step.loss == pytest.approx(loss.item(), abs=1e-6)
    assert steps[-1].lr == pytest.approx(0.1)


def test_several_optimizers_with_a_scaler_modes_and_another_device() -> None:
    model, (first, _) = _several("Muon")
    others: Any = schedulefree.AdamWScheduleFree(
        [p for p in model.parameters() if p.ndim == 1], lr=0.001
    )
    settings: Any = {"num_it": 6, "val_loader": _batches("Muon"), "device": "cpu"}
    settings["grad_scaler"] = torch.amp.GradScaler("cpu")
    before = state(model, first, others)
    test = RangeTest(model, [first, others], _batches("Muon"), _LOSS, **settings)
    assert len(list(test)) == 6
    assert state(model, first, others) == before


def test_a_rate_is_applied_to_each_optimizer() -> None:
    _, optimizers = _several("Muon")
    apply_rate(as_one(optimizers), 0.5)
    rates = [optimizer.param_groups[0]["lr"] for optimizer in optimizers]
    assert rates == pytest.approx([10, 0.5])


def test_bad_lists_of_optimizers() -> None:
    model, optimizers = _several("Muon")
    wrong: list[tuple[Any, Any, str]] = [
        ([], ValueError, r"optimizer=\[\] must be one optimizer, or"),
        ([*optimizers, optimizers[0]], ValueError, "several of different parameters"),
        ([optimizers[0], 3], TypeError, "optimizer=3 must be a torch optimizer"),
        ([SGD], TypeError, "optimizer=.*SGD"),
        ([SGD([nn.Parameter(torch.ones(1))])], ValueError, "none of the model's"),
    ]
    for passed, kind, message in wrong:
        with pytest.raises(kind, match=message):
            RangeTest(model, passed, _batches("Muon"), _LOSS)
    first, last = model[0], model[2]  # type: ignore[index]  # a Sequential
    lazy: list[Optimizer] = [LBFGS(first.parameters()), SGD(last.parameters())]
    with pytest.raises(ValueError, match="none of which evaluates the loss itself"):
        RangeTest(model, lazy, _batches("Muon"), _LOSS)
    with pytest.raises(ValueError, match="none of which evaluates the loss itself"):
        RangeTest(model, optimizers, _batches("Muon"), _LOSS, closure=True)


def _hessian_trace(parameters: list[Any]) -> Any:
    grads = [parameter.grad for parameter in parameters]
    return torch.autograd.grad(grads, parameters, grad_outputs=grads)


class _SecondOrder(SGD):
    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        self._scale()
        return super().step(closure)

    def _scale(self) -> None:
        parameters = self.param_groups[0]["params"]
        for parameter, curved in zip(
            parameters, _hessian_trace(parameters), strict=True
        ):
            parameter.grad = parameter.grad / (1 + curved.abs())


def test_which_optimizers_differentiate_gradients() -> None:
    parameters = [nn.Parameter(torch.ones(1))]
    assert needs_graph(_SecondOrder(parameters))
    for kind in (SGD, AdamW, LBFGS, prodigyopt.Prodigy, lion_pytorch.Lion):
        assert not needs_graph(kind(parameters))


@pytest.mark.filterwarnings("ignore:Using backward.* with create_graph=True")
@pytest.mark.parametrize("isolation", ["copy", "restore"])
def test_gradients_that_are_differentiated(isolation: Any) -> None:
    def training() -> tuple[nn.Module, Optimizer]:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(8, 6), nn.Tanh(), nn.Linear(6, 3))
        return model, _SecondOrder(model.parameters(), lr=0.1)

    model, optimizer = training()
    before = state(model, optimizer)
    settings: Any = {"num_it": 20, "end_lr": 1.0, "isolation": isolation}
    steps = list(RangeTest(model, optimizer, _batches("Muon"), _LOSS, **settings))
    assert state(model, optimizer) == before
    model, optimizer = training()
    for step, (inputs, targets) in zip(steps, 7 * _batches("Muon"), strict=False):
        optimizer.param_groups[0]["lr"] = step.lr
        optimizer.zero_grad()
        loss = _LOSS(model(inputs), targets)
        loss.backward(create_graph=True)
        optimizer.step()
        assert step.loss == pytest.approx(loss.item(), abs=1e-6)


def test_an_applied_rate_is_a_float() -> None:
    optimizer = SGD(nn.Linear(2, 1).parameters(), lr=0.1)
    LambdaLR(optimizer, lambda _: 0.5)
    apply_rate(optimizer, 0.014)
    (group,) = optimizer.param_groups
    assert [type(group[key]) for key in ("lr", "initial_lr")] == [float, float]
    assert (group["lr"], group["initial_lr"]) == (0.014, 0.014)


def test_rates_are_written_back_as_they_were() -> None:
    _, optimizer = _with_layer_decay()
    CosineLRScheduler(optimizer, 10)
    tensor = torch.tensor(0.3)
    groups = optimizer.param_groups
    groups[0]["lr"] = tensor
    names = "lr", "initial_lr", "lr_scale"
    before = [[group.get(name) for name in names] for group in groups]
    write_back = saved_rates(optimizer)
    apply_rate(optimizer, 0.5)
    assert tensor != 0.3
    write_back()
    assert groups[0]["lr"] is tensor
    assert tensor == torch.tensor(0.3)
    assert [[group.get(name) for name in names] for group in groups] == before
    write_back = saved_rates(optimizer)
    apply_rate(optimizer, 0.5)
    optimizer.add_param_group({"params": [nn.Parameter(torch.ones(1))], "lr": 7.0})
    optimizer.load_state_dict(optimizer.state_dict())  # which makes other groups
    write_back()
    rates = [group["lr"] for group in optimizer.param_groups]
    assert rates == [*(lr for lr, *_ in before), 7.0]
