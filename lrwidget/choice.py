"""The choice of a learning rate: the value of the widget, and where it is written."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import ipywidgets as ipw
import traitlets

from lrwidget.curve.axis import short
from lrwidget.curve.suggest import DEFAULT_RULE, RULES
from lrwidget.ui.threads import SetInThreads

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lrwidget.recipe import Recipe
    from lrwidget.stage import Stage

_STEPS_PER_DECADE = 10


class RateChoice(SetInThreads, ipw.VBox, ipw.ValueWidget):  # type: ignore[misc]  # untyped bases
    """
    A box whose value is a learning rate.

    Parameters
    ----------
    children:
        What is in the box.
    recipe:
        What knows the parameter groups, and writes the rate where it is to go.
    stage:
        What has the bounds of the rate, and suggests one.
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
        self,
        children: Sequence[ipw.Widget],
        recipe: Recipe,
        stage: Stage,
    ) -> None:
        self._ratios = recipe.ratios
        self._stage = stage
        self._suggested: float | None = None
        self._write_rate: Callable[[float], str] = recipe.write
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
        return [self.value * ratio for ratio in self._ratios()]

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
        self._apply()

    def _apply(self) -> str:
        """Write the rate, and return what was written where."""
        self._stage.check_free()
        if self.value is None:
            msg = "value=None: choose a rate first, by run() and wait() or value=1e-3"
            raise RuntimeError(msg)
        return f"Wrote {short(self.value)} to {self._write_rate(self.value)}."

    def _pick(self, rate: float) -> None:
        self._suggested = None  # since it is chosen now, even if it was suggested
        before, self.value = self.value, rate
        if self.value == before:  # clamped to what it was, which nobody observes
            self._stage.show_choice()

    def _step(self, steps: int) -> None:
        """Move the choice by tenths of a decade, or begin with the suggestion."""
        if self.value is None:
            self._home()
        else:
            moved = self.value * 10 ** (steps / _STEPS_PER_DECADE)
            self._pick(float(f"{moved:.2e}"))

    def _home(self) -> None:
        """Choose the suggestion, or the middle where there is neither."""
        suggestion = self._stage.known().lr
        if suggestion is not None:
            self._pick(suggestion)
        elif self.value is None:
            self._pick(math.sqrt(math.prod(self._stage.bounds)))

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
        low, high = self._stage.bounds
        return min(max(rate, low), high)
