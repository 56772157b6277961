from __future__ import annotations

import gc
import weakref
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import LBFGS, SGD, AdamW

from lrwidget.engine.stepping import Stepper, StepSkippedError, mean


def _model(seed: int = 1) -> nn.Linear:
    torch.manual_seed(seed)
    return nn.Linear(3, 1)


_X, _Y = torch.randn(16, 3), torch.randn(16, 1)


def _loss_of(model: nn.Module) -> Any:
    return lambda batch: nn.functional.mse_loss(model(batch[0]), batch[1])


def _stepper(optimizer: Any, loss_of: Any, *settings: Any, **more: Any) -> Any:
    """Return the function that does a step with some batches."""
    return partial(Stepper(optimizer, *settings, **more).step, loss_of)


@pytest.mark.parametrize("make", [SGD, AdamW, LBFGS])
def test_a_step_is_that_of_the_usual_loop(make: Any) -> None:
    model, by_hand = _model(), _model()
    stepping = _stepper(make(model.parameters(), lr=0.1), _loss_of(model))
    losses = [stepping([(_X, _Y)]).item() for _ in range(5)]
    optimizer = make(by_hand.parameters(), lr=0.1)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(by_hand(_X), _Y)
        loss.backward()
        return loss

    assert losses == [optimizer.step(closure).item() for _ in range(5)]
    assert torch.equal(model.weight, by_hand.weight)


@pytest.mark.parametrize("make", [SGD, AdamW, LBFGS])
def test_accumulated_batches_are_as_good_as_a_large_one(make: Any) -> None:
    model, at_once = _model(), _model()
    small = list(zip(_X.split(4), _Y.split(4), strict=True))
    loss = _stepper(make(model.parameters(), lr=0.1), _loss_of(model))(small)
    expected = _stepper(make(at_once.parameters(), lr=0.1), _loss_of(at_once))(
        [(_X, _Y)]
    )
    torch.testing.assert_close(loss, expected, check_dtype=False)
    torch.testing.assert_close(model.weight, at_once.weight)


def test_gradients_are_clipped_to_a_norm() -> None:
    model = _model()
    before = [p.detach().clone() for p in model.parameters()]
    optimizer = SGD(model.parameters(), lr=1.0)
    _stepper(optimizer, _loss_of(model), clip_grad_norm=0.01)([(_X, 100 * _Y)])
    moved = [p - q for p, q in zip(model.parameters(), before, strict=True)]
    norm = torch.cat([m.flatten() for m in moved]).norm().item()
    assert norm == pytest.approx(0.01, rel=1e-5)


def test_a_scaler_changes_nothing_where_nothing_overflows() -> None:
    model, unscaled = _model(), _model()
    scaler = torch.amp.GradScaler("cpu", init_scale=1024)
    scaled = _stepper(SGD(model.parameters(), lr=0.1), _loss_of(model), scaler, 0.5)
    optimizer = SGD(unscaled.parameters(), lr=0.1)
    plain = _stepper(optimizer, _loss_of(unscaled), clip_grad_norm=0.5)
    for _ in range(3):
        batches = [(_X, _Y), (_Y.expand(16, 3), _Y)]
        assert torch.equal(scaled(batches), plain(batches))
    torch.testing.assert_close(model.weight, unscaled.weight)


def test_a_scaler_skips_steps_that_overflow() -> None:
    model = _model()
    before = model.weight.detach().clone()
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**127)
    stepping = _stepper(SGD(model.parameters(), lr=0.1), _loss_of(model), scaler)
    with pytest.raises(StepSkippedError) as skipped:
        stepping([(_X, 1e4 * _Y)])
    assert skipped.value.loss is not None
    assert skipped.value.loss.isfinite()
    assert torch.equal(model.weight, before)
    assert scaler.get_scale() == 2.0**126


@pytest.mark.parametrize("make", [SGD, LBFGS])
def test_without_a_loss_there_is_no_step(make: Any) -> None:
    model = _model()
    before = model.weight.detach().clone()
    stepping = _stepper(make(model.parameters(), lr=0.1), lambda _: None)
    with pytest.raises(StepSkippedError) as skipped:
        stepping([(_X, _Y)])
    assert skipped.value.loss is None
    assert torch.equal(model.weight, before)


