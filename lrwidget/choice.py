"""The choice of a learning rate: the value of the widget, and where it is written."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

import ipywidgets as ipw
import traitlets

from lrwidget.curve.suggest import DEFAULT_RULE, RULES
from lrwidget.engine.rates import apply_rate, rate_ratios

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch.optim import Optimizer

    from lrwidget.engine.range_test import RangeTest


class RateChoice(ipw.VBox, ipw.ValueWidget):  # type: ignore[misc]  # untyped bases
    """
    A box whose value is a learning rate for an optimizer.

    Parameters
    ----------
    children:
        What is in the box.
    test:
        The test whose range the rate is in.
    optimizer:
        Where `apply` writes the rate.
    """

    value = traitlets.CFloat(
        None,
        allow_none=True,
        help="The chosen learning rate, within the swept range; None before there is "
        "one. After a test it is the suggestion, unless it was chosen before.",
    ).tag(sync=True)
    rule = traitlets.Enum(
        tuple(RULES),
        DEFAULT_RULE,
        help="The rule of the suggestion that is shown and where the handle starts; "
        "one of the keys of `suggestions`. None depends on the smoothing slider.",
    ).tag(sync=True)
    description = traitlets.Unicode(
        help="The name that `interact` and its like give to a widget."
    ).tag(sync=True)

    def __init__(
        self, children: Sequence[ipw.Widget], test: RangeTest, optimizer: Optimizer
    ) -> None:
        self._test = test
        self._optimizer = optimizer
        self._suggested: float | None = None
        self._write_rate: Callable[[float], object] = partial(apply_rate, optimizer)
        super().__init__(children)

    @property
    def values(self) -> list[float] | None:
        """
        The rate of each parameter group for the chosen `value`; None without one.

        `value` itself is the rate of the last group, which is the head of a model
        that is fine-tuned with a rate for each depth, and the one that people have
        in mind when they say the learning rate; fastai takes it so, too. The other
        groups keep the ratios to it that they have in the optimizer.
        """
        if self.value is None:
            return None
        return [self.value * ratio for ratio in rate_ratios(self._optimizer)]

    def apply(self) -> None:
        """
        Write the chosen rate into the optimizer.

        The last parameter group gets `value`, and the others keep their ratios to
        it. Make a learning-rate scheduler after this. A widget that was made by one of
        the ``from_`` constructors writes where that framework takes its rate from.

        Raises
        ------
        RuntimeError
            If no rate is chosen, or a test is training the original at the moment.
        """
        self._test.check_free()
        if self.value is None:
            msg = "value=None: choose a rate first, by run() and wait() or value=1e-3"
            raise RuntimeError(msg)
        self._write_rate(self.value)

    def _follow(self, suggestion: float | None) -> None:
        """Choose the suggestion, unless something else is chosen."""
        if suggestion is not None and self.value in {None, self._suggested}:
            self._suggested = suggestion
            self.value = suggestion

    @traitlets.validate("value")
    def _clamped(self, proposal: dict[str, Any]) -> float | None:
        rate: float | None = proposal["value"]
        if rate is None:
            return None
        if math.isnan(rate):
            msg = "value=nan must be a number; set for example value=1e-3"
            raise traitlets.TraitError(msg)
        return min(max(rate, self._test.start_lr), self._test.end_lr)
