"""Optimizers: learning rates, steps, modes, and the differences between classes."""

from __future__ import annotations

import dis
import inspect
from contextlib import suppress
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

import numpy as np
import torch
from torch import nn
from torch._C._autograd import _profiler_enabled
from torch.optim import Optimizer
from torch.optim.optimizer import (
    _global_optimizer_post_hooks,
    _global_optimizer_pre_hooks,
)

from lrwidget.curve.checks import check_object
from lrwidget.curve.short_repr import short_repr

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Sequence

    import numpy.typing as npt

    Rates: TypeAlias = npt.NDArray[np.float64]

_RATES = "lr", "initial_lr"  # in a parameter group
# The code of the function in which torch wraps the step of each class, for its profiler
# and for hooks; None where another library has replaced it.
_TORCH_WRAPPER = getattr(Optimizer.profile_hook_step(print), "__code__", None)


class Optimizers:
    """Several optimizers of different parameters, with the methods a test needs."""

    def __init__(self, optimizers: Sequence[Optimizer]) -> None:
        self.optimizers = tuple(optimizers)

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """The groups of all optimizers, in their order."""
        return [group for each in self.optimizers for group in each.param_groups]

    def zero_grad(self) -> None:
        """Remove the gradients of all parameters."""
        for each in self.optimizers:
            each.zero_grad()

    def step(self) -> None:
        """Take a step of each optimizer."""
        for each in self.optimizers:
            each.step()


def as_one(optimizer: Optimizer | Sequence[Optimizer]) -> Optimizer:
    """Return an optimizer, or several in a list or tuple as one."""
    one = Optimizers(optimizer) if isinstance(optimizer, list | tuple) else optimizer
    return cast("Optimizer", one)  # it has all that a test uses


def each_of(optimizer: object) -> Sequence[Any]:
    """Return the optimizers inside of `Optimizers`, or one optimizer in a tuple."""
    return optimizer.optimizers if isinstance(optimizer, Optimizers) else (optimizer,)


def optimizers_in(optimizer: object) -> list[Any]:
    """Return an optimizer, and the optimizers in its attributes, such as SAM's."""
    found = [optimizer]
    for holder in found:  # the list grows in the loop
        for value in vars(holder).values():
            for inner in value if isinstance(value, list | tuple) else (value,):
                if isinstance(inner, Optimizer) and inner not in found:
                    found.append(inner)
    return found


def clearing(optimizer: Optimizer) -> Callable[[], object]:
    """
    Return the function that removes the gradients of an optimizer's parameters.

    It does the same as torch's `zero_grad`, without the record for torch's profiler,
    which takes longer than all else that a range test adds to a training. An optimizer
    with its own `zero_grad` keeps it.
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
    Return the function that takes a step of an optimizer without a closure.

    It does the same as ``optimizer.step()``, without the record for torch's profiler
    (see `clearing`). It calls ``optimizer.step()`` itself while the profiler runs, and
    if the step has hooks or was replaced, even after the last step.
    """
    step: Any = type(optimizer).step
    is_wrapped = getattr(step, "__code__", ...) is _TORCH_WRAPPER
    own = step.__wrapped__ if is_wrapped else None

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
    """Whether the signature of an optimizer shows that it evaluates the loss itself."""
    closure = _closure(type(optimizer).step)
    return closure is not None and closure.default is inspect.Parameter.empty


def takes_closure(optimizer: Optimizer) -> bool:
    """Whether an optimizer can evaluate the loss itself."""
    return _closure(type(optimizer).step) is not None


@cache  # it takes a third of a short training step
def _closure(step: Callable[..., object]) -> inspect.Parameter | None:
    return inspect.signature(step).parameters.get("closure")


def needs_graph(optimizer: Optimizer) -> bool:
    """Whether an optimizer differentiates the gradients, as far as its code shows."""
    return any(_differentiates(each.__class__) for each in optimizers_in(optimizer))


@cache
def _differentiates(kind: Any) -> bool:  # noqa: ANN401 (a class of optimizers)
    """Whether the code of a step or of its helpers calls `autograd.grad`."""
    found = [inspect.unwrap(kind.step)]
    for function in found:  # the list grows in the loop
        if not inspect.isfunction(function) or function.__module__.startswith("torch."):
            continue
        names = [part.argval for part in dis.get_instructions(function) if part.argval]
        if ("autograd", "grad") in pairwise(names):
            return True
        for name in function.__code__.co_names:
            inner = getattr(kind, name, function.__globals__.get(name))
            if inspect.isroutine(inner) and inspect.unwrap(inner) not in found:
                found.append(inspect.unwrap(inner))
    return torch.autograd.grad in found


def set_mode(optimizer: Optimizer, mode: Literal["train", "eval"]) -> None:
    """
    Set the mode of an optimizer with modes, such as the optimizers of schedulefree.

    The weights in evaluation differ from the weights in training.
    """
    for each in each_of(optimizer):
        change = getattr(each, mode, None)
        if callable(change):
            change()