def test_the_mean_is_of_the_batches_that_have_a_loss() -> None:
    model = _model()
    losses = {1: 4.0, 2: None, 3: 2.0}

    def loss_of(batch: int) -> Any:
        loss = losses[batch]
        return None if loss is None else loss + 0 * model.weight.sum()

    stepping = _stepper(SGD(model.parameters(), lr=0.1), loss_of)
    assert stepping([1, 2, 3]) == 3
    assert stepping([1, 2]) == 4


def test_a_mean_of_imprecise_losses_is_precise() -> None:
    losses = [torch.tensor(x, dtype=torch.float16) for x in (2048.0, 2050.0, 2050.0)]
    assert mean(losses).item() == pytest.approx(6148 / 3)
    huge = [torch.tensor([3e38]), torch.tensor(3e38)]  # of two shapes, besides
    assert mean(huge).item() == pytest.approx(3e38)


class _Doubled(torch.autograd.Function):
    """Keeps its input in a way that no backward pass clears."""

    @staticmethod
    def forward(ctx: Any, inputs: torch.Tensor) -> torch.Tensor:
        ctx.inputs = inputs
        return 2 * inputs

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> torch.Tensor:
        grad: torch.Tensor = 2 * grads[0] + 0 * ctx.inputs
        return grad


_doubled: Any = _Doubled.apply


@pytest.mark.parametrize("make", [SGD, LBFGS])
def test_no_graph_is_kept_for_its_loss(make: Any) -> None:
    model = _model()
    graphs: list[weakref.ref[torch.Tensor]] = []

    def loss_of(batch: torch.Tensor) -> torch.Tensor:
        outputs = model(batch)
        graphs.append(weakref.ref(outputs))
        alive = sum(graph() is not None for graph in graphs[:-1])
        assert alive <= 1  # the one whose loss is being replaced
        loss: torch.Tensor = _doubled(outputs).square().mean()
        return loss

    stepping = _stepper(make(model.parameters(), lr=0.01), loss_of)
    kept = [stepping([_X] * 8) for _ in range(3)]
    assert not any(loss.requires_grad for loss in kept)
    assert len(graphs) >= 24


def test_a_loss_that_cannot_be_differentiated() -> None:
    stepping = _stepper(SGD(_model().parameters(), lr=0.1), lambda _: torch.ones(()))
    with pytest.raises(ValueError, match=r"depends on no trainable .* without detach"):
        stepping([None])


def test_an_optimizer_that_clears_gradients_in_its_own_way_does() -> None:
    cleared: list[str] = []

    class Own(SGD):
        def zero_grad(self, *_: Any) -> None:
            cleared.append("own")

    model = _model()
    own, wrapped = Own(model.parameters(), lr=0.1), SGD(model.parameters(), lr=0.1)
    vars(wrapped)["zero_grad"] = lambda: cleared.append("wrapped")
    for optimizer in (own, wrapped):
        _stepper(optimizer, _loss_of(model))([(_X, _Y)])
    assert cleared == ["own", "wrapped"]


@pytest.mark.parametrize("make", [SGD, LBFGS])
def test_a_stepper_is_freed_with_its_last_reference(make: Any) -> None:
    model = _model()
    stepping = _stepper(make(model.parameters(), lr=0.1), _loss_of(model))
    stepping([(_X, _Y)])
    gone = weakref.ref(stepping.func.__self__)
    gc.disable()
    try:
        del stepping
        assert gone() is None
    finally:
        gc.enable()


class _Sharp(SGD):
    """It needs its closure, as the optimizers of sharpness-aware minimization do."""

    evaluated = 0

    def step(self, closure: Any = None) -> Any:
        assert closure is not None

        def counted() -> Any:
            type(self).evaluated += 1
            return closure()

        return super().step(counted)


