"""From the loss of each batch to an optimizer step."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from lrwidget.engine.optimizers import needs_closure, parameters_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor
    from torch.amp import GradScaler
    from torch.optim import Optimizer

    from lrwidget.engine.losses import LossOf


class Taken(NamedTuple):
    """
    What came of one optimizer step.

    Attributes
    ----------
    loss:
        The mean loss before it of its batches that have one; None if none has.
    skipped:
        Whether it was not done: the gradient scaler skipped it, or there is no loss.
    """

    loss: float | None
    skipped: bool = False


class Stepper:
    """
    Takes the optimizer steps of a training.

    An optimizer that evaluates the loss itself, as `torch.optim.LBFGS` does, is given
    a closure, and the loss is that of its first evaluation.

    Parameters
    ----------
    optimizer:
        The optimizer.
    grad_scaler:
        Scales the losses and skips the steps whose gradients are not finite. It can
        do nothing for an optimizer that evaluates the loss itself.
    clip_grad_norm:
        The most that the norm of the gradients may be.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        grad_scaler: GradScaler | None = None,
        clip_grad_norm: float | None = None,
    ) -> None:
        self._optimizer = optimizer
        self._clip = clip_grad_norm
        self._step: Callable[[LossOf, Sequence[Any]], Taken] = self._plain
        if needs_closure(optimizer):
            self._step = self._with_closure
        elif grad_scaler is not None:
            self._step = partial(self._scaled, grad_scaler)

    def step(self, loss_of: LossOf, batches: Sequence[Any]) -> Taken:
        """
        Do one step with the mean gradient of one batch or more.

        Parameters
        ----------
        loss_of:
            Computes the loss of a batch, or None where there is none.
        batches:
            The micro-batches of the step.

        Raises
        ------
        ValueError
            If a loss depends on no trainable parameter.
        """
        return self._step(loss_of, batches)

    def _plain(self, loss_of: LossOf, batches: Sequence[Any]) -> Taken:
        loss = self._differentiated(loss_of, batches)
        if loss is None:
            return Taken(None, skipped=True)
        self._clip_gradients()
        self._optimizer.step()
        return Taken(loss.item())

    def _scaled(
        self, scaler: GradScaler, loss_of: LossOf, batches: Sequence[Any]
    ) -> Taken:
        loss = self._differentiated(loss_of, batches, scaler)
        if loss is None:
            return Taken(None, skipped=True)
        if self._clip is not None:
            scaler.unscale_(self._optimizer)
            self._clip_gradients()
        scale = scaler.get_scale()
        scaler.step(self._optimizer)
        scaler.update()
        # It tells of a skipped step in this way only.
        return Taken(loss.item(), skipped=scaler.get_scale() < scale)

    def _with_closure(self, loss_of: LossOf, batches: Sequence[Any]) -> Taken:
        losses: list[float] = []

        def closure() -> float:
            loss = self._differentiated(loss_of, batches)
            if loss is None:
                raise _NoLossError
            self._clip_gradients()
            losses.append(loss.item())
            return losses[-1]

        try:
            self._optimizer.step(closure)
        except _NoLossError:
            return Taken(None, skipped=True)
        return Taken(losses[0])

    def _differentiated(
        self,
        loss_of: LossOf,
        batches: Sequence[Any],
        scaler: GradScaler | None = None,
    ) -> Tensor | None:
        """
        Set the gradients, and return the mean loss; None if there is none.

        A batch without a loss has a gradient of zero, as in Lightning.
        """
        self._optimizer.zero_grad()
        losses: list[Tensor] = []
        for batch in batches:
            loss = loss_of(batch)
            if loss is None:
                continue
            losses.append(loss.detach())
            if not loss.requires_grad:
                msg = (
                    "the loss depends on no trainable parameter; compute it with the "
                    "model that is passed, without detach() or no_grad()"
                )
                raise ValueError(msg)
            if len(batches) > 1:
                loss = loss / len(batches)
            (loss if scaler is None else scaler.scale(loss)).backward()
        if len(losses) > 1:
            return torch.stack(losses).mean()
        return losses[0] if losses else None

    def _clip_gradients(self) -> None:
        if self._clip is not None:
            parameters = parameters_of(self._optimizer)
            torch.nn.utils.clip_grad_norm_(parameters, self._clip)


class _NoLossError(Exception):
    """Leaves an optimizer that evaluates a loss where there is none."""
