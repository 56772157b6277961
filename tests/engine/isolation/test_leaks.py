from __future__ import annotations

from threading import Thread
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import SGD

from lrwidget.engine.isolation.components import Components, isolate
from lrwidget.engine.range_test import range_test

_BATCH = torch.ones(4, 3)


def _checked(loss_of: Any) -> Any:
    """Return a checked loss of a batch, given the original and its copy."""
    model = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    original = Components(model, SGD(model.parameters(), lr=0.1))
    isolated = isolate(original, "copy", None)
    assert isolated.without_originals is not None

    def compute(batch: torch.Tensor) -> torch.Tensor:
        loss: torch.Tensor = loss_of(model, isolated.components.model, batch)
        return loss

    return model, isolated.without_originals(compute)


def test_the_loss_of_a_copy() -> None:
    model, compute = _checked(lambda _original, copied, x: copied(x).square().mean())
    assert compute(_BATCH) == model(_BATCH).square().mean()


def test_an_original_is_not_even_called() -> None:
    model, compute = _checked(lambda original, _copied, x: original(x).mean())
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    with pytest.raises(
        ValueError, match=r"Sequential of the original.*isolation='restore'"
    ):
        compute(_BATCH)
    assert all(torch.equal(before[name], b) for name, b in model.named_buffers())


def test_a_part_of_an_original_is_not_called() -> None:
    _, compute = _checked(lambda original, copied, x: copied(original[0](x)).mean())
    with pytest.raises(ValueError, match="Linear of the original"):
        compute(_BATCH)


def test_changes_by_another_method_are_undone() -> None:
    class Counting(nn.Linear):
        calls = 0

        def loss(self, inputs: torch.Tensor) -> Any:
            self.calls += 1
            return self.forward(inputs).mean()

    model = Counting(3, 1)
    settings: Any = {"training_step": lambda _model, batch: model.loss(batch)}
    with pytest.raises(
        ValueError, match=r"on the original model.*use the model that trai"
    ):
        range_test(model, SGD(model.parameters(), lr=0.1), [_BATCH], **settings)
    assert vars(model).get("calls") is None


def test_the_originals_parameters() -> None:
    _, compute = _checked(lambda original, copied, x: copied(x) @ original[0].weight)
    with pytest.raises(ValueError, match="depends on the original model"):
        compute(_BATCH)


def test_a_first_batch_without_a_loss_is_not_all_that_is_looked_at() -> None:
    batches = iter(["skipped"])

    def loss_of(original: nn.Module, _copied: nn.Module, x: torch.Tensor) -> Any:
        return None if next(batches, None) else original(x).mean()

    _, compute = _checked(loss_of)
    assert compute(_BATCH) is None
    with pytest.raises(ValueError, match="of the original"):
        compute(_BATCH)


def test_another_thread_may_call_the_original() -> None:
    outputs = []

    def loss_of(original: nn.Module, copied: nn.Module, x: torch.Tensor) -> Any:
        thread = Thread(target=lambda: outputs.append(original(x)))
        thread.start()
        thread.join()
        return copied(x).mean()

    _, compute = _checked(loss_of)
    compute(_BATCH)
    assert len(outputs) == 1