class _Perturbing(SGD):
    """It begins with gradients, and moves the weights before it calls its closure."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        if self.checks and closure is None:
            raise RuntimeError(self.checks)
        moves = [0.1 * p.grad for p in self.param_groups[0]["params"]]
        for p, move in zip(self.param_groups[0]["params"], moves, strict=True):
            p.add_(move)
        with torch.enable_grad():
            closure()
        for p, move in zip(self.param_groups[0]["params"], moves, strict=True):
            p.sub_(move)
        return super().step()

    checks = "a closure is needed"


@pytest.mark.parametrize("kind", [_Sharp, _Perturbing])
@pytest.mark.parametrize("settings", [{}, {"closure": True}])
def test_a_closure_is_passed_where_a_step_needs_it(kind: Any, settings: Any) -> None:
    calls: list[None] = []

    def training() -> Any:
        model = nn.Sequential(_model(), nn.Dropout(0.5))
        torch.manual_seed(2)
        return model, kind(model.parameters(), lr=0.1)

    model, optimizer = training()
    model.register_forward_hook(lambda *_: calls.append(None))
    step = _stepper(optimizer, _loss_of(model), **settings)
    losses = [step([(_X, _Y)]).item() for _ in range(4)]
    assert len(calls) == (4 if kind is _Sharp else 8)  # none in vain
    model, optimizer = training()

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(_X), _Y)
        loss.backward()
        return loss

    expected = []
    for _ in range(4):
        if kind is _Perturbing:
            expected.append(closure().item())
            optimizer.step(closure)
        else:
            expected.append(optimizer.step(closure).item())
    assert losses == expected


def test_the_error_of_a_started_step_names_the_setting() -> None:
    model = _model()
    optimizer = _Perturbing(model.parameters(), lr=0.1)
    vars(optimizer)["checks"] = ""
    step = _stepper(optimizer, _loss_of(model))
    with pytest.raises(RuntimeError, match=r"=_Perturbing .* pass closure=True if it"):
        step([(_X, _Y)])


_NAME = "grad"  # not to be found in the code of a step


def test_the_error_of_a_gradient_without_a_graph_names_the_setting() -> None:
    class Hidden(SGD):
        def step(self, closure: Any = None) -> Any:
            parameters = self.param_groups[0]["params"]
            grads = [p.grad for p in parameters]
            getattr(torch.autograd, _NAME)(grads, parameters, grads)
            return super().step(closure)

    model = _model()
    step = _stepper(Hidden(model.parameters()), _loss_of(model))
    with pytest.raises(RuntimeError, match=r"=Hidden .* pass create_graph=True if it"):
        step([(_X, _Y)])


def test_an_error_of_a_step_stays_the_optimizers_own() -> None:
    class Broken(SGD):
        def step(self, closure: Any = None) -> Any:  # noqa: ARG002 (of torch's)
            msg = "broken"
            raise KeyError(msg)

    model = _model()
    for settings in ({}, {"grad_scaler": torch.amp.GradScaler("cpu")}):
        step = _stepper(Broken(model.parameters()), _loss_of(model), **settings)
        with pytest.raises(KeyError, match="broken"):
            step([(_X, _Y)])


@pytest.mark.filterwarnings("ignore:Using backward.* with create_graph=True")
def test_a_graph_of_gradients_is_freed() -> None:
    model = _model()
    step = _stepper(SGD(model.parameters()), _loss_of(model), create_graph=True)
    step([(_X, _Y)])
    gone = weakref.ref(model.weight)
    del model, step
    gc.collect()
    assert gone() is None


def test_steps_in_the_backward_pass_are_refused() -> None:
    model = _model()
    own = {p: SGD([p], lr=0.1) for p in model.parameters()}

    def step(parameter: torch.Tensor) -> None:
        own[parameter].step()  # type: ignore[index]  # a parameter
        parameter.grad = None

    for parameter in model.parameters():
        parameter.register_post_accumulate_grad_hook(step)
    optimizer = SGD(model.parameters(), lr=0.1)
    for scaler in (None, torch.amp.GradScaler("cpu")):
        with pytest.raises(RuntimeError, match="in the backward pass itself"):
            _stepper(optimizer, _loss_of(model), scaler)([(_X, _Y)])
