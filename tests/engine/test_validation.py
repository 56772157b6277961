from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import SGD

from lrwidget.engine.validation import (
    BatchLosses,
    batch_losses,
    evaluating,
    weighted,
)


def _of(loss_of: Any, batches: Any) -> BatchLosses:
    return batch_losses(loss_of, weighted(batches))


def test_the_losses_of_batches_and_the_mean_over_all_samples() -> None:
    samples = torch.arange(10.0)
    found = _of(lambda batch: batch.square().mean(), samples.split(4))
    assert found.samples == [4, 4, 2]
    assert found.losses == [14 / 4, (16 + 25 + 36 + 49) / 4, (64 + 81) / 2]
    assert found.mean() == samples.square().mean().item()


def test_without_gradients() -> None:
    weight = torch.ones(2, requires_grad=True)

    def loss_of(batch: Any) -> torch.Tensor:
        loss: torch.Tensor = (weight * batch).mean()
        assert not loss.requires_grad
        return loss

    assert _of(loss_of, [torch.ones(3, 2)]).mean() == 1


def test_batches_without_a_loss_have_no_part() -> None:
    losses = iter([torch.tensor(2.0), None, torch.tensor(4.0)])
    assert _of(lambda _: next(losses), [None] * 3) == ([2, 4], [1, 1])


def test_no_batch_with_a_loss() -> None:
    with pytest.raises(ValueError, match="val_loader gave no batch that has a loss"):
        _of(lambda _: None, [1, 2]).mean()


class Merging(nn.Linear):
    """A layer that merges its weights for evaluation, as adapters do."""

    merged = False
    merges = 0

    def train(self, mode: bool = True) -> Any:  # noqa: FBT001, FBT002 (torch's own)
        self.merges += self.merged != (not mode) and not mode
        self.merged = not mode
        return super().train(mode)


def test_each_part_gets_its_own_mode_back() -> None:
    model = nn.Sequential(nn.Dropout(), nn.BatchNorm1d(3), nn.Linear(3, 1))
    model[1].eval()
    model[2] = Merging(3, 1)
    calls = []

    class Moded(SGD):
        def train(self) -> None:
            calls.append("train")

        def eval(self) -> None:
            calls.append("eval")

    with evaluating(model, Moded(model.parameters())):
        assert not any(module.training for module in model.modules())
    assert [module.training for module in model.modules()] == [True, True, False, True]
    assert model[2].merges == 1
    assert not model[2].merged
    assert calls == ["eval", "train"]
