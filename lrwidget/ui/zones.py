"""The zones of a curve, and its loss at the start."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import bqplot
import numpy as np

from lrwidget.ui.marks import area, clear, set_points

if TYPE_CHECKING:
    from lrwidget.curve.lr_curve import LRCurve
    from lrwidget.ui.axes import Axes

START = "var(--lrwidget-start, #5f6b7a)"
# The script in the page sets the variable to a hatching, which only a page can have.
UNSTABLE = "var(--lrwidget-hatching, #c0392b)"
_PLAIN_OPACITY = 0.4


class Zone(NamedTuple):
    """A range of rates with one behaviour; None is an end beyond the axis."""

    name: str
    low: float | None
    high: float | None


def zones_of(curve: LRCurve) -> list[Zone]:
    """Return the zones of a curve, by increasing rates; those that are not known."""
    low, high = curve.learning_from, curve.unstable_from
    zones = []
    if low is not None:
        zones = [Zone("too low to learn", None, low), Zone("learning", low, high)]
    if high is not None:
        zones.append(Zone("unstable", high, None))
    return zones


class ZoneMarks:
    """An area over the unstable rates, and a line at the loss of the start."""

    def __init__(self, axes: Axes) -> None:
        self._axes = axes
        self._unstable_from: float | None = None
        look = area(UNSTABLE, "bottom", _PLAIN_OPACITY)
        self.unstable = bqplot.Lines(x=[], y=[], scales=axes.on_plot, **look)
        self.start = bqplot.Lines(
            x=[],
            y=[],
            scales=axes.across,
            colors=[START],
            line_style="dotted",
            stroke_width=1.25,
        )

    def draw(self, unstable_from: float | None, start: float | None) -> None:
        """Show the first unstable rate, and the height of the start; None hides one."""
        self._unstable_from = unstable_from
        self.reach_the_edge()
        if start is None:
            clear(self.start)
        else:
            set_points(self.start, [0.0, 1.0], [start, start])

    def reach_the_edge(self) -> None:
        """Let the unstable area end at the last rate of the axis."""
        first, last = self._unstable_from, self._axes.range[1]
        if first is None or first >= last:
            clear(self.unstable)
        else:
            set_points(self.unstable, [first, last], np.ones(2))
