"""The three rows of controls around the chart: to run, to pick and to apply."""

from __future__ import annotations

import html
import math
import sys
from typing import TYPE_CHECKING, Any

import ipywidgets as ipw

from lrwidget.curve.rules import DEFAULT_RULE, RULES
from lrwidget.ui.widgets import SetInThreads

if TYPE_CHECKING:
    from collections.abc import Callable

    from lrwidget.backends.base import Capabilities

_RULES = [
    (f"{rule} (default)" if rule == DEFAULT_RULE else f"{rule} (fastai)", rule)
    for rule in RULES
]
_BUTTON = {"flex": "0 0 auto", "width": "96px"}
_FIELD = {"flex": "0 0 auto", "width": "215px"}
_SMALL = {"flex": "0 0 auto", "width": "36px"}
_NAMED = {"description_width": "initial"}
_FIELD_DIGITS = 3  # that the arrow keys change, and a long rate is rounded to
_FIELD_ROOM = 12  # characters


def show_if(part: ipw.DOMWidget, *, shown: bool) -> None:
    """Show a part, or hide it without a gap."""
    part.layout.display = None if shown else "none"


class RunBar(ipw.VBox):  # type: ignore[misc]  # untyped base
    """The buttons for what the back end can do, the progress, and the status."""

    def __init__(
        self,
        on_toggle: Callable[[], object],
        on_check: Callable[[], object],
        settings: ipw.Widget,
        can: Capabilities,
    ) -> None:
        self._reruns = can.run
        self.button = ipw.Button(layout=_BUTTON)
        self.button.add_class("lrwidget-toggle")
        self.button.on_click(lambda _button: on_toggle())
        self.check = ipw.Button(
            description="Check by training",
            icon="check-circle",
            layout={"flex": "0 0 auto", "width": "160px"},
        )
        self.check.on_click(lambda _button: on_check())
        show_if(self.check, shown=can.run)
        show_if(settings, shown=can.run)
        self.progress = ipw.IntProgress(
            layout={"flex": "1 1 80px", "width": "auto", "margin": "2px 8px"}
        )
        self.status = ipw.HTML()
        self.status.add_class("lrwidget-status")
        row = ipw.HBox(
            [self.button, self.check, self.progress, settings],
            layout={"align_items": "center", "flex_flow": "row wrap"},
        )
        super().__init__([row, self.status])
        self.show_running(running=False)

    def show_check(self, tooltip: str) -> None:
        """Tell the cost of a check at its button."""
        if self.check.tooltip != tooltip:
            self.check.tooltip = tooltip

    def show_running(self, *, running: bool) -> None:
        """Label the buttons with their next action; disable a button without one."""
        self.check.disabled = running
        show_if(self.button, shown=running or self._reruns)
        with self.button.hold_sync():
            self.button.description = "Stop" if running else "Run"
            self.button.icon = "stop" if running else "play"
            self.button.button_style = "" if running else "primary"
            self.button.tooltip = (
                "Stop, and keep the steps so far" if running else "Run the range test"
            )

    def show(
        self, done: int, total: int, status: str, traceback: str | None = None
    ) -> None:
        """Show the steps and the status of a job, with the traceback if it failed."""
        failed = traceback is not None
        with self.progress.hold_sync():
            self.progress.max = total
            self.progress.value = done
            self.progress.bar_style = "danger" if failed else ""
        look = "lrwidget-failed" if failed else "lrwidget-fine"
        text = f'<span class="{look}">{html.escape(status)}</span>'
        if traceback is not None:
            text += (
                "<details><summary>Traceback</summary>"
                f'<pre tabindex="0">{html.escape(traceback)}</pre></details>'
            )
        self.status.value = text


class _Field(SetInThreads, ipw.BoundedFloatText): ...  # type: ignore[misc]  # untyped base


class PickBar(ipw.HBox):  # type: ignore[misc]  # untyped base
    """The field for the exact rate, the buttons that move it, and the menu of rules."""

    def __init__(
        self,
        start_lr: float,
        rule: str,
        on_pick: Callable[[float], object],
        on_step: Callable[[int], object],
        on_home: Callable[[], object],
    ) -> None:
        self._on_pick = on_pick
        self._rate: float | None = None
        # From 0, since a number field steps from its lowest value.
        self.field = _Field(
            min=0.0,
            max=sys.float_info.max,
            value=start_lr,
            description="Learning rate",
            tooltip="The chosen learning rate",
            style=_NAMED,
            layout=_FIELD,
        )
        self.hint = ipw.Label("Click in the chart to pick a rate.", layout=_FIELD)
        self.lower, self.higher, self.home = (
            ipw.Button(icon=icon, tooltip=tooltip, layout=_SMALL)
            for icon, tooltip in (
                ("chevron-left", "A tenth of a decade lower"),
                ("chevron-right", "A tenth of a decade higher"),
                ("home", "Choose the suggestion"),
            )
        )
        self.rule = ipw.Dropdown(
            options=_RULES,
            value=rule,
            description="Suggestion",
            tooltip="The rule of the suggestion; the smoothing does not change it",
            style=_NAMED,
            layout={"width": "230px"},
        )
        buttons = ipw.HBox([self.lower, self.higher, self.home])
        super().__init__(
            [self.hint, self.field, buttons, self.rule],
            layout={"flex_flow": "row wrap"},
        )
        self.add_class("lrwidget-pick")
        self.field.observe(self._on_typed, "value")
        self.lower.on_click(lambda _button: on_step(-1))
        self.higher.on_click(lambda _button: on_step(1))
        self.home.on_click(lambda _button: on_home())
        self.show_rate(None)

    def show_rate(self, rate: float | None) -> None:
        """Show a rate in the field, or the hint without one."""
        self._rate = rate
        show_if(self.field, shown=rate is not None)
        show_if(self.hint, shown=rate is None)
        if rate is not None:
            digit = math.floor(math.log10(rate)) - _FIELD_DIGITS + 1
            self.field.step = 10.0**digit
            self.field.value = _shown(rate)

    def _on_typed(self, change: dict[str, Any]) -> None:
        # A rate that is shown already was not typed.
        if self._rate is None or change["new"] != _shown(self._rate):
            self._on_pick(change["new"])


def _shown(rate: float) -> float:
    """Return a rate as the field shows it, which has no room for many digits."""
    long = len(repr(rate)) > _FIELD_ROOM
    return float(f"{rate:.{_FIELD_DIGITS}g}") if long else rate


class ApplyBar(ipw.HBox):  # type: ignore[misc]  # untyped base
    """The Apply button, a widget beside it, and the text of what was written."""

    def __init__(
        self, on_apply: Callable[[], str], beside: ipw.Widget, can: Capabilities
    ) -> None:
        self._on_apply = on_apply
        self.button = ipw.Button(
            description="Apply",
            icon="check",
            tooltip="Write the chosen rate to the optimizer",
            layout=_BUTTON,
        )
        self.said = ipw.Label()
        self.button.on_click(lambda _button: self._apply())
        show_if(self.button, shown=can.apply)
        super().__init__(
            [self.button, beside, self.said],
            layout={"flex_flow": "row wrap", "align_items": "center"},
        )
        self.show_rate(None)

    def show_rate(self, rate: float | None) -> None:
        """Enable the button for a rate, or disable it without one."""
        self.button.disabled = rate is None
        self.said.value = ""

    def _apply(self) -> None:
        try:
            self.said.value = self._on_apply()
        except Exception as error:  # noqa: BLE001 (any error is shown)
            self.said.value = str(error) or type(error).__name__
