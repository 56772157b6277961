"""The marks of the chart: the curves of all runs, and the suggestion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import bqplot
import numpy as np

from lrwidget.curve.palette import BAND_OPACITY, RAW_OPACITY
from lrwidget.curve.thinning import thinned
from lrwidget.ui.colours import CURVE, SUGGESTION, look_of_former

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from collections.abc import Set as AbstractSet

    import numpy.typing as npt

    from lrwidget.curve.arrays import FloatArray
    from lrwidget.curve.runs import RepeatKey, Run
    from lrwidget.curve.spread import Spread
    from lrwidget.curve.suggestion import Suggestion
    from lrwidget.ui.axes import Axes
    from lrwidget.ui.view import VisibleCurve

# The points of a line: a column for each four pixels of a wide chart. More points show
# no more, and slow the page down.
MOST_POINTS = 1000
_SPREAD_OPACITY = 0.18


class LatestLines:
    """
    The raw and the smoothed losses of the latest run.

    Parameters
    ----------
    axes:
        The axes of the chart.

    Attributes
    ----------
    marks:
        The lines, from the hindmost to the foremost.
    """

    def __init__(self, axes: Axes) -> None:
        self._axes = axes
        self.raw = bqplot.Lines(
            x=[],
            y=[],
            scales=axes.on_curve,
            colors=[CURVE],
            opacities=[RAW_OPACITY],
            stroke_width=1,
            labels=["loss"],
        )
        self.smoothed = bqplot.Lines(
            x=[],
            y=[],
            scales=axes.on_curve,
            colors=[CURVE],
            stroke_width=3,
            labels=["smoothed loss"],
        )
        self.marks = [self.raw, self.smoothed]

    def draw(self, sight: VisibleCurve) -> None:
        """Show the visible part of the run."""
        for line, losses in ((self.raw, sight.raw), (self.smoothed, sight.smoothed)):
            _set_line(line, sight.lrs, self._axes.kept(losses))


class OtherLines:
    """
    The smoothed losses of other runs, and the spread of repeated runs.

    Parameters
    ----------
    axes:
        The axes of the chart.

    Attributes
    ----------
    medians:
        The line of the median for each setting that is repeated.
    """

    def __init__(self, axes: Axes) -> None:
        self._axes = axes
        self._lines: dict[str, bqplot.Lines] = {}
        self.medians: dict[RepeatKey, bqplot.Lines] = {}
        self._extents: dict[RepeatKey, bqplot.Lines] = {}

    @property
    def lines(self) -> list[bqplot.Lines]:
        """One line for each run, and for each median."""
        return [*self._lines.values(), *self.medians.values()]

    @property
    def marks(self) -> list[bqplot.Lines]:
        """All marks, from the hindmost to the foremost."""
        return [*self._extents.values(), *self.lines]

    def show(self, runs: list[Run], repeated: list[Run]) -> None:
        """
        Make the marks of some runs, and remove all others.

        Parameters
        ----------
        runs:
            The runs that have a line each.
        repeated:
            The first run of each group of repeated runs.
        """
        _drop(self._lines, {run.name for run in runs})
        for spreading in (self.medians, self._extents):
            _drop(spreading, {run.key for run in repeated})
        for run in runs:
            if run.name not in self._lines:
                self._lines[run.name] = self._line(run)
        for run in repeated:
            if run.key not in self.medians:
                self.medians[run.key] = self._median(run)
                self._extents[run.key] = self._extent(run)

    def draw(self, run: Run, sight: VisibleCurve) -> None:
        """Draw one of the runs."""
        line = self._lines[run.name]
        _set_line(line, sight.lrs, self._axes.kept(sight.smoothed))

    def draw_spread(self, run: Run, spread: Spread) -> None:
        """Draw the spread of the runs that repeat a run."""
        median, extent = self.medians[run.key], self._extents[run.key]
        _set_line(median, spread.lrs, self._axes.kept(spread.median))
        bounds = self._axes.kept(np.array([spread.low, spread.high]))
        shown = _shown_of(spread.lrs, spread.high)
        set_points(extent, spread.lrs[shown], bounds[:, shown])

    def _line(self, run: Run) -> bqplot.Lines:
        colour, style = look_of_former(run.number)
        return bqplot.Lines(
            x=[],
            y=[],
            scales=self._axes.on_curve,
            colors=[colour],
            line_style=style,
            stroke_width=1.5,
            labels=[run.name],
        )

    def _median(self, run: Run) -> bqplot.Lines:
        colour, _style = look_of_former(run.number)
        return bqplot.Lines(
            x=[],
            y=[],
            scales=self._axes.on_curve,
            colors=[colour],
            stroke_width=2.5,
            labels=[f"median, {run.key.label}"],
        )

    def _extent(self, run: Run) -> bqplot.Lines:
        colour, _style = look_of_former(run.number)
        return bqplot.Lines(
            x=[],
            y=[[], []],
            scales=self._axes.on_curve,
            colors=[colour],
            opacities=[0.0],
            fill="between",
            fill_colors=[colour],
            fill_opacities=[_SPREAD_OPACITY],
        )


class SuggestionMarks:
    """
    A diamond on the smoothed line, and a band of the rates that look as good.

    Parameters
    ----------
    axes:
        The axes of the chart.
    on_pick:
        Function of the rate of the diamond, called when the diamond is clicked.
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
        """Show a suggestion where its curve is visible; nothing for a rate of None."""
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
        # The diamond may have gone since the click.
        for rate in self.dot.x.tolist():
            self._on_pick(rate)


def set_points(
    mark: bqplot.Mark, x: FloatArray | list[float], y: FloatArray | list[float]
) -> None:
    """Set a mark's points in one message, since each message is a redraw."""
    with mark.hold_sync():
        mark.x, mark.y = np.array(x, np.float64), np.array(y, np.float64)


def _set_line(line: bqplot.Lines, lrs: FloatArray, losses: FloatArray) -> None:
    """Set the points of a line over rates, no more than a screen can show."""
    shown = _shown_of(lrs, losses)
    set_points(line, lrs[shown], losses[shown])


def _shown_of(lrs: FloatArray, losses: FloatArray) -> npt.NDArray[np.intp]:
    """Return the indices of points that a screen can show; it keeps the extremes."""
    return thinned(np.log(lrs), losses, MOST_POINTS)


def _drop(marks: dict[Any, bqplot.Lines], wanted: AbstractSet[Hashable]) -> None:
    for key in marks.keys() - wanted:
        marks.pop(key).close()  # without its scales, which other marks use
