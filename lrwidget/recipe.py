"""What a widget runs: its training, as it was given or with something else in it."""

from __future__ import annotations

import numbers
from typing import TYPE_CHECKING, Any

from lrwidget.curve.axis import plain
from lrwidget.curve.runs import Setting
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
_PLAIN = (numbers.Number, str, type(None))  # NumPy's numbers, too


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

    def name(self, changes: Mapping[str, Any]) -> str:
        """Return what a run is called for what it has otherwise than the widget."""
        other = self._other(changes)
        return ", ".join(f"{name}={_shown(other[name])}" for name in other) or "run"

    def setting(self, changes: Mapping[str, Any], label: str | None) -> Setting:
        """
        Return what a run has in common with those that repeat it.

        These differ in the seed at most. Whether one optimizer, say, is set as another
        is not known, so that runs with others than the widget repeat each other only
        if they have the same label.

        Parameters
        ----------
        changes:
            What it has otherwise than the widget.
        label:
            What it is called by its user.
        """
        every = {**self.arguments, **changes}
        start, end = float(every["start_lr"]), float(every["end_lr"])
        rates = start, end, int(every["num_it"])
        if label is not None:
            return Setting(label, *rates, every["step_mode"])
        other = self._other({**changes, "seed": self.arguments["seed"]})
        known = all(isinstance(value, _PLAIN) for value in other.values())
        alike = tuple(other.items()) if known else object()
        return Setting(self.name(other), *rates, alike)

    def _other(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Return those changes that change something."""
        own = self.arguments
        return {x: changes[x] for x in changes if not _same(changes[x], own.get(x))}


def _same(one: object, other: object) -> bool:
    # Objects of users may compare in any way, or not at all.
    return one is other or (isinstance(one, _PLAIN) and one == other)


def _shown(value: object) -> str:
    if isinstance(value, numbers.Real) and not isinstance(value, numbers.Integral):
        return plain(float(value))
    if isinstance(value, _PLAIN):
        return str(value)
    return type(value).__name__
