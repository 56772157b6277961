"""From the loss of each batch to an optimizer step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from lrwidget.engine.optimizers import clearing, needs_closure, stepping

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

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


class Stepper:
    """The optimizer steps of a training; a gradient scaler may skip some."""

    def __init__(
        self,
        optimizer: Optimizer,
        grad_scaler: GradScaler | None = None,
        clip_grad_norm: float | None = None,
    ) -> None:
        self._optimizer = optimizer
        self._grad_scaler = grad_scaler
        self._clip_grad_norm = clip_grad_norm
        self._clear, self._step = clearing(optimizer), stepping(optimizer)
        self._with_closure = needs_closure(optimizer)

    def step(self, loss_of: LossOf, batches: Sequence[Any]) -> Tensor:
        """
        Do one step with the mean gradient of some batches.

        Return the mean loss before the step, which stays on its device, unread; raise
        `StepSkippedError` if the step is not done.
        """
        if self._with_closure:
            return self._step_with_closure(loss_of, batches)
        loss = self._differentiated(loss_of, batches, self._grad_scaler)
        self.clip()
        return self.take(loss)

    def clip(self, parameters: Iterable[Tensor] | None = None) -> None:
        """Clip the gradients of some parameters, or of those of the optimizer."""
        if self._clip_grad_norm is None:
            return
        if self._grad_scaler is not None:
            self._grad_scaler.unscale_(self._optimizer)
        if parameters is None:
            groups = self._optimizer.param_groups
            parameters = [p for group in groups for p in group["params"]]
        torch.nn.utils.clip_grad_norm_(parameters, self._clip_grad_norm)

    def take(self, loss: Tensor) -> Tensor:
        """Take the optimizer's step after its gradients, and return their loss."""
        scaler = self._grad_scaler
        if scaler is None:
            self._step()
            return loss
        scale = scaler.get_scale()
        scaler.step(self._optimizer)
        scaler.update()
        # A skipped step shows in this way only.
        if scaler.get_scale() < scale:
            raise StepSkippedError(loss.detach())
        return loss

    def _step_with_closure(self, loss_of: LossOf, batches: Sequence[Any]) -> Tensor:
        """
        Do a step of an optimizer that evaluates the loss itself, such as LBFGS.

        The loss of the step is that of the first evaluation.
        """
        losses: list[Tensor] = []

        def closure() -> float:
            losses.append(self._differentiated(loss_of, batches).detach())
            self.clip()
            return losses[-1].item()

        self._optimizer.step(closure)
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
        self._clear()
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


def mean(losses: Sequence[Tensor]) -> Tensor:
    """Return the mean of some losses, in double precision where their device can."""
    on_apple = any(loss.device.type == "mps" for loss in losses)  # has no float64
    precise = torch.float32 if on_apple else torch.float64
    single = [loss.detach().reshape(()).to(precise) for loss in losses]
    return torch.stack(single).mean()
