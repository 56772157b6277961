"""What Accelerate has prepared goes into the usual constructor."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState
from torch import nn
from torch.optim import AdamW

from lrwidget.engine.range_test import RangeTest, range_test
from tests.engine.training_parts import Net, loader, state

_LOSS = nn.CrossEntropyLoss()


@pytest.fixture(autouse=True)
def _fresh() -> Any:
    _forget()  # other tests in this process use Accelerate, too
    yield
    _forget()


def _forget() -> None:
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()


def _prepared(**options: Any) -> Any:
    torch.manual_seed(1)
    accelerator = Accelerator(cpu=True, **options)
    model = Net()
    optimizer = AdamW(model.parameters(), lr=0.01)
    return accelerator, *accelerator.prepare(model, optimizer, loader())


@pytest.mark.parametrize("isolation", ["copy", "restore"])
def test_a_prepared_triple(isolation: Any) -> None:
    accelerator, model, optimizer, batches = _prepared()
    before = state(model, optimizer.optimizer, batches.base_dataloader)
    curve = range_test(model, optimizer, batches, _LOSS, num_it=20, isolation=isolation)
    assert state(model, optimizer.optimizer, batches.base_dataloader) == before
    assert not accelerator.gradient_state.in_dataloader
    torch.manual_seed(1)
    plain = Net()
    expected = range_test(
        *(plain, AdamW(plain.parameters(), lr=0.01), loader(), _LOSS), num_it=20
    )
    assert curve.to_dict() == expected.to_dict()


def test_a_seed_is_that_of_a_prepared_loader() -> None:
    _, _, _, batches = _prepared()
    model = nn.Linear(8, 3)

    def losses(seed: int) -> list[float]:
        optimizer = AdamW(model.parameters())
        curve = range_test(model, optimizer, batches, _LOSS, num_it=10, seed=seed)
        return list(curve.losses)

    first = losses(5)
    list(batches)
    assert losses(5) == first
    assert losses(6) != first


@pytest.mark.parametrize("isolation", ["copy", "restore"])
def test_in_half_precision(isolation: Any) -> None:
    _, model, optimizer, batches = _prepared(mixed_precision="bf16")
    before = state(model, optimizer.optimizer)
    curve = range_test(model, optimizer, batches, _LOSS, num_it=20, isolation=isolation)
    assert np.isfinite(curve.losses).all()
    assert state(model, optimizer.optimizer) == before


def test_accumulation_is_an_argument() -> None:
    accelerator, model, optimizer, batches = _prepared(gradient_accumulation_steps=2)
    counted = 0

    def count(*_args: Any) -> None:
        nonlocal counted
        counted += 1

    optimizer.optimizer.register_step_post_hook(count)
    with accelerator.accumulate(model):
        assert not accelerator.sync_gradients
        range_test(model, optimizer, batches, _LOSS, num_it=10, accumulate=2)
        assert counted == 10
        range_test(model, [optimizer], batches, _LOSS, num_it=10, accumulate=2)
    assert counted == 20
    test = RangeTest(model, optimizer, batches, _LOSS)
    assert len(test.notices) == 1
    assert test.notices[0].endswith("pass accumulate=2.")
    assert not RangeTest(model, optimizer, batches, _LOSS, accumulate=2).notices


def test_training_goes_on_as_if_there_had_been_no_test() -> None:
    def weights(*, tested: bool) -> list[torch.Tensor]:
        accelerator, model, optimizer, batches = _prepared()
        for _ in range(2):
            for inputs, targets in batches:
                loss = _LOSS(model(inputs), targets)
                accelerator.backward(loss)
                optimizer.step()
                optimizer.zero_grad()
            if tested:
                range_test(model, optimizer, batches, _LOSS)
        return [value.clone() for value in model.state_dict().values()]

    for tested, bare in zip(weights(tested=True), weights(tested=False), strict=True):
        assert torch.equal(tested, bare)


def test_its_scaler_is_used() -> None:
    _, model, optimizer, batches = _prepared()
    optimizer.scaler = torch.amp.GradScaler("cpu")
    test = RangeTest(model, optimizer, batches, _LOSS)
    assert test._run.components.grad_scaler is optimizer.scaler
    assert test._run.components.optimizer is optimizer.optimizer
