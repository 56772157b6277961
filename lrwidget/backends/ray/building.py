"""What a worker trains, made there."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from ray import cloudpickle

from lrwidget.backends.base import DEFAULTS
from lrwidget.curve.short_repr import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from torch import nn
    from torch.optim import Optimizer

    from lrwidget.engine.losses import LossFunction

_PARTS = 4
_KNOWN_HERE = {*DEFAULTS, "record"}


class Built(NamedTuple):
    """
    What a worker trains.

    Attributes
    ----------
    model, optimizer, dataloader, loss_fn:
        As `RangeTest` takes them.
    more:
        Further arguments of it.
    """

    model: nn.Module
    optimizer: Optimizer
    dataloader: Iterable[Any]
    loss_fn: LossFunction | None
    more: dict[str, Any]


def built(build: Callable[[], Any], seed: int) -> Built:
    """
    Call a function that makes a training, and return what it has made.

    Parameters
    ----------
    build:
        The function.
    seed:
        Of the random numbers that it sees, so that all workers make the same.

    Raises
    ------
    TypeError, ValueError
        If it does not return what `LRWidget.on_ray` says.
    """
    seed_all(seed)
    made = build()
    if not isinstance(made, tuple) or len(made) not in {_PARTS, _PARTS + 1}:
        msg = (
            f"build={shown(build)} has returned {shown(made)}; return (model, "
            "optimizer, dataloader, loss_fn), and maybe a dict of further arguments"
        )
        raise TypeError(msg)
    more = made[_PARTS] if len(made) > _PARTS else {}
    if not isinstance(more, Mapping):
        msg = (
            f"build={shown(build)} has returned {shown(more)} as its fifth; return a "
            'dict of arguments of RangeTest there, such as {"val_loader": loader}'
        )
        raise TypeError(msg)
    for name in more:
        if name in _KNOWN_HERE:
            msg = (
                f"build={shown(build)} has returned {name}={shown(more[name])}, which "
                "the widget has to know; pass it to LRWidget.on_ray or to run"
            )
            raise ValueError(msg)
    model, optimizer, dataloader, loss_fn = made[:_PARTS]
    return Built(model, optimizer, dataloader, loss_fn, dict(more))


def pickled(name: str, value: object) -> bytes:
    """
    Return an argument as bytes that nobody on the way looks into.

    Raises
    ------
    TypeError
        If that cannot be done.
    """
    try:
        # Of a function in a notebook, that is the whole of it.
        contents: bytes = cloudpickle.dumps(value)
    except Exception as error:
        msg = f"{name}={shown(value)} cannot be sent to the workers: {error}"
        raise TypeError(msg) from error
    return contents


def seed_all(seed: int) -> None:
    """Seed the random numbers of Python, NumPy and torch."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 (what users draw from)
    torch.manual_seed(seed)
