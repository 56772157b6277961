"""The validation loss of a model."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from lrwidget.engine.batches import samples_in
from lrwidget.engine.optimizers import set_mode

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from torch import Tensor, nn
    from torch.optim import Optimizer

    from lrwidget.engine.losses import LossOf


def mean_loss(loss_of: LossOf, batches: Iterable[Any]) -> Tensor:
    """Return the mean loss of some batches, weighted by their numbers of samples."""
    total, samples = summed_loss(loss_of, weighted(batches))
    if not samples:
        raise no_loss()
    return total / samples


def weighted(batches: Iterable[Any]) -> Iterator[tuple[Any, int]]:
    """Yield each batch with its number of samples."""
    return ((batch, samples_in(batch)) for batch in batches)


def summed_loss(
    loss_of: LossOf, batches: Iterable[tuple[Any, int]]
) -> tuple[Tensor, int]:
    """Return the sum of the losses of all samples, and the number of these samples."""
    total = torch.zeros(())
    samples = 0
    with torch.no_grad():
        for batch, count in batches:
            loss = loss_of(batch)
            if loss is not None and count:
                total = total.to(loss.device, torch.float64) + loss * count
                samples += count
    return total, samples


def no_loss() -> ValueError:
    """Return the error of batches that have no loss."""
    msg = "val_loader gave no batch that has a loss; pass one with some"
    return ValueError(msg)


@contextmanager
def evaluating(model: nn.Module, optimizer: Optimizer) -> Iterator[None]:
    """Put a model into evaluation mode, and each part back into its mode at the end."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    set_mode(optimizer, "eval")
    try:
        yield
    finally:
        # by train(), since the train() of some modules does more than set the flag
        model.train()
        for module, training in modes:
            if module.training != training:
                module.train(training)
        set_mode(optimizer, "train")
