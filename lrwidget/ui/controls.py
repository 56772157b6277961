"""The rows of controls: to pick a rate, and the last line with the next run."""

from __future__ import annotations

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
    ("automatic" if rule == DEFAULT_RULE else f"{rule} (fastai)", rule)
    for rule in RULES
]
_FIELD = {"flex": "0 0 auto", "width": "240px"}
_SMALL = {"flex": "0 0 auto", "width": "36px"}
_NAMED = {"description_width": "initial"}
_FIELD_DIGITS = 3  # that the arrow keys change, and a long rate is rounded to
_FIELD_ROOM = 12  # characters


def show_if(part: ipw.DOMWidget, *, shown: bool) -> None:
    """Show a part, or hide it without a gap."""
    part.layout.display = None if shown else "none"


class _Field(SetInThreads, ipw.BoundedFloatText): ...  # type: ignore[misc]  # untyped base


class PickBar(ipw.HBox):  # type: ignore[misc]  # untyped base
    """The field for the exact rate, the buttons that move it, and the rule."""

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
        self.hint = ipw.Label(
            "Click in the chart to choose a rate.",
            layout={**_FIELD, "visibility": "hidden"},  # until the script is there
        )
        self.hint.add_class("lrwidget-hint")
        self.lower, self.higher, self.home = (
            ipw.Button(icon=icon, tooltip=tooltip, layout=_SMALL)
            for icon, tooltip in (
                ("chevron-left", "A tenth of a decade lower"),
                ("chevron-right", "A tenth of a decade higher"),
                ("home", "Choose the suggested rate"),
            )
        )
        self.rule = ipw.Dropdown(
            options=_RULES,
            value=rule,
            description="Rule",
            tooltip="The rule of the suggestion; the smoothing does not change it",
            style=_NAMED,
            layout={"width": "230px"},
        )
        for button in (self.lower, self.higher, self.home):
            button.add_class("lrwidget-small")
        buttons = ipw.HBox([self.lower, self.higher, self.home])
        super().__init__([self.hint, self.field, buttons, self.rule])
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


class UndoButton(ipw.Button):  # type: ignore[misc]  # untyped base
    """A button whose tooltip tells what it undoes."""

    def __init__(self, on_undo: Callable[[], object]) -> None:
        super().__init__(
            description="Undo",
            icon="undo",
            layout={"flex": "0 0 auto", "width": "auto"},
        )
        self.add_class("lrwidget-small")
        self.add_class("lrwidget-undo")
        self.on_click(lambda _button: on_undo())
        show_if(self, shown=False)
        self.show("")

    def show(self, undoable: str) -> None:
        """Tell the command that would be undone, or disable the button without one."""
        with self.hold_sync():
            self.disabled = not undoable
            if undoable:  # it stays there then, with the focus
                show_if(self, shown=True)
            self.tooltip = f"Undo {undoable}" if undoable else ""


class NextBar(ipw.HBox):  # type: ignore[misc]  # untyped base
    """The last line: the next run, the button of its settings, and what was applied."""

    def __init__(
        self,
        settings: ipw.Widget,
        undo: UndoButton,
        beside: ipw.Widget,
        can: Capabilities,
    ) -> None:
        self.next = ipw.Label()
        self.said = ipw.Label()
        self.said.add_class("lrwidget-applied")
        show_if(self.next, shown=can.run)
        show_if(settings, shown=can.run)
        super().__init__([self.next, settings, undo, beside, self.said])
        self.add_class("lrwidget-next")

    def show_next(self, words: str) -> None:
        """Tell the settings of the next run."""
        if self.next.value != words:
            self.next.value = words

    def say(self, words: str) -> None:
        """Tell what was applied; nothing any more if the text is empty."""
        self.said.value = words
