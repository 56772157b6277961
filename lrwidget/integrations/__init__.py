"""The arguments of a range test, from the objects of other frameworks."""

from __future__ import annotations

import copy
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from lrwidget.config import is_kind
from lrwidget.engine.isolation.random_state import RandomState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from torch import nn
    from torch.optim import Optimizer

T = TypeVar("T")


class Parts(NamedTuple):
    """The parts of a training: arguments of `RangeTest`, from a framework's object."""

    model: nn.Module
    optimizer: Optimizer
    dataloader: Iterable[Any]
    settings: dict[str, Any]
    # Writes a learning rate to the attributes that the framework's training reads, and
    # returns their names.
    write_rate: Callable[[float], str]
    # Returns a function that writes back what these attributes are now.
    save_rates: Callable[[], Callable[[], None]]
    total_steps: int | None = None  # of the framework's training, where it is known

    def arguments(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments of a `RangeTest`; the given settings have precedence."""
        own = {"model": self.model, "optimizer": self.optimizer}
        return {**own, "dataloader": self.dataloader, **self.settings, **settings}


def parts_from(framework: str, *objects: object) -> Parts:
    """Return the parts of a training, and leave random states and objects unchanged."""
    integration = import_module(f"{__name__}.{framework}")
    random_state = RandomState()
    try:
        parts: Parts = integration.parts_of(*objects)
    finally:
        random_state.restore()
    return parts


def check_kind(name: str, value: object, kind: str, example: str) -> None:
    """Raise unless a value is an instance of a class with a name, or of a subclass."""
    if not is_kind(value, kind):
        msg = f"{name}=<{type(value).__name__}> must be a {kind}; pass {example}"
        raise TypeError(msg)


def do_nothing(*_args: object, **_kwargs: object) -> None:
    """Take the place of a function that would log or loop."""


def aside(value: T) -> T:
    """Return a shallow copy of a value, with all its attributes."""
    twin = copy.copy(value)
    vars(twin).update(vars(value))  # also attributes that its own __copy__ leaves out
    return twin
