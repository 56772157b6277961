"""The controls around the chart: buttons, progress, status and the field."""

from __future__ import annotations

import html
import math
import sys
from typing import TYPE_CHECKING, Any

import ipywidgets as ipw

from lrwidget.curve.suggest import DEFAULT_RULE, RULES
from lrwidget.ui.threads import SetInThreads

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
_FIELD_DIGITS = 3
_FIELD_ROOM = 12


def _display(*, shown: bool) -> str | None:
    """Return the value of ``layout.display`` for a part that is shown or hidden."""
    return None if shown else "none"


class RunBar(ipw.VBox):  # type: ignore[misc]  # untyped base
    """
    The Run/Stop button, the Race button, the progress, and the status in words.

    Parameters
    ----------
    on_toggle:
        Called when the Run/Stop button is pressed.
    on_race:
        Called when the Race button is pressed.
    settings:
        The widget at the end of the row.
    can:
        The capabilities; the buttons for the rest are hidden.
    """

    def __init__(
        self,
        on_toggle: Callable[[], object],
        on_race: Callable[[], object],
        settings: ipw.Widget,
        can: Capabilities,
    ) -> None:
        self._reruns = can.run
        self.button = ipw.Button(layout=_BUTTON)
        self.button.add_class("lrwidget-toggle")
        self.button.on_click(lambda _button: on_toggle())
        self.race = ipw.Button(
            description="Race",
            icon="flag-checkered",
            tooltip="Train shortly at the chosen rate and its neighbours, each from "
            "the same start",
            layout=_BUTTON,
        )
        self.race.on_click(lambda _button: on_race())
        self.race.layout.display = _display(shown=can.race)
        settings.layout.display = _display(shown=can.run)
        self.progress = ipw.IntProgress(
            layout={"flex": "1 1 80px", "width": "auto", "margin": "2px 8px"}
        )
        self.status = ipw.HTML()
        self.status.add_class("lrwidget-status")
        row = ipw.HBox(
            [self.button, self.race, self.progress, settings],
            layout={"align_items": "center", "flex_flow": "row wrap"},
        )
        super().__init__([row, self.status])
        self.show_running(running=False, raceable=False)

    def show_running(self, *, running: bool, raceable: bool) -> None:
        """Label the buttons with their next action; disable one without any."""
        self.race.disabled = running or not raceable
        self.button.layout.display = _display(shown=running or self._reruns)
        with self.button.hold_sync():
            self.button.description = "Stop" if running else "Run"
            self.button.icon = "stop" if running else "play"
            self.button.button_style = "" if running else "primary"
            self.button.tooltip = (
                "Stop, and keep what was found" if running else "Run the range test"
            )

    def show(self, done: int, total: int, status: str) -> None:
        """
        Show the progress of a run.

        Parameters
        ----------
        done:
            The number of steps that are done.
        total:
            The number of all steps.
        status:
            The text of the status.
        """
        self._show_progress(done, total, "")
        self.status.value = f'<span class="lrwidget-fine">{html.escape(status)}</span>'

    def show_failure(self, done: int, total: int, status: str, details: str) -> None:
        """
        Show the failure of a run.

        Parameters
        ----------
        done:
            The number of steps that are done.
        total:
            The number of all steps.
        status:
            The text of the status.
        details:
            The traceback, which is folded.
        """
        self._show_progress(done, total, "danger")
        self.status.value = (
            f'<span class="lrwidget-failed">{html.escape(status)}</span>'
            "<details><summary>Traceback</summary>"
            f'<pre tabindex="0">{html.escape(details)}</pre></details>'
        )

    def _show_progress(self, done: int, total: int, style: str) -> None:
        with self.progress.hold_sync():
            self.progress.max = total
            self.progress.value = done
            self.progress.bar_style = style


class _Field(SetInThreads, ipw.BoundedFloatText):  # type: ignore[misc]  # untyped base
    pass


class PickBar(ipw.HBox):  # type: ignore[misc]  # untyped base
    """
    The field for the exact rate, the buttons that move it, and the menu of rules.

    Parameters
    ----------
    start_lr:
        The value of the field before a rate is chosen.
    rule:
        The rule that is chosen at first.
    on_pick:
        Called with a rate that is typed.
    on_step:
        Called with 1 or -1, to move the rate to the right or to the left.
    on_home:
        Called when the suggestion is to be chosen.
    """

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
            style={"description_width": "initial"},
            layout=_FIELD,
        )
        self.hint = ipw.Label("Click in the chart to pick a rate.", layout=_FIELD)
        self.lower = ipw.Button(
            icon="chevron-left", tooltip="A tenth of a decade lower", layout=_SMALL
        )
        self.higher = ipw.Button(
            icon="chevron-right", tooltip="A tenth of a decade higher", layout=_SMALL
        )
        self.home = ipw.Button(
            icon="home", tooltip="Choose the suggestion", layout=_SMALL
        )
        self.rule = ipw.Dropdown(
            options=_RULES,
            value=rule,
            description="Suggestion",
            tooltip="The rule that the diamond goes by; none depends on the slider",
            style={"description_width": "initial"},
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
        """Put a rate into the field, or hide it."""
        self._rate = rate
        self.field.layout.display = "none" if rate is None else None
        self.hint.layout.display = None if rate is None else "none"
        if rate is not None:
            digit = math.floor(math.log10(rate)) - _FIELD_DIGITS + 1
            self.field.step = 10.0**digit
            self.field.value = _shown(rate)

    def _on_typed(self, change: dict[str, Any]) -> None:
        # A rate that is shown already was not typed.
        if self._rate is None or change["new"] != _shown(self._rate):
            self._on_pick(change["new"])


def _shown(rate: float) -> float:
    """Return a rate in the digits that fit the field; a typed rate fits."""
    return rate if len(repr(rate)) <= _FIELD_ROOM else float(f"{rate:.3g}")


class ApplyBar(ipw.HBox):  # type: ignore[misc]  # untyped base
    """
    The Apply button, a widget beside it, and the text of what was written.

    Parameters
    ----------
    on_apply:
        Called when the button is pressed; returns the text of what was written.
    beside:
        The widget beside the button.
    can:
        The capabilities; without `apply`, the button is hidden.
    """

    def __init__(
        self,
        on_apply: Callable[[], str],
        beside: ipw.Widget,
        can: Capabilities,
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
        self.button.layout.display = _display(shown=can.apply)
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
        except Exception as error:  # noqa: BLE001 (whatever it is, the user is told)
            self.said.value = str(error)
