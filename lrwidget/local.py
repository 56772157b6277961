"""The tests of a training in this process, as it was given or with changes."""

from __future__ import annotations

import numbers
from typing import TYPE_CHECKING, Any

from lrwidget.curve.axis import plain, short
from lrwidget.curve.record import Recording
from lrwidget.curve.runs import Setting
from lrwidget.engine.comparison import Comparison
from lrwidget.engine.race import Race
from lrwidget.engine.range_test import RangeTest
from lrwidget.engine.rates import apply_rate, rate_ratios
from lrwidget.engine.settings import Settings
from lrwidget.recipe import DEFAULTS
from lrwidget.ui.offered import EVERYTHING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from torch import nn
    from torch.optim import Optimizer

    from lrwidget.engine.losses import LossFunction
    from lrwidget.recipe import Source

_PLAIN = (numbers.Number, str, type(None))  # NumPy's numbers, too


class Changes(Settings, total=False):
    """What one run may have otherwise than the widget: any argument of `RangeTest`."""

    model: nn.Module
    optimizer: Optimizer
    dataloader: Iterable[Any]
    loss_fn: LossFunction | None


class LocalRecipe:
    """
    The arguments of a `RangeTest`, of which each run may change some.

    Parameters
    ----------
    arguments:
        All of them, as `RangeTest` takes them.
    """

    controls = EVERYTHING

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        self.arguments = {**DEFAULTS, **arguments}

    @property
    def settings(self) -> dict[str, Any]:
        """What the fields for the next run say at first."""
        settings = {name: self.arguments[name] for name in DEFAULTS}
        # The rates as plain numbers, whatever kind they were given in.
        rates = {name: float(settings[name]) for name in ("start_lr", "end_lr")}
        return settings | rates

    @property
    def loss_name(self) -> str:
        """What the losses are, at their axis."""
        validated = self.arguments.get("val_loader") is not None
        return "validation loss" if validated else "loss"

    def check_runs(self) -> None:
        """Raise nothing: whatever cannot be run says so itself."""

    def test(self, changes: Mapping[str, Any]) -> RangeTest:
        """Return the range test with some arguments changed."""
        return RangeTest(**{**self.arguments, **changes})

    def race(
        self, changes: Mapping[str, Any], rates: Sequence[float], steps: int | None
    ) -> Race:
        """Return a race of that test, with as many steps if None."""
        test = self.test(changes)
        return Race(test, rates, test.num_it if steps is None else steps)

    def compare(self, changes: Sequence[Mapping[str, Any]]) -> Comparison:
        """Return several tests that run one after the other."""
        return Comparison([self.test(each) for each in changes])

    def recording(self, test: Source) -> Recording:
        """Return what records the steps of a test."""
        return Recording(test.num_it)

    def ratios(self) -> list[float]:
        """Return the rate of each parameter group as a share of the last one's."""
        return rate_ratios(self.arguments["optimizer"])

    def write(self, rate: float) -> str:
        """Write a rate to the optimizer, and return what it wrote where."""
        optimizer = self.arguments["optimizer"]
        apply_rate(optimizer, rate)
        name, groups = type(optimizer).__name__, optimizer.param_groups
        if len(groups) == 1:
            return name
        rates = ", ".join(short(float(group["lr"])) for group in groups)
        return f"{name}, whose groups have {rates} now"

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
