from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import LBFGS, SGD, AdamW

from lrwidget.engine.stepping import Stepper, Taken


def _model(seed: int = 1) -> nn.Linear:
    torch.manual_seed(seed)
    return nn.Linear(3, 1)


_X, _Y = torch.randn(16, 3), torch.randn(16, 1)


def _loss_of(model: nn.Module) -> Any:
    return lambda batch: nn.functional.mse_loss(model(batch[0]), batch[1])


@pytest.mark.parametrize("make", [SGD, AdamW, LBFGS])
def test_a_step_is_that_of_the_usual_loop(make: Any) -> None:
    model, by_hand = _model(), _model()
    stepper = Stepper(make(model.parameters(), lr=0.1))
    losses = [stepper.step(_loss_of(model), [(_X, _Y)]) for _ in range(5)]
    optimizer = make(by_hand.parameters(), lr=0.1)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(by_hand(_X), _Y)
        loss.backward()
        return loss

    expected = [Taken(optimizer.step(closure).item()) for _ in range(5)]
    assert losses == expected
    assert torch.equal(model.weight, by_hand.weight)


@pytest.mark.parametrize("make", [SGD, AdamW, LBFGS])
def test_accumulated_batches_are_as_good_as_a_large_one(make: Any) -> None:
    model, at_once = _model(), _model()
    small = list(zip(_X.split(4), _Y.split(4), strict=True))
    taken = Stepper(make(model.parameters(), lr=0.1)).step(_loss_of(model), small)
    expected = Stepper(make(at_once.parameters(), lr=0.1)).step(
        _loss_of(at_once), [(_X, _Y)]
    )
    assert taken.loss == pytest.approx(expected.loss)
    torch.testing.assert_close(model.weight, at_once.weight)


def test_gradients_are_clipped_to_a_norm() -> None:
    model = _model()
    before = [p.detach().clone() for p in model.parameters()]
    stepper = Stepper(SGD(model.parameters(), lr=1.0), clip_grad_norm=0.01)
    stepper.step(_loss_of(model), [(_X, 100 * _Y)])
    moved = [p - q for p, q in zip(model.parameters(), before, strict=True)]
    norm = torch.cat([m.flatten() for m in moved]).norm().item()
    assert norm == pytest.approx(0.01, rel=1e-5)


def test_a_scaler_changes_nothing_where_nothing_overflows() -> None:
    model, unscaled = _model(), _model()
    scaler = torch.amp.GradScaler("cpu", init_scale=1024)
    scaled = Stepper(SGD(model.parameters(), lr=0.1), scaler, clip_grad_norm=0.5)
    plain = Stepper(SGD(unscaled.parameters(), lr=0.1), clip_grad_norm=0.5)
    for _ in range(3):
        taken = scaled.step(_loss_of(model), [(_X, _Y), (_Y.expand(16, 3), _Y)])
        expected = plain.step(_loss_of(unscaled), [(_X, _Y), (_Y.expand(16, 3), _Y)])
        assert taken == expected
    torch.testing.assert_close(model.weight, unscaled.weight)


def test_a_scaler_skips_what_overflows() -> None:
    model = _model()
    before = model.weight.detach().clone()
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**127)
    stepper = Stepper(SGD(model.parameters(), lr=0.1), scaler)
    taken = stepper.step(_loss_of(model), [(_X, 1e4 * _Y)])
    assert taken.skipped
    assert taken.loss is not None
    assert math.isfinite(taken.loss)
    assert torch.equal(model.weight, before)
    assert scaler.get_scale() == 2.0**126


@pytest.mark.parametrize("make", [SGD, LBFGS])
def test_without_a_loss_there_is_no_step(make: Any) -> None:
    model = _model()
    before = model.weight.detach().clone()
    stepper = Stepper(make(model.parameters(), lr=0.1))
    assert stepper.step(lambda _: None, [(_X, _Y)]) == Taken(None, skipped=True)
    assert torch.equal(model.weight, before)


def test_the_mean_is_of_the_batches_that_have_a_loss() -> None:
    model = _model()
    losses = {1: 4.0, 2: None, 3: 2.0}

    def loss_of(batch: int) -> Any:
        loss = losses[batch]
        return None if loss is None else loss + 0 * model.weight.sum()

    stepper = Stepper(SGD(model.parameters(), lr=0.1))
    assert stepper.step(loss_of, [1, 2, 3]) == Taken(3.0)
    assert stepper.step(loss_of, [1, 2]) == Taken(4.0)


def test_a_loss_that_cannot_be_differentiated() -> None:
    stepper = Stepper(SGD(_model().parameters(), lr=0.1))
    with pytest.raises(ValueError, match=r"depends on no trainable .* without detach"):
        stepper.step(lambda _: torch.ones(()), [None])
