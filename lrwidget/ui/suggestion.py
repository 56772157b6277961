"""The suggestion in the chart: a diamond, and a band of what looks as good."""

from __future__ import annotations

from typing import TYPE_CHECKING

import bqplot
import numpy as np

from lrwidget.curve.palette import BAND_OPACITY
from lrwidget.ui.colours import SUGGESTION
from lrwidget.ui.marks import set_points

if TYPE_CHECKING:
    from collections.abc import Callable

    from lrwidget.curve.suggestion import Suggestion
    from lrwidget.ui.axes import Axes
    from lrwidget.ui.view import VisibleCurve


class SuggestionMarks:
    """
    A diamond on the smoothed line, and a band behind it.

    Parameters
    ----------
    axes:
        Where they are.
    on_pick:
        Called with the rate of the diamond when that is clicked.
    """

    def __init__(self, axes: Axes, on_pick: Callable[[float], object]) -> None:
        self._on_pick = on_pick
        self.band = bqplot.Lines(
            x=[],
            y=[],
            scales=axes.on_plot,
            colors=[SUGGESTION],
            opacities=[0.0],
            fill="bottom",
            fill_colors=[SUGGESTION],
            fill_opacities=[BAND_OPACITY],
        )
        self.dot = bqplot.Scatter(
            x=[],
            y=[],
            scales=axes.on_curve,
            colors=[SUGGESTION],
            marker="diamond",
            default_size=150,
        )
        self.dot.on_element_click(self._on_clicked)

    def draw(self, suggestion: Suggestion, sight: VisibleCurve) -> None:
        """Show a suggestion where its curve is seen; none for a rate of None."""
        lr, low, high, _reason = suggestion
        lrs = sight.lrs
        if lr is None or not len(lrs) or not lrs[0] <= lr <= lrs[-1]:
            set_points(self.dot, [], [])
        else:
            height = np.interp(np.log(lr), np.log(lrs), sight.smoothed)
            set_points(self.dot, [lr], [height])
        if low is None or high is None:
            set_points(self.band, [], [])
        else:
            set_points(self.band, [low, high], [1.0, 1.0])

    def _on_clicked(self, _mark: object, _event: object) -> None:
        # It may have gone since it was clicked.
        for rate in self.dot.x.tolist():
            self._on_pick(rate)
