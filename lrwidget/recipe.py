"""What a widget runs: its training, as it was given or with something else in it."""

from __future__ import annotations

import numbers
from typing import TYPE_CHECKING, Any

from lrwidget.engine.range_test import RangeTest
from lrwidget.engine.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from torch import nn
    from torch.optim import Optimizer

    from lrwidget.engine.losses import LossFunction

# Those that the widget has fields for, as the test has them.
DEFAULTS: dict[str, Any] = {
    "start_lr": 1e-7,
    "end_lr": 10.0,
    "num_it": 100,
    "step_mode": "exp",
    "stop_div": True,
    "seed": None,
}
_PLAIN = (numbers.Number, str)  # NumPy's numbers, too


class Changes(Settings, total=False):
    """What one run may have otherwise than the widget: any argument of `RangeTest`."""

    model: nn.Module
    optimizer: Optimizer
    dataloader: Iterable[Any]
    loss_fn: LossFunction | None


class Recipe:
    """
    The arguments of a range test, of which each run may change some.

    Parameters
    ----------
    arguments:
        All of them, as `RangeTest` takes them.
    """

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        self.arguments = {**DEFAULTS, **arguments}

    def test(self, changes: Mapping[str, Any]) -> RangeTest:
        """Return the range test with some arguments changed."""
        return RangeTest(**{**self.arguments, **changes})

    def named(self, changes: Mapping[str, Any]) -> str:
        """Return what a run is called for what it has otherwise than the widget."""
        other = [
            f"{name}={_shown(value)}"
            for name, value in changes.items()
            if not _same(value, self.arguments.get(name))
        ]
        return ", ".join(other) or "run"


def _same(one: object, other: object) -> bool:
    # Objects of users may compare in any way, or not at all.
    return one is other or (isinstance(one, _PLAIN) and one == other)


def _shown(value: object) -> str:
    if isinstance(value, numbers.Real) and not isinstance(value, numbers.Integral):
        return f"{float(value):g}"
    if value is None or isinstance(value, _PLAIN):
        return str(value)
    return type(value).__name__
