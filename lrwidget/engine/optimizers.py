"""The ways in which optimizers differ from torch's usual ones."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Literal

from lrwidget.engine.kinds import is_kind

if TYPE_CHECKING:
    from torch import Tensor
    from torch.amp import GradScaler
    from torch.optim import Optimizer


def parameters_of(optimizer: Optimizer) -> list[Tensor]:
    """Return what an optimizer trains."""
    return [p for group in optimizer.param_groups for p in group["params"]]


def needs_closure(optimizer: Optimizer) -> bool:
    """Whether an optimizer evaluates the loss itself."""
    closure = inspect.signature(optimizer.step).parameters.get("closure")
    return closure is not None and closure.default is inspect.Parameter.empty


def set_mode(optimizer: Optimizer, mode: Literal["train", "eval"]) -> None:
    """
    Put an optimizer that has modes, as those of schedulefree have, into one.

    In evaluation the weights are other ones than in training.
    """
    change = getattr(optimizer, mode, None)
    if callable(change):
        change()


def unwrapped(optimizer: Optimizer) -> tuple[Optimizer, GradScaler | None]:
    """
    Return an optimizer that Accelerate has wrapped, and the scaler that it has.

    Accelerate's takes a step only where its own count of batches says so.
    """
    if is_kind(optimizer, "AcceleratedOptimizer"):
        return optimizer.optimizer, optimizer.scaler  # type: ignore[attr-defined]  # has
    return optimizer, None
