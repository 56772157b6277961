"""The settings of the next run, in a panel that is folded at first."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import ipywidgets as ipw

from lrwidget.ui.controls import show_if

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lrwidget.config import TestConfig


_NAMES = {
    "start_lr": "From",
    "end_lr": "To",
    "num_it": "Steps",
    "step_mode": "Sweep",
    "stop_div": "Stop when unstable",
    "seed": "Seed",
    "total_steps": "Steps of your training",
}


class SettingsPanel(ipw.HBox):  # type: ignore[misc]  # untyped base
    """
    Fields for the settings of a range test, and the button that folds the panel.

    The field for the steps of the user's training may be empty: the number that a
    framework knows, if any, is shown there in grey.
    """

    def __init__(
        self,
        config: TestConfig,
        total_steps: int | None,
        on_change: Callable[[], object],
    ) -> None:
        self._on_change = on_change
        self._fields = {
            "step_mode": ipw.Dropdown(
                options=[("exponential", "exp"), ("linear", "linear")],
                value=config.step_mode,
                description=_NAMES["step_mode"],
                tooltip="Equal ratios between neighbouring rates, or equal differences",
                layout={"width": "175px"},
            ),
            "start_lr": ipw.FloatText(
                config.start_lr,
                description=_NAMES["start_lr"],
                tooltip="The first learning rate",
                layout={"width": "130px"},
            ),
            "end_lr": ipw.FloatText(
                config.end_lr,
                description=_NAMES["end_lr"],
                tooltip="The last learning rate",
                layout={"width": "130px"},
            ),
            "num_it": ipw.IntText(
                config.num_it,
                description=_NAMES["num_it"],
                tooltip="The number of learning rates to try",
                layout={"width": "115px"},
            ),
            "stop_div": ipw.Dropdown(
                options=[("yes", True), ("fastai's rule", "fastai"), ("no", False)],
                value=config.stop_div,
                description=_NAMES["stop_div"],
                tooltip="Stop when the loss explodes, or go on to the last rate",
                layout={"width": "230px"},
            ),
            "seed": ipw.Text(
                "" if config.seed is None else str(config.seed),
                description=_NAMES["seed"],
                placeholder="none",
                tooltip="A number repeats batches and dropout; without one, the random "
                "state is used as it is",
                continuous_update=False,
                layout={"width": "110px"},
            ),
        }
        self._total_steps = ipw.Text(
            description=_NAMES["total_steps"],
            placeholder="not known" if total_steps is None else str(total_steps),
            tooltip="The optimizer steps of your training, for Check by training",
            continuous_update=False,
            layout={"width": "240px"},
        )
        self.problem = ipw.Label()
        self.problem.add_class("lrwidget-failed")
        self.toggle = ipw.ToggleButton(
            description="Change...",
            tooltip="Show or hide the settings of the next run",
            layout={"flex": "0 0 auto", "width": "auto"},
        )
        self.toggle.add_class("lrwidget-link")
        super().__init__(
            [*self._fields.values(), self._total_steps, self.problem],
            layout={"flex_flow": "row wrap"},
        )
        self.add_class("lrwidget-settings")
        for field in (*self._fields.values(), self._total_steps):
            field.style.description_width = "initial"
            field.observe(self._on_field, "value")
        self.toggle.observe(lambda _change: self._fold(), "value")
        self._fold()

    @property
    def values(self) -> dict[str, Any]:
        """The values, as keywords of a `TestConfig`; a seed may be any text."""
        values = {name: field.value for name, field in self._fields.items()}
        values["seed"] = _integer(values["seed"])
        return values

    @property
    def total_steps(self) -> object:
        """The steps of the user's training, which may be any text; None if empty."""
        return _integer(self._total_steps.value)

    def show_problem(self, problem: str) -> None:
        """Tell why the fields cannot be used, by the names of the fields."""
        self.problem.value = in_words_of_fields(problem)

    def change(self, settings: Mapping[str, Any]) -> None:
        """Type other values into some fields, and call for all changes once."""
        for name, value in settings.items():
            field = self._fields[name]
            field.unobserve(self._on_field, "value")
            field.value = value
            field.observe(self._on_field, "value")
        if settings:
            self._on_change()

    def _on_field(self, _change: object) -> None:
        self._on_change()

    def _fold(self) -> None:
        show_if(self, shown=self.toggle.value)


def _integer(text: str) -> int | str | None:
    """Return an integer that was typed; other text as it is, and None for none."""
    with suppress(ValueError):
        return int(text)
    return text.strip() or None


def in_words_of_fields(problem: str) -> str:
    """Return an error with the names of the fields in place of those of arguments."""
    named = "|".join(_NAMES)
    return re.sub(rf"\b({named})=", lambda found: f"{_NAMES[found[1]]} = ", problem)
