"""The tests of a training in this process, as it was given or with changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lrwidget.backends.variants import Variants
from lrwidget.curve.axis import short
from lrwidget.engine.comparison import Comparison
from lrwidget.engine.distributed import context as ranks
from lrwidget.engine.race import Race
from lrwidget.engine.range_test import RangeTest
from lrwidget.engine.rates import apply_rate, rate_ratios
from lrwidget.engine.settings import Settings
from lrwidget.ui.capabilities import EVERYTHING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from torch import nn
    from torch.optim import Optimizer

    from lrwidget.engine.losses import LossFunction


class Changes(Settings, total=False):
    """What one run may have otherwise than the widget: any argument of `RangeTest`."""

    model: nn.Module
    optimizer: Optimizer
    dataloader: Iterable[Any]
    loss_fn: LossFunction | None
    build: Callable[[], tuple[Any, ...]]  # instead of these, on a cluster


class LocalRecipe(Variants):
    """
    The arguments of a `RangeTest`, of which each run may change some.

    Parameters
    ----------
    arguments:
        All of them, as `RangeTest` takes them.
    """

    controls = EVERYTHING

    @property
    def loss_name(self) -> str:
        """What the losses are, at their axis."""
        validated = self.arguments.get("val_loader") is not None
        return "validation loss" if validated else "loss"

    def test(self, changes: Mapping[str, Any]) -> RangeTest:
        """Return the range test with some arguments changed."""
        with ranks.unannounced():
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
