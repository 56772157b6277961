"""The settings of the next run, in a panel that is folded at first."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import ipywidgets as ipw

if TYPE_CHECKING:
    from collections.abc import Callable

    from lrwidget.config import TestConfig

_NARROW = {"width": "155px"}
_NAMED = {"description_width": "initial"}


class SettingsPanel(ipw.HBox):  # type: ignore[misc]  # untyped base
    """
    Fields for the settings of a range test, under the names these have in Python.

    Parameters
    ----------
    config:
        The first values of the fields.
    on_change:
        Called when a field has changed.

    Attributes
    ----------
    toggle:
        The button that folds the panel and unfolds it.
    """

    def __init__(self, config: TestConfig, on_change: Callable[[], object]) -> None:
        self._on_change = on_change
        self._fields = {
            "start_lr": ipw.FloatText(
                config.start_lr,
                description="Start rate",
                tooltip="The first learning rate",
                style=_NAMED,
                layout=_NARROW,
            ),
            "end_lr": ipw.FloatText(
                config.end_lr,
                description="End rate",
                tooltip="The last learning rate",
                style=_NAMED,
                layout=_NARROW,
            ),
            "num_it": ipw.IntText(
                config.num_it,
                description="Steps",
                tooltip="How many rates are tried",
                style=_NAMED,
                layout={"width": "115px"},
            ),
            "step_mode": ipw.Dropdown(
                options=[("exponential", "exp"), ("linear", "linear")],
                value=config.step_mode,
                description="Growth",
                tooltip="Equal ratios between neighbouring rates, or equal differences",
                style=_NAMED,
                layout={"width": "175px"},
            ),
            "stop_div": ipw.Checkbox(
                config.stop_div,
                description="Stop on divergence",
                tooltip="Stop when the loss explodes, or go on to the last rate",
                indent=False,
                layout={"width": "auto"},
            ),
        }
        self._seed = ipw.Text(
            "" if config.seed is None else str(config.seed),
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
        The values of the fields, as keywords of a `TestConfig`, which checks them.

        A seed that is no number is a text.
        """
        text = self._seed.value.strip()
        seed: int | str | None = text or None
        with suppress(ValueError):
            seed = int(text)
        values = {name: field.value for name, field in self._fields.items()}
        return {**values, "seed": seed}

    def _fold(self) -> None:
        self.layout.display = None if self.toggle.value else "none"
