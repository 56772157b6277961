"""The choice of a learning rate: the value of the widget, and where it is written."""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING, Any

import ipywidgets as ipw
import traitlets

from lrwidget.curve.axis import short
from lrwidget.curve.suggest import DEFAULT_RULE, RULES
from lrwidget.ui.threads import SetInThreads

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lrwidget.backends.base import Recipe
    from lrwidget.controller import Stage

_STEPS_PER_DECADE = 10


class _Rate(traitlets.CFloat[Any, Any]):
    """A rate that several threads may set, where one of them may leave it as it is."""

    def set(self, obj: RateChoice, value: object) -> None:  # type: ignore[override]  # no other class has such a trait
        """Set it."""
        self.decide(obj, value, lambda _before, _rate: True)

    def decide(
        self,
        obj: RateChoice,
        value: object,
        decision: Callable[[float | None, float | None], bool],
    ) -> bool:
        """
        Set it, if that is decided by what it is then; return whether it is another now.

        No other thread sets it between the decision and the write. Observers are called
        after that, so that they may wait for a thread that sets it.

        Parameters
        ----------
        obj:
            The widget.
        value:
            The new value, before its validation.
        decision:
            Called under a lock with the present rate and the new one; whether to set
            that.
        """
        rate = self._validate(obj, value)
        with obj._deciding:  # noqa: SLF001 (made for this)
            before = self.get(obj)
            if not decision(before, rate) or before == rate:
                return False
            obj._trait_values["value"] = rate  # noqa: SLF001 (as traitlets does)
        obj._notify_trait("value", before, rate)  # noqa: SLF001 (as traitlets does)
        return True


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

    value = _Rate(
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
        # Nothing is called under it, so that it can be taken with any other one.
        self._deciding = threading.Lock()
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
        rate = self.value
        return None if rate is None else [rate * ratio for ratio in self._ratios()]

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
        rate = self.value
        if rate is None:
            msg = "value=None: choose a rate first, by run() and wait() or value=1e-3"
            raise RuntimeError(msg)
        return f"Wrote {short(rate)} to {self._write_rate(rate)}."

    def _pick(self, rate: float) -> None:
        def decision(_before: float | None, _rate: float | None) -> bool:
            self._suggested = None  # since it is chosen now, even if it was suggested
            return True

        if not RateChoice.value.decide(self, rate, decision):
            self._stage.show_choice()  # clamped to what it was, which nobody observes

    def _step(self, steps: int) -> None:
        """Move the choice by tenths of a decade, or begin with the suggestion."""
        rate = self.value
        if rate is None:
            self._home()
        else:
            moved = rate * 10 ** (steps / _STEPS_PER_DECADE)
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

        def decision(before: float | None, rate: float | None) -> bool:
            if before not in {None, self._suggested}:
                return False
            self._suggested = rate
            return True

        if suggestion is not None:
            RateChoice.value.decide(self, suggestion, decision)

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
