"""What a browser would send, without one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from lrwidget.ui.chart import Chart
    from lrwidget.ui.race_chart import RaceChart


def drag(chart: Chart, *rates: float) -> None:
    """Drag the handle over some places of the axis, and let go."""
    start_drag(chart)
    for rate in rates:
        move(chart, rate)
    _send(chart, "drag_end", rates[-1])


def start_drag(chart: Chart) -> None:
    """Press on the handle."""
    _send(chart, "drag_start", chart.handle.x[0])


def move(chart: Chart, rate: float) -> None:
    """Move the handle to a place of the axis."""
    data = memoryview(np.float64(rate).tobytes())
    serialized = {"shape": [1], "dtype": "float64", "value": data}
    chart.handle.set_state({"x": serialized})


def _send(chart: Chart, event: str, rate: float) -> None:
    content = {"event": event, "point": {"x": rate, "y": 0.0}, "index": 0}
    chart.handle._handle_custom_msgs(None, content)


def click(chart: Chart, rate: float) -> None:
    """Click at a place of the chart's background."""
    event = {"event": "element_click", "data": {"click_x": rate, "click_y": 0.5}}
    chart.background._handle_custom_msgs(None, event)


def click_race(chart: RaceChart, x: float, y: float) -> None:
    """Click at a place of the second chart, in shares of its width and height."""
    event = {"event": "element_click", "data": {"click_x": x, "click_y": y}}
    chart.background._handle_custom_msgs(None, event)
