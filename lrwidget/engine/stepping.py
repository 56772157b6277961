"""From the loss of each batch to an optimizer step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from lrwidget.engine.optimizers import (
    clearing,
    each_of,
    needs_closure,
    needs_graph,
    stepping,
    takes_closure,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from torch import Tensor
    from torch.amp import GradScaler
    from torch.optim import Optimizer

    from lrwidget.engine.losses import LossOf


_IN_BACKWARD = (
    "no gradient is left for the optimizer's step(), or the optimizer has no step(): "
    "the steps are taken in the backward pass itself, where the test cannot set the "
    "rate; pass a model without hooks that take steps, and an optimizer that takes "
    "its steps after the backward pass"
)


class StepSkippedError(Exception):
    """
    An optimizer step was not done.

    Its `loss` is the mean loss of a step that the gradient scaler has skipped, or None
    if no batch has a loss.
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
        *,
        closure: bool = False,
        create_graph: bool = False,
    ) -> None:
        self._optimizer = optimizer
        self._grad_scaler = grad_scaler
        self._clip_grad_norm = clip_grad_norm
        self._clear, self._step = clearing(optimizer), stepping(optimizer)
        self._with_closure = closure or needs_closure(optimizer)
        self._create_graph = create_graph or needs_graph(optimizer)
        if self._create_graph:
            # Else gradients and parameters refer to each other, and are never freed.
            step, clear = self._step, self._clear
            self._step = lambda: (step(), clear())
        self._untried = True

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
        if self._untried and self._grad_scaler is None:
            return self._first_step(loss_of, batches, loss)
        return self.take(loss)

    def clip(self, parameters: Iterable[Tensor] | None = None) -> None:
        """Clip the gradients of some parameters, or of those of the optimizer."""
        if self._clip_grad_norm is None:
            return
        if self._grad_scaler is not None:
            for optimizer in each_of(self._optimizer):
                self._grad_scaler.unscale_(optimizer)
        if parameters is None:
            parameters = self._parameters()
        torch.nn.utils.clip_grad_norm_(parameters, self._clip_grad_norm)

    def take(self, loss: Tensor) -> Tensor:
        """Take the optimizer's step after its gradients, and return their loss."""
        if self._untried:
            self._check_gradients()
        scaler = self._grad_scaler
        if scaler is None:
            self._step()
            return loss
        scale = scaler.get_scale()
        for optimizer in each_of(self._optimizer):
            scaler.step(optimizer)
        scaler.update()
        # A skipped step shows in this way only.
        if scaler.get_scale() < scale:
            raise StepSkippedError(loss.detach())
        return loss

    def _parameters(self) -> list[Tensor]:
        groups = self._optimizer.param_groups
        return [parameter for group in groups for parameter in group["params"]]

    def _check_gradients(self) -> None:
        self._untried = False
        if all(parameter.grad is None for parameter in self._parameters()):
            raise RuntimeError(_IN_BACKWARD)

    def _first_step(
        self, loss_of: LossOf, batches: Sequence[Any], loss: Tensor
    ) -> Tensor:
        """Do a step, with a closure if it fails without one, as the step of SAM."""
        self._check_gradients()
        versions = self._versions()
        try:
            return self.take(loss)
        except NotImplementedError as error:
            raise RuntimeError(_IN_BACKWARD) from error
        except Exception as error:
            setting = "create_graph" if "grad_fn" in str(error) else "closure"
            if setting == "create_graph" or versions != self._versions():
                msg = (
                    f"optimizer={type(self._optimizer).__name__} cannot take a step: "
                    f"{error}; pass {setting}=True if it needs that"
                )
                raise RuntimeError(msg) from error
            if not takes_closure(self._optimizer):
                raise
        self._with_closure = True
        return self._step_with_closure(loss_of, batches, loss)

    def _versions(self) -> list[int]:
        return [parameter._version for parameter in self._parameters()]  # noqa: SLF001 (torch has no other way)

    def _step_with_closure(
        self, loss_of: LossOf, batches: Sequence[Any], loss: Tensor | None = None
    ) -> Tensor:
        """
        Do a step of an optimizer that evaluates the loss itself, such as LBFGS.

        The loss of the step is the loss of the first evaluation. If the signature does
        not require a closure, the first evaluation is before the step, since some
        optimizers begin with gradients. The first call of the closure then evaluates
        only if the parameters or gradients have changed.
        """
        losses: list[Tensor] = [] if loss is None else [loss.detach()]

        def evaluate() -> Tensor:
            losses.append(self._differentiated(loss_of, batches).detach())
            self.clip()
            return losses[-1]

        if not losses and not needs_closure(self._optimizer):
            evaluate()
        known = [(x, x.grad, x.detach().clone()) for x in self._parameters() if losses]

        def closure() -> Tensor:
            same = known and all(
                x.grad is g and x.equal(value) for x, g, value in known
            )
            known.clear()
            return losses[-1] if same else evaluate()

        self._optimizer.step(closure)  # type: ignore[arg-type]  # torch takes tensors
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
            scaled = loss if scaler is None else scaler.scale(loss)
            scaled.backward(create_graph=self._create_graph)
        if not losses:
            raise StepSkippedError(None)
        return mean(losses)


def mean(losses: Sequence[Tensor]) -> Tensor:
    """Return the mean of losses, in double precision where their device has it."""
    if len(losses) == 1:
        return losses[0]
    on_apple = any(loss.device.type == "mps" for loss in losses)  # has no float64
    precise = torch.float32 if on_apple else torch.float64
    single = [loss.detach().reshape(()).to(precise) for loss in losses]
    return torch.stack(single).mean()
