"""The settings of the next run, folded away until somebody wants them."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import ipywidgets as ipw

if TYPE_CHECKING:
    from collections.abc import Callable

    from lrwidget.curve.schedule import StepMode

_NARROW = {"width": "155px"}
_NAMED = {"description_width": "initial"}


class SettingsPanel(ipw.HBox):  # type: ignore[misc]  # untyped base
    """
    Fields for the settings of a range test, under the names these have in Python.

    Parameters
    ----------
    start_lr, end_lr, num_it, step_mode, stop_div, seed:
        What the fields say at first, as `RangeTest` takes it.
    on_change:
        Called when one of them was changed.

    Attributes
    ----------
    toggle:
        The button that folds the panel and unfolds it.
    """

    def __init__(  # noqa: PLR0913 (one for each field)
        self,
        *,
        start_lr: float,
        end_lr: float,
        num_it: int,
        step_mode: StepMode,
        stop_div: bool,
        seed: int | None,
        on_change: Callable[[], object],
    ) -> None:
        self._on_change = on_change
        self._fields = {
            "start_lr": ipw.FloatText(
                start_lr,
                description="Start rate",
                tooltip="The first learning rate",
                style=_NAMED,
                layout=_NARROW,
            ),
            "end_lr": ipw.FloatText(
                end_lr,
                description="End rate",
                tooltip="The last learning rate",
                style=_NAMED,
                layout=_NARROW,
            ),
            "num_it": ipw.IntText(
                num_it,
                description="Steps",
                tooltip="How many rates are tried",
                style=_NAMED,
                layout={"width": "115px"},
            ),
            "step_mode": ipw.Dropdown(
                options=[("exponential", "exp"), ("linear", "linear")],
                value=step_mode,
                description="Growth",
                tooltip="Equal ratios between neighbouring rates, or equal differences",
                style=_NAMED,
                layout={"width": "175px"},
            ),
            "stop_div": ipw.Checkbox(
                stop_div,
                description="Stop on divergence",
                tooltip="Stop when the loss explodes, or go on to the last rate",
                indent=False,
                layout={"width": "auto"},
            ),
        }
        self._seed = ipw.Text(
            "" if seed is None else str(seed),
            description="Seed",
            placeholder="none",
            tooltip="A number for the same batches and dropout again; none goes on "
            "from the random state as it is",
            continuous_update=False,
            style=_NAMED,
            layout={"width": "110px"},
        )
        self.problem = ipw.Label()
        self.problem.add_class("lrwidget-failed")
        self.toggle = ipw.ToggleButton(
            description="Settings",
            icon="sliders",
            tooltip="Show or hide the settings of the next run",
            layout={"flex": "0 0 auto", "width": "110px"},
        )
        super().__init__(
            [*self._fields.values(), self._seed, self.problem],
            layout={"flex_flow": "row wrap"},
        )
        self.add_class("lrwidget-settings")
        for field in (*self._fields.values(), self._seed):
            field.observe(lambda _change: self._on_change(), "value")
        self.toggle.observe(lambda _change: self._fold(), "value")
        self._fold()

    @property
    def values(self) -> dict[str, Any]:
        """
        What the fields say, as keywords for a `RangeTest`, which checks them.

        What is no number in the field for the seed is there as it is.
        """
        text = self._seed.value.strip()
        seed: int | str | None = text or None
        with suppress(ValueError):
            seed = int(text)
        values = {name: field.value for name, field in self._fields.items()}
        return {**values, "seed": seed}

    def _fold(self) -> None:
        self.layout.display = None if self.toggle.value else "none"