def rate_ratios(optimizer: Optimizer) -> list[float]:
    """
    Return the rate of each parameter group divided by the rate of the last group.

    The last group is the reference, as in fastai: it is the head of a model that is
    fine-tuned with discriminative rates. If a warm-up scheduler has set a rate to 0,
    the ``initial_lr`` of the groups counts. A group with an ``lr_scale``, as in timm,
    is trained at ``lr * lr_scale``. ValueError if a rate is not finite and above 0.
    """
    groups = optimizer.param_groups
    rates = _rates(groups)
    scaled = rates * _scales(groups, rates)
    ratios: list[float] = (scaled / scaled[-1]).tolist()
    return ratios


def memory(optimizer: Optimizer) -> float:
    """Return how many steps the last group averages over: 1 / (1 - its momentum)."""
    group = optimizer.param_groups[-1]
    for key in ("momentum", "beta1", "betas"):
        value: Any = group.get(key)
        with suppress(TypeError, LookupError):  # of a number, and of no numbers
            value = value[0]
        share = _number(value)
        if 0 < share < 1:
            return 1 / (1 - share)
    return 1.0


def _rates(groups: list[dict[str, Any]], *keys: str) -> Rates:
    """Return the rates of groups under the first key that all groups have."""
    for key in keys or _RATES:
        rates = _numbers(groups, key)
        if ((rates > 0) & np.isfinite(rates)).all():
            return rates
    msg = (
        f"optimizer has learning rates {[group.get('lr') for group in groups]} in its "
        "parameter groups; give each group a rate above 0, since the test keeps the "
        "ratios of the rates"
    )
    raise ValueError(msg)


def _scales(groups: list[dict[str, Any]], rates: Rates) -> Rates:
    """Return the ``lr_scale`` of each group, or 1 if the rates include it already."""
    scales = _numbers(groups, "lr_scale", 1.0)
    # The rates after a scheduler of timm, which multiplies by the scales.
    usual = scales * _numbers(groups, "initial_lr", 1.0)
    applied = np.allclose(rates * usual[-1], usual * rates[-1], rtol=1e-5, atol=0)
    return np.ones_like(scales) if applied else scales


def _numbers(groups: list[dict[str, Any]], key: str, default: float = 0.0) -> Rates:
    return np.array([_number(group.get(key, default)) for group in groups])


def _number(rate: object) -> float:
    try:
        return float(rate)  # type: ignore[arg-type]  # raises TypeError
    # Some optimizers choose the rate themselves; a tensor may have several numbers.
    except (TypeError, ValueError, RuntimeError):
        return 0.0


def check_trained(
    model: object,
    optimizer: Any,  # noqa: ANN401 (as it was passed)
    beside: Sequence[object] = (),
) -> None:
    """
    Raise unless an optimizer has parameters of a model.

    One of several may have those of modules, or parameters, beside the model only.
    """
    check_object("model", model, "...")
    if not isinstance(model, nn.Module):
        msg = (
            f"model={short_repr(model)} must be a torch.nn.Module; "
            "pass for example torch.nn.Linear(8, 2)"
        )
        raise TypeError(msg)
    trainable = {id(p) for p in model.parameters() if p.requires_grad}
    if not trainable:
        msg = (
            f"model={short_repr(model)} has no trainable parameter; "
            "pass a model with parameters that have requires_grad=True"
        )
        raise ValueError(msg)
    modules = [x for x in beside if isinstance(x, nn.Module)]
    known = {id(p) for x in modules for p in x.parameters()} | set(map(id, beside))
    several = each_of(optimizer)
    for each in several:
        _check_parameters(each, trainable | known)
    if several:
        _check_parameters(optimizer, trainable)


def check_optimizer(
    optimizer: Any,  # noqa: ANN401 (as above)
    grad_scaler: object,
    lrs: Sequence[float],
    *,
    closure: bool = False,
) -> None:
    """Raise unless an optimizer can train at some learning rates."""
    several = each_of(optimizer)
    groups = optimizer.param_groups
    held = [id(p) for group in groups for p in group["params"]]
    evaluating = closure or any(map(needs_closure, several))
    if len(several) != 1 and (evaluating or not 0 < len(held) == len(set(held))):
        msg = (
            f"optimizer={short_repr(list(several))} must be one optimizer, or several "
            "of different parameters, none of which evaluates the loss itself in a "
            "closure; pass such optimizers"
        )
        raise ValueError(msg)
    if grad_scaler is not None and evaluating:
        msg = (
            f"grad_scaler={short_repr(grad_scaler)} cannot be used with "
            f"{type(optimizer).__name__}, which evaluates the loss itself; pass None"
        )
        raise ValueError(msg)
    _check_rounded(groups, rate_ratios(optimizer), lrs)


