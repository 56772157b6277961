"""What a framework's object comes down to."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from lrwidget.engine.kinds import is_kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from torch import nn
    from torch.optim import Optimizer

T = TypeVar("T")


class Parts(NamedTuple):
    """
    What a range test needs of a framework's object.

    Attributes
    ----------
    model, optimizer, dataloader:
        As `RangeTest` takes them.
    settings:
        Its keywords, for all that the object says about how it trains.
    write_rate:
        Writes a learning rate to where the framework's training takes it from, and
        returns the names of these places.
    """

    model: nn.Module
    optimizer: Optimizer
    dataloader: Iterable[Any]
    settings: dict[str, Any]
    write_rate: Callable[[float], str]


def check_kind(name: str, value: object, kind: str, example: str) -> None:
    """Raise unless a value is of a class of some name, or of one derived from it."""
    if not is_kind(value, kind):
        msg = f"{name}=<{type(value).__name__}> must be a {kind}; pass {example}"
        raise TypeError(msg)


def aside(value: T) -> T:
    """Return an object with the same attributes, to be changed instead of it."""
    twin = copy.copy(value)
    vars(twin).update(vars(value))  # also those that its own way to copy leaves out
    return twin
