"""The validation loss of a model."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from lrwidget.engine.batches import samples_in
from lrwidget.engine.optimizers import set_mode

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from torch import Tensor, nn
    from torch.optim import Optimizer

    from lrwidget.engine.losses import LossOf


class BatchLosses(NamedTuple):
    """The mean loss of each batch of a validation, and the number of its samples."""

    losses: list[float]
    samples: list[int]

    def mean(self) -> float:
        """Return the mean loss of all samples; ValueError if there is none."""
        count = sum(self.samples)
        if not count:
            msg = "val_loader gave no batch that has a loss; pass one with some"
            raise ValueError(msg)
        pairs = zip(self.losses, self.samples, strict=True)
        return sum(loss * samples for loss, samples in pairs) / count


def batch_losses(loss_of: LossOf, batches: Iterable[tuple[Any, int]]) -> BatchLosses:
    """Return the losses of some batches, given with their numbers of samples."""
    losses: list[Tensor] = []
    samples: list[int] = []
    with torch.no_grad():
        for batch, count in batches:
            loss = loss_of(batch)
            if loss is not None and count:
                losses.append(loss.detach().reshape(()))
                samples.append(count)
    # One wait for the device.
    known = torch.stack(losses).tolist() if losses else []
    return BatchLosses(known, samples)


def weighted(batches: Iterable[Any]) -> Iterator[tuple[Any, int]]:
    """Yield each batch with its number of samples."""
    return ((batch, samples_in(batch)) for batch in batches)


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
