"""The handle: a rate in the chart, to be dragged."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import bqplot
import numpy as np

from lrwidget.ui.marks import CHOICE, clear, set_points
from lrwidget.ui.widgets import SetInThreads

if TYPE_CHECKING:
    from collections.abc import Callable

    from lrwidget.ui.axes import Axes

_PICKED_DIGITS = 2
_HEIGHT = 0.045


class _Dot(SetInThreads, bqplot.Scatter): ...  # type: ignore[misc]  # untyped base


class Handle:
    """
    A line over the whole plot, with a dot to drag.

    In the page, keys and clicks in the plot move the dot as a drag does, so that all
    of these arrive in order. A picked rate may be outside the axis.
    """

    def __init__(self, axes: Axes, on_pick: Callable[[float], object]) -> None:
        self._on_pick = on_pick
        self._rate: float | None = None
        scales = axes.on_plot
        self.line = bqplot.Lines(
            x=[], y=[], scales=scales, colors=[CHOICE], stroke_width=2
        )
        self.dot = _Dot(
            x=[],
            y=[_HEIGHT],
            scales=scales,
            colors=[CHOICE],
            default_size=220,
            enable_move=True,
            restrict_x=True,
            update_on_move=True,
            drag_size=1,
            apply_clip=False,
        )
        self.dot.observe(self._on_moved, "x")
        self.dot.on_drag_end(self._on_drag_end)

    def show(self, rate: float | None) -> None:
        """Show the handle at a rate, or hide it."""
        self._rate = rate
        # If the mouse holds the dot at this rate already, a write would move the dot.
        if [_rate_at(place) for place in self.dot.x.tolist()] != [rate]:
            self._put()
        if rate is None:
            clear(self.line)
        else:
            set_points(self.line, [rate, rate], [0.0, 1.0])

    def _on_moved(self, change: dict[str, Any]) -> None:
        places = change["new"].tolist()
        # At the rate that is shown, Python has set it.
        if len(places) == 1 and places[0] != self._rate:
            self._pick(places[0])
            rates = self.dot.scales["x"]
            # A pick outside the axis may change nothing, and so show nothing.
            if not rates.min <= places[0] <= rates.max:
                self._put()

    def _on_drag_end(self, _mark: object, event: dict[str, Any]) -> None:
        # The last place of the mouse may arrive as a move after this.
        self._pick(float(event["point"]["x"]))
        self._put()

    def _put(self) -> None:
        """Put the dot exactly to the rate."""
        self.dot.x = np.array([] if self._rate is None else [self._rate])

    def _pick(self, place: float) -> None:
        """Pick the rate at a place on the axis."""
        # A press on the dot that does not move it is no pick.
        moved = self._rate is None or not math.isclose(place, self._rate)
        if moved and math.isfinite(place):
            self._on_pick(_rate_at(place))


def _rate_at(place: float) -> float:
    """Return the rate at a place on the axis, in few digits."""
    return float(f"{place:.{_PICKED_DIGITS - 1}e}")
