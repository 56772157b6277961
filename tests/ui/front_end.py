"""What a browser would send, without one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from lrwidget.ui.final_losses import FinalLosses
    from lrwidget.ui.handle import Handle
    from lrwidget.ui.lanes_chart import LanesChart
    from lrwidget.ui.marks import SuggestionMarks
    from lrwidget.ui.menu import Menu
    from lrwidget.ui.page import Page
    from lrwidget.ui.runs_table import RunsTable


def drag(handle: Handle, *rates: float) -> None:
    """Drag the handle over some places of the axis, and let go."""
    start_drag(handle)
    for rate in rates:
        move(handle, rate)
    _send(handle, "drag_end", rates[-1])


def start_drag(handle: Handle) -> None:
    """Press on the handle."""
    _send(handle, "drag_start", handle.dot.x[0])


def move(handle: Handle, rate: float) -> None:
    """Move the handle to a place of the axis."""
    data = memoryview(np.float64(rate).tobytes())
    serialized = {"shape": [1], "dtype": "float64", "value": data}
    handle.dot.set_state({"x": serialized})


def _send(handle: Handle, event: str, rate: float) -> None:
    content = {"event": event, "point": {"x": rate, "y": 0.0}, "index": 0}
    handle.dot._handle_custom_msgs(None, content)


def click(handle: Handle, rate: float) -> None:
    """Click at a place of the plot, to where the page then moves the handle."""
    move(handle, rate)
    _send(handle, "drag_end", rate)


def click_suggestion(suggestion: SuggestionMarks) -> None:
    """Click on the diamond."""
    event = {"event": "element_click", "data": {}}
    suggestion.dot._handle_custom_msgs(None, event)


def click_lanes(chart: LanesChart, x: float, y: float) -> None:
    """Click at a place of the chart of lanes, in shares of its width and height."""
    event = {"event": "element_click", "data": {"click_x": x, "click_y": y}}
    chart.background._handle_custom_msgs(None, event)


def click_dot(final: FinalLosses, number: int) -> None:
    """Click on a dot of the final losses."""
    event = {"event": "element_click", "data": {"index": number}}
    final.dots._handle_custom_msgs(None, event)


def tell(page: Page | Menu | RunsTable, **message: object) -> None:
    """Send what a script in the page sends, when a key or a button is pressed."""
    page._handle_custom_msg(message, [])
