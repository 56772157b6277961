"""The learning rates of an optimizer's parameter groups, moved together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch.optim import Optimizer


def rate_ratios(optimizer: Optimizer) -> list[float]:
    """
    Return the rate of each parameter group over that of the last one.

    The last group is the reference, as in fastai: it is the head of a model that
    is fine-tuned with discriminative rates. Under a warm-up scheduler that
    starts at 0 the groups' ``initial_lr`` counts.

    Raises
    ------
    ValueError
        If a rate is not finite and above 0, so that there are no ratios.
    """
    groups = optimizer.param_groups
    for key in ("lr", "initial_lr"):
        rates = [_number(group.get(key)) for group in groups]
        if all(0 < rate < float("inf") for rate in rates):
            return [rate / rates[-1] for rate in rates]
    msg = (
        f"optimizer has learning rates {[group.get('lr') for group in groups]} in its "
        "parameter groups; give each one above 0, since the test keeps their ratios"
    )
    raise ValueError(msg)


def _number(rate: object) -> float:
    try:
        return float(rate)  # type: ignore[arg-type]  # raises TypeError
    except (TypeError, ValueError):  # some optimizers find their rate themselves
        return 0.0


def check_rounded(optimizer: Optimizer, rates: Sequence[float]) -> None:
    """
    Raise where a learning rate that is a tensor cannot hold the rates of a test.

    Recorded are the rates as the last group has them: rounded to the type of its
    tensor. The others may round, but not to infinity, which a tensor refuses.

    Parameters
    ----------
    optimizer:
        The optimizer of the test.
    rates:
        The rates, finite, above 0 and strictly increasing.

    Raises
    ------
    ValueError
        If the last group's rates are not so once they are rounded, or the last rate of
        any group is not finite.
    """
    instead = "or an optimizer whose lr is a float"
    groups, ratios = optimizer.param_groups, rate_ratios(optimizer)
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
    Set the rates for good: those that a scheduler made later starts from, too.

    Such a scheduler takes a group's ``initial_lr``, where an earlier one left it.
    """
    set_rate(optimizer, lr, rate_ratios(optimizer))
    for group in optimizer.param_groups:
        if "initial_lr" in group:
            group["initial_lr"] = float(group["lr"])


def set_rate(optimizer: Optimizer, lr: float, ratios: list[float]) -> float:
    """
    Set the last group's rate, and the others' by their ratios to it.

    Returns the last group's, as the optimizer has it: a tensor may round it.
    """
    rate = lr
    for group, ratio in zip(optimizer.param_groups, ratios, strict=True):
        rate = lr * ratio
        if isinstance(group["lr"], torch.Tensor):
            group["lr"].fill_(rate)
            # not from its device, which would be to wait for it
            rate = torch.tensor(rate, dtype=group["lr"].dtype, device="cpu").item()
        else:
            group["lr"] = rate
    return rate
