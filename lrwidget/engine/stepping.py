"""From the loss of each batch to an optimizer step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from lrwidget.engine.optimizers import clearing, needs_closure, stepping

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor
    from torch.amp import GradScaler
    from torch.optim import Optimizer

    from lrwidget.engine.losses import LossOf


class StepSkippedError(Exception):
    """
    An optimizer step was not done.

    It has the mean loss of a step that the gradient scaler has skipped, or None where
    no batch has a loss.
    """

    def __init__(self, loss: Tensor | None) -> None:
        super().__init__(loss)
        self.loss = loss


def stepper(
    optimizer: Optimizer,
    grad_scaler: GradScaler | None = None,
    clip_grad_norm: float | None = None,
) -> Callable[[LossOf, Sequence[Any]], Tensor]:
    """
    Return the function that does one step with the mean gradient of some batches.

    It returns the mean loss before the step, which stays on its device, unread; it
    raises `StepSkippedError` if the step is not done.
    """
    clear, take = clearing(optimizer), stepping(optimizer)
    own = _Stepper(optimizer, clear, take, grad_scaler, clip_grad_norm)
    return own.step_with_closure if needs_closure(optimizer) else own.step


@dataclass
class _Stepper:
    """The optimizer steps of a training; a gradient scaler may skip some."""

    optimizer: Optimizer
    clear: Callable[[], object]
    take: Callable[[], object]
    grad_scaler: GradScaler | None
    clip_grad_norm: float | None

    def step(self, loss_of: LossOf, batches: Sequence[Any]) -> Tensor:
        """Do a step of an optimizer that needs the gradients alone."""
        scaler = self.grad_scaler
        loss = self._differentiated(loss_of, batches, scaler)
        if self.clip_grad_norm is not None:
            if scaler is not None:
                scaler.unscale_(self.optimizer)
            self._clip_gradients(self.clip_grad_norm)
        if scaler is None:
            self.take()
            return loss
        scale = scaler.get_scale()
        scaler.step(self.optimizer)
        scaler.update()
        # A skipped step shows in this way only.
        if scaler.get_scale() < scale:
            raise StepSkippedError(loss.detach())
        return loss

    def step_with_closure(self, loss_of: LossOf, batches: Sequence[Any]) -> Tensor:
        """
        Do a step of an optimizer that evaluates the loss itself, such as LBFGS.

        The loss of the step is that of the first evaluation.
        """
        losses: list[Tensor] = []

        def closure() -> float:
            losses.append(self._differentiated(loss_of, batches).detach())
            if self.clip_grad_norm is not None:
                self._clip_gradients(self.clip_grad_norm)
            return losses[-1].item()

        self.optimizer.step(closure)
        return losses[0]

    def _differentiated(
        self,
        loss_of: LossOf,
        batches: Sequence[Any],
        scaler: GradScaler | None = None,
    ) -> Tensor:
        """
        Set the gradients, and return the mean loss.

        A batch without a loss has a gradient of zero, as in Lightning.
        """
        self.clear()
        losses = []
        for batch in batches:
            loss = loss_of(batch)
            if loss is None:
                continue
            if not loss.requires_grad:
                msg = (
                    "the loss depends on no trainable parameter; compute it with the "
                    "model that is passed, without detach() or no_grad()"
                )
                raise ValueError(msg)
            if len(batches) == 1:
                losses.append(loss)
            else:
                losses.append(loss.detach())  # else its graph would be kept
                loss = loss / len(batches)
            (loss if scaler is None else scaler.scale(loss)).backward()
        if not losses:
            raise StepSkippedError(None)
        return losses[0] if len(losses) == 1 else mean(losses)

    def _clip_gradients(self, norm: float) -> None:
        groups = self.optimizer.param_groups
        parameters = [parameter for group in groups for parameter in group["params"]]
        torch.nn.utils.clip_grad_norm_(parameters, norm)


def mean(losses: Sequence[Tensor]) -> Tensor:
    """Return the mean of some losses, in double precision where their device can."""
    on_apple = any(loss.device.type == "mps" for loss in losses)  # has no float64
    precise = torch.float32 if on_apple else torch.float64
    single = [loss.detach().reshape(()).to(precise) for loss in losses]
    return torch.stack(single).mean()
