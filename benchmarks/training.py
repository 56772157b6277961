"""A small training, and all it is made of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, TensorDataset

if TYPE_CHECKING:
    from benchmarks.data import Data

Loss: TypeAlias = Callable[[Any, Any], Tensor]
Parameters: TypeAlias = Iterable[nn.Parameter]


class Training(NamedTuple):
    """All parts of a training except the learning rate."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    dataloader: DataLoader[Any]
    loss_fn: Loss
    data: Data

    @torch.no_grad()
    def val_loss(self) -> float:
        """Return the loss on the validation data."""
        self.model.eval()
        outputs = self.model(self.data.val_inputs)
        return self.loss_fn(outputs, self.data.val_targets).item()

    def batches(self) -> Iterator[Any]:
        """Yield the batches of one epoch after the other."""
        while True:
            yield from self.dataloader


class Task(NamedTuple):
    """
    A kind of training.

    Attributes
    ----------
    name:
        Name of the task, from its model and optimizer.
    model:
        Function that creates the model, with random numbers of torch's generator.
    optimizer:
        Function that creates the optimizer of some parameters.
    data:
        Function that returns the data.
    batch_size, steps:
        Samples per batch, and optimizer steps of the training.
    loss_fn:
        Loss function of the training and the validation.
    one_cycle:
        Whether PyTorch's ``OneCycleLR`` sets the rate, which is constant otherwise.
    end_lr:
        Last rate of a sweep, and of the rates at which `truth` trains.
    """

    name: str
    model: Callable[[], nn.Module]
    optimizer: Callable[[Parameters], torch.optim.Optimizer]
    data: Callable[[], Data]
    batch_size: int
    steps: int
    loss_fn: Loss = nn.functional.cross_entropy
    one_cycle: bool = False
    end_lr: float = 10.0

    def start(self, seed: int) -> Training:
        """Return a training at its start; the seed determines all random numbers."""
        data = self.data()
        torch.manual_seed(seed)
        model = self.model()
        examples = TensorDataset(data.inputs, data.targets)
        sampler = RandomSampler(examples)
        # The loader indexes a whole batch at once, which is many times faster.
        batches = BatchSampler(sampler, self.batch_size, drop_last=True)
        loader = DataLoader(examples, sampler=batches, batch_size=None)
        optimizer = self.optimizer(model.parameters())
        return Training(model, optimizer, loader, self.loss_fn, data)

    def train(self, training: Training, lr: float) -> float:
        """Train at a rate, and return the validation loss at the end."""
        optimizer = training.optimizer
        for group in optimizer.param_groups:
            group["lr"] = lr
        schedule = None
        if self.one_cycle:
            schedule = torch.optim.lr_scheduler.OneCycleLR(
                optimizer, lr, total_steps=self.steps
            )
        training.model.train()
        for _, (inputs, targets) in zip(
            range(self.steps), training.batches(), strict=False
        ):
            optimizer.zero_grad()
            loss = training.loss_fn(training.model(inputs), targets)
            if not loss.isfinite():  # no further step changes that
                return float("nan")
            loss.backward()
            optimizer.step()
            if schedule is not None:
                schedule.step()
        return training.val_loss()
