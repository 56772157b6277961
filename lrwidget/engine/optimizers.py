"""The ways in which optimizers differ from torch's usual ones."""

from __future__ import annotations

import inspect
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from torch._C._autograd import _profiler_enabled
from torch.optim import Optimizer
from torch.optim.optimizer import (
    _global_optimizer_post_hooks,
    _global_optimizer_pre_hooks,
)

from lrwidget.engine.kinds import is_kind

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor
    from torch.amp import GradScaler


# What torch wraps each class's step in, to note it for its profiler and to call hooks;
# None where another library has put something else in its place.
_TORCHS_WRAPPER = getattr(Optimizer.profile_hook_step(print), "__code__", None)


def parameters_of(optimizer: Optimizer) -> list[Tensor]:
    """Return what an optimizer trains."""
    return [p for group in optimizer.param_groups for p in group["params"]]


def clearing(optimizer: Optimizer) -> Callable[[], object]:
    """
    Return the function that removes the gradients of what an optimizer trains.

    That is torch's own without the note for its profiler, which takes longer than all
    else that a range test adds to a training; or an optimizer's own, if it has one.
    """
    zero_grad = optimizer.zero_grad
    if getattr(zero_grad, "__func__", None) is not Optimizer.zero_grad:
        return zero_grad

    def clear() -> None:
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                parameter.grad = None

    return clear


def stepping(optimizer: Optimizer) -> Callable[[], object]:
    """
    Return the function that takes a step of an optimizer that needs no closure.

    That is its own without the note for torch's profiler, which costs as much as that
    of `clearing`. While the profiler runs, or where somebody has hung hooks on the step
    or has replaced it, even since the last one, it is ``optimizer.step()``.
    """
    step: Any = type(optimizer).step
    is_torchs = getattr(step, "__code__", ...) is _TORCHS_WRAPPER
    own = step.__wrapped__ if is_torchs else None

    def take() -> None:
        if (
            own is None
            or type(optimizer).step is not step
            or "step" in vars(optimizer)
            or _has_hooks(optimizer)
            or _profiler_enabled()
        ):
            optimizer.step()
        else:
            own(optimizer)

    return take


def _has_hooks(optimizer: Optimizer) -> bool:
    return bool(
        optimizer._optimizer_step_pre_hooks  # noqa: SLF001 (torch has no other way)
        or optimizer._optimizer_step_post_hooks  # noqa: SLF001 (as above)
        or _global_optimizer_pre_hooks
        or _global_optimizer_post_hooks
    )


def needs_closure(optimizer: Optimizer) -> bool:
    """Whether an optimizer evaluates the loss itself."""
    return _takes_closure(type(optimizer).step)


@cache  # it takes a third of a short training step
def _takes_closure(step: Callable[..., object]) -> bool:
    closure = inspect.signature(step).parameters.get("closure")
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
