"""What surrounds the chart: the button, the progress, the slider and the field."""

from __future__ import annotations

import html
import math
from typing import TYPE_CHECKING, Any

import ipywidgets as ipw

from lrwidget.curve.suggest import DEFAULT_RULE, RULES

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_SMOOTHING = 0.99
_RULES = [
    (f"{rule} (default)" if rule == DEFAULT_RULE else f"{rule} (fastai)", rule)
    for rule in RULES
]
_BUTTON = {"flex": "0 0 auto", "width": "96px"}
_FIELD_DIGITS = 3
_FIELD_ROOM = 12


class RunBar(ipw.VBox):  # type: ignore[misc]  # untyped base
    """
    The Run/Stop button, the Race button, the progress, and the status in words.

    Parameters
    ----------
    on_toggle:
        Called when the Run/Stop button is pressed.
    on_race:
        Called when the Race button is pressed.
    """

    def __init__(
        self, on_toggle: Callable[[], object], on_race: Callable[[], object]
    ) -> None:
        self.button = ipw.Button(layout=_BUTTON)
        self.button.on_click(lambda _button: on_toggle())
        self.race = ipw.Button(
            description="Race",
            icon="flag-checkered",
            tooltip="Train shortly at the chosen rate and its neighbours, each from "
            "the same start",
            layout=_BUTTON,
        )
        self.race.on_click(lambda _button: on_race())
        self.progress = ipw.IntProgress(
            layout={"flex": "1 1 80px", "width": "auto", "margin": "2px 8px"}
        )
        self.pace = ipw.Label(layout={"min_width": "190px"})
        self.status = ipw.HTML()
        self.status.add_class("lrwidget-status")
        row = ipw.HBox(
            [self.button, self.race, self.progress, self.pace],
            layout={"align_items": "center", "flex_flow": "row wrap"},
        )
        super().__init__([row, self.status])
        self.show_running(running=False, raceable=False)

    def show_running(self, *, running: bool, raceable: bool) -> None:
        """Make the buttons say what they do next, if anything."""
        self.race.disabled = running or not raceable
        with self.button.hold_sync():
            self.button.description = "Stop" if running else "Run"
            self.button.icon = "stop" if running else "play"
            self.button.button_style = "" if running else "primary"
            self.button.tooltip = (
                "Stop, and keep what was found" if running else "Run the range test"
            )

    def show(
        self, done: int, total: int, pace: str, status: str, *, failed: bool = False
    ) -> None:
        """
        Show how a run is going.

        Parameters
        ----------
        done:
            How many steps are done.
        total:
            How many there are.
        pace:
            How fast it is, in words.
        status:
            How it is, in words.
        failed:
            Whether an error has ended it.
        """
        with self.progress.hold_sync():
            self.progress.max = total
            self.progress.value = done
            self.progress.bar_style = "danger" if failed else ""
        self.pace.value = pace
        kind = "lrwidget-failed" if failed else "lrwidget-fine"
        self.status.value = f'<span class="{kind}">{html.escape(status)}</span>'


class PickBar(ipw.HBox):  # type: ignore[misc]  # untyped base
    """
    The smoothing slider, the menu of rules, and the field for the exact rate.

    Parameters
    ----------
    start_lr:
        The lowest rate that can be picked.
    end_lr:
        The highest rate that can be picked.
    beta:
        Where the slider stands at first.
    rule:
        Which rule is chosen at first.
    on_pick:
        Called with a rate that is typed.
    """

    def __init__(
        self,
        start_lr: float,
        end_lr: float,
        beta: float,
        rule: str,
        on_pick: Callable[[float], object],
    ) -> None:
        self._on_pick = on_pick
        self._rate: float | None = None
        self.smoothing = ipw.FloatSlider(
            value=beta,
            min=0.0,
            max=MOST_SMOOTHING,
            step=0.01,
            description="Smoothing",
            tooltip="How much of the past counts in the bold line; 0 shows raw losses",
            readout_format=".2f",
            layout={"flex": "1 1 220px", "width": "auto", "max_width": "420px"},
        )
        self.rule = ipw.Dropdown(
            options=_RULES,
            value=rule,
            description="Suggestion",
            tooltip="The rule that the red dot goes by; no rule depends on the slider",
            style={"description_width": "initial"},
            layout={"width": "230px"},
        )
        # From 0, since a number field steps from its lowest value.
        self.field = ipw.BoundedFloatText(
            min=0.0,
            max=end_lr,
            value=start_lr,
            description="Learning rate",
            tooltip="The chosen learning rate",
            style={"description_width": "initial"},
            layout={"width": "210px"},
        )
        self.hint = ipw.Label("Click in the chart to pick a learning rate.")
        super().__init__(
            [self.smoothing, self.rule, self.field, self.hint],
            layout={"flex_flow": "row wrap", "justify_content": "space-between"},
        )
        self.field.observe(self._on_typed, "value")
        self.show_rate(None)

    def show_rate(self, rate: float | None) -> None:
        """Put a rate into the field, or hide it."""
        self._rate = rate
        self.field.layout.display = "none" if rate is None else None
        self.hint.layout.display = None if rate is None else "none"
        if rate is not None:
            digit = math.floor(math.log10(rate)) - _FIELD_DIGITS + 1
            self.field.step = 10.0**digit
            self.field.value = _shown(rate)

    def _on_typed(self, change: dict[str, Any]) -> None:
        # What is shown already was put there and not typed.
        if self._rate is None or change["new"] != _shown(self._rate):
            self._on_pick(change["new"])


def _shown(rate: float) -> float:
    """Return a rate as the field has room for it; what people type, it has."""
    return rate if len(repr(rate)) <= _FIELD_ROOM else float(f"{rate:.3g}")
