"""The ways to pick a rate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.ui.front_end import click, drag
from tests.widget_parts import display_of

if TYPE_CHECKING:
    from lrwidget import LRWidget


def _by_python(widget: LRWidget, rate: float) -> None:
    widget.value = rate


def _by_field(widget: LRWidget, rate: float) -> None:
    display_of(widget).pick_bar.field.set_state({"value": rate})


def _by_click(widget: LRWidget, rate: float) -> None:
    click(display_of(widget).chart.handle, rate)


def _by_drag(widget: LRWidget, rate: float) -> None:
    if widget.value is None:
        widget.value = 1e-6
    drag(display_of(widget).chart.handle, 1e-5, rate)


def _by_front_end(widget: LRWidget, rate: float) -> None:
    widget.set_state({"value": rate})


WAYS = [_by_python, _by_field, _by_click, _by_drag, _by_front_end]


def places(widget: LRWidget) -> list[float]:
    """Return the rate as the dot, the line and the field have it."""
    display = display_of(widget)
    handle = display.chart.handle
    return [*handle.dot.x, *handle.line.x, display.pick_bar.field.value]
