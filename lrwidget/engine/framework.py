"""The training step of a framework, which computes gradients and takes steps itself."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, NamedTuple

from torch import nn

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    import torch
    from torch import Tensor
    from torch.amp import GradScaler
    from torch.optim import Optimizer

    from lrwidget.config import TestConfig
    from lrwidget.engine.losses import LossOf
    from lrwidget.engine.stepping import Stepper


class Trained(NamedTuple):
    """The parts that a test trains, copies or originals, and its settings."""

    model: nn.Module
    optimizer: Optimizer
    grad_scaler: GradScaler | None
    stepper: Stepper
    device: torch.device
    precision: Callable[[], AbstractContextManager[object]]  # for a forward pass
    config: TestConfig  # all settings


class FrameworkStep(nn.Module):
    """
    The training step of a framework, passed as the ``training_step`` of a test.

    It does a whole optimizer step as the framework does, with the framework's hooks. It
    is a module, since a test copies or restores modules: model and step are copied in
    one `deepcopy`, so that the copied step refers to the copied model. A subclass has
    its own `__deepcopy__` if it holds parts to share, such as data sets.
    """

    epoch_ended = False  # whether the epoch ends before the last batch of the loader

    @property
    def notices(self) -> Sequence[str]:
        """Sentences on the parts of the framework's training that are left out."""
        return ()

    @abstractmethod
    def start(self, trained: Trained) -> None:
        """Prepare for the first epoch of a test."""

    def start_epoch(self) -> None:
        """Prepare for an epoch, a pass of the loader; also for the first epoch."""

    @abstractmethod
    def train_on(self, batch: Any) -> Tensor | None:  # noqa: ANN401 (any batch)
        """Add the gradients of a batch, and return its loss; None without a loss."""

    @abstractmethod
    def step(self, train_on: LossOf, batches: Sequence[Any]) -> Tensor:
        """
        Do an optimizer step, and return its loss.

        Parameters
        ----------
        train_on:
            The method `train_on` with the checks of the test; called in place of the
            method.
        batches:
            The batches of the step, of one epoch.

        Raises
        ------
        StepSkippedError
            If the step is not done.
        """

    @abstractmethod
    def forward(self, model: nn.Module, batch: Any) -> Any:  # noqa: ANN401 (as above)
        """Return the loss of a batch for validation, like a ``training_step``."""
