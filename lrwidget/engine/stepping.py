"""From the loss of each batch to an optimizer step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from lrwidget.engine.optimizers import clearing, needs_closure, parameters_of, stepping

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor
    from torch.amp import GradScaler
    from torch.optim import Optimizer

    from lrwidget.engine.losses import LossOf


class StepSkippedError(Exception):
    """
    An optimizer step was not done.

    Attributes
    ----------
    loss:
        The mean loss of a step that the gradient scaler has skipped; None if no batch
        has a loss.
    """

    def __init__(self, loss: Tensor | None) -> None:
        super().__init__(loss)
        self.loss = loss


def stepper(
    optimizer: Optimizer,
    loss_of: LossOf,
    grad_scaler: GradScaler | None = None,
    clip_grad_norm: float | None = None,
) -> Stepper:
    """
    Return the `Stepper` of a training.

    Parameters
    ----------
    optimizer:
        The optimizer.
    loss_of:
        Function that computes the loss of a batch, or None for a batch without one.
    grad_scaler:
        Scaler of the losses, which skips steps with gradients that are not finite. It
        has no effect on an optimizer that evaluates the loss itself.
    clip_grad_norm:
        The limit of the norm of the gradients; None for no limit.
    """
    if needs_closure(optimizer):
        return _WithClosure(optimizer, loss_of, clip_grad_norm)
    if grad_scaler is not None:
        return _Scaled(optimizer, loss_of, clip_grad_norm, grad_scaler)
    return Stepper(optimizer, loss_of, clip_grad_norm)


class Stepper:
    """The steps of an optimizer that needs the gradients alone."""

    def __init__(
        self, optimizer: Optimizer, loss_of: LossOf, clip_grad_norm: float | None
    ) -> None:
        self._optimizer = optimizer
        self._loss_of = loss_of
        self._clear = clearing(optimizer)
        self._take = stepping(optimizer)
        self._clip = clip_grad_norm

    def step(self, batches: Sequence[Any]) -> Tensor:
        """
        Do one step with the mean gradient of one batch or more.

        Returns
        -------
        :
            The mean loss before the step; it stays on its device, unread.

        Raises
        ------
        StepSkippedError
            If the step is not done.
        ValueError
            If a loss depends on no trainable parameter.
        """
        loss = self._differentiated(batches)
        if self._clip is not None:
            self._clip_gradients(self._clip)
        self._take()
        return loss

    def _differentiated(
        self,
        batches: Sequence[Any],
        scale: Callable[[Tensor], Tensor] | None = None,
    ) -> Tensor:
        """
        Set the gradients, and return the mean loss.

        A batch without a loss has a gradient of zero, as in Lightning.
        """
        self._clear()
        losses = []
        for batch in batches:
            loss = self._loss_of(batch)
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
            (loss if scale is None else scale(loss)).backward()
        if not losses:
            raise StepSkippedError(None)
        return losses[0] if len(losses) == 1 else mean(losses)

    def _clip_gradients(self, norm: float) -> None:
        torch.nn.utils.clip_grad_norm_(parameters_of(self._optimizer), norm)


class _Scaled(Stepper):
    """The steps with a gradient scaler, which may skip some."""

    def __init__(
        self,
        optimizer: Optimizer,
        loss_of: LossOf,
        clip_grad_norm: float | None,
        scaler: GradScaler,
    ) -> None:
        super().__init__(optimizer, loss_of, clip_grad_norm)
        self._scaler = scaler

    def step(self, batches: Sequence[Any]) -> Tensor:
        loss = self._differentiated(batches, self._scaler.scale)
        if self._clip is not None:
            self._scaler.unscale_(self._optimizer)
            self._clip_gradients(self._clip)
        scale = self._scaler.get_scale()
        self._scaler.step(self._optimizer)
        self._scaler.update()
        # A skipped step shows in this way only.
        if self._scaler.get_scale() < scale:
            raise StepSkippedError(loss.detach())
        return loss


class _WithClosure(Stepper):
    """
    The steps of an optimizer that evaluates the loss itself, such as LBFGS.

    The loss of a step is the loss of the first evaluation.
    """

    def step(self, batches: Sequence[Any]) -> Tensor:
        losses: list[Tensor] = []

        def closure() -> float:
            losses.append(self._differentiated(batches).detach())
            if self._clip is not None:
                self._clip_gradients(self._clip)
            return losses[-1].item()

        self._optimizer.step(closure)
        return losses[0]


def mean(losses: Sequence[Tensor]) -> Tensor:
    """Return the mean of some losses, in double precision where their device can."""
    on_apple = any(loss.device.type == "mps" for loss in losses)  # has no float64
    precise = torch.float32 if on_apple else torch.float64
    single = [loss.detach().reshape(()).to(precise) for loss in losses]
    return torch.stack(single).mean()