def _check_parameters(optimizer: Any, trainable: Container[int]) -> None:  # noqa: ANN401 (as above)
    """Raise unless an optimizer has some of the trainable parameters, given by id."""
    check_object("optimizer", optimizer, "model.parameters()")
    groups = getattr(optimizer, "param_groups", None)
    if not isinstance(groups, list) or not callable(getattr(optimizer, "step", None)):
        msg = (
            f"optimizer={short_repr(optimizer)} must be a torch optimizer; "
            "pass for example torch.optim.SGD(model.parameters(), lr=0.1)"
        )
        raise TypeError(msg)
    if not any(id(p) in trainable for group in groups for p in group["params"]):
        msg = (
            f"optimizer={short_repr(optimizer)} holds none of the model's trainable "
            "parameters; make it with model.parameters(), after the model was "
            "moved, replaced or unfrozen"
        )
        raise ValueError(msg)


def _check_rounded(
    groups: list[dict[str, Any]], ratios: list[float], rates: Sequence[float]
) -> None:
    """
    Raise where a learning rate that is a tensor cannot hold the rates of a test.

    The recorded rates are the rates of the last group, rounded to the type of its
    tensor. The rates of the other groups may be rounded, but not to infinity.
    """
    instead = "or an optimizer whose lr is a float"
    for number, (group, ratio) in enumerate(zip(groups, ratios, strict=True)):
        if isinstance(group.get("lr"), torch.Tensor):
            highest = _rounded([rates[-1] * ratio], group["lr"].dtype)
            if not highest.isfinite().all():
                msg = (
                    f"end_lr={rates[-1]} is too high for the learning rate of "
                    f"optimizer.param_groups[{number}], a tensor of "
                    f"{group['lr'].dtype}; pass a lower one, {instead}"
                )
                raise ValueError(msg)
    last = groups[-1].get("lr")
    if not isinstance(last, torch.Tensor):
        return
    rounded = _rounded(rates, last.dtype)
    if not rounded[0] > 0:
        msg = (
            f"start_lr={rates[0]} is 0 as {last.dtype}, the type of the optimizer's "
            f"learning rate; pass a higher one, {instead}"
        )
        raise ValueError(msg)
    if not (rounded.diff() > 0).all():
        msg = (
            f"num_it={len(rates)} rates between start_lr={rates[0]} and "
            f"end_lr={rates[-1]} are too close to tell apart as {last.dtype}, the type "
            "of the optimizer's learning rate; pass fewer steps, a wider range, "
            f"{instead}"
        )
        raise ValueError(msg)


def _rounded(rates: Sequence[float], dtype: torch.dtype) -> torch.Tensor:
    """Return rates as numbers of a type, in double precision."""
    exact = torch.tensor(rates, dtype=torch.float64, device="cpu")
    return exact.to(dtype).to(torch.float64)


def apply_rate(optimizer: Optimizer, lr: float) -> None:
    """
    Set the rates for good, also for a scheduler that is made later.

    Such a scheduler starts from the ``initial_lr`` that an earlier scheduler has left
    in the groups. The ratios of these stay the same. A scheduler of timm multiplies
    them by ``lr_scale``.
    """
    groups = optimizer.param_groups
    rates = _rates(groups)
    base = lr / float(_scales(groups, rates)[-1])  # a float of Python, not of NumPy
    set_rate(optimizer, base, (rates / rates[-1]).tolist())
    rates = _rates(groups, "initial_lr", "lr")
    initial = rates / rates[-1] * (lr / _numbers(groups, "lr_scale", 1.0)[-1])
    for group, rate in zip(groups, initial.tolist(), strict=True):
        if "initial_lr" in group:
            group["initial_lr"] = rate


def saved_rates(optimizer: Optimizer) -> Callable[[], None]:
    """Return a function that writes the present rates back, as `apply_rate` writes."""
    saved = [
        {name: (group[name], _copied(group[name])) for name in _RATES if name in group}
        for group in optimizer.param_groups
    ]

    def write_back() -> None:
        for group, rates in zip(optimizer.param_groups, saved, strict=False):
            for name, (rate, copied) in rates.items():
                if isinstance(rate, torch.Tensor):
                    rate.copy_(copied)  # which a compiled step may refer to
                group[name] = rate

    return write_back


def _copied(rate: Any) -> Any:  # noqa: ANN401 (a number, or a tensor of one)
    return rate.detach().clone() if isinstance(rate, torch.Tensor) else rate


def set_rate(optimizer: Optimizer, lr: float, ratios: list[float]) -> float:
    """
    Set the rate of the last group, and the rates of the others by their ratios to it.

    Return the rate of the last group in the optimizer, where a tensor may round it.
    """
    rate = lr
    for group, ratio in zip(optimizer.param_groups, ratios, strict=True):
        rate = lr * ratio
        if isinstance(group["lr"], torch.Tensor):
            group["lr"].fill_(rate)
            # on the CPU, since a read from a GPU waits for it
            rate = torch.tensor(rate, dtype=group["lr"].dtype, device="cpu").item()
        else:
            group["lr"] = rate
    return rate
