"""Checks of the arguments of a test that are no settings, and of several together."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

from torch import nn

from lrwidget.curve.checks import check_function
from lrwidget.curve.short_repr import short_repr
from lrwidget.engine.optimizers import needs_closure

if TYPE_CHECKING:
    from torch.optim import Optimizer


def check_trained(model: object, optimizer: object) -> None:
    """Raise unless an optimizer can train a model."""
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
            "pass one with requires_grad=True in some of its parameters"
        )
        raise ValueError(msg)
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


def check_scaler(grad_scaler: object, optimizer: Optimizer) -> None:
    """Raise unless a gradient scaler, if any, can scale for an optimizer."""
    if grad_scaler is not None and needs_closure(optimizer):
        msg = (
            f"grad_scaler={short_repr(grad_scaler)} cannot scale for "
            f"{type(optimizer).__name__}, which evaluates the loss itself; pass None"
        )
        raise ValueError(msg)


def check_functions(loss_fn: object, training_step: object) -> None:
    """Raise unless one function at most gives the loss, in place of the model."""
    check_function("loss_fn", loss_fn)
    if inspect.isclass(loss_fn):
        name = loss_fn.__name__
        msg = (
            f"loss_fn={short_repr(loss_fn)} is a class; pass an object of it: {name}()"
        )
        raise TypeError(msg)
    if loss_fn is not None and training_step is not None:
        both = (
            f"loss_fn={short_repr(loss_fn)} and "
            f"training_step={short_repr(training_step)}"
        )
        msg = f"{both} both give the loss; pass one of them"
        raise ValueError(msg)
