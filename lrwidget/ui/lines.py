"""The lines of the chart: the latest run, and the others that are laid over it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import bqplot
import numpy as np

from lrwidget.curve.palette import RAW_OPACITY
from lrwidget.ui.colours import CURVE, look_of_former
from lrwidget.ui.marks import set_line, set_points, shown_of

if TYPE_CHECKING:
    from collections.abc import Hashable
    from collections.abc import Set as AbstractSet

    from lrwidget.curve.runs import RepeatKey, Run, Spread
    from lrwidget.ui.axes import Axes
    from lrwidget.ui.view import VisibleCurve

_SPREAD_OPACITY = 0.18


class LatestLines:
    """
    The raw and the smoothed losses of the latest run.

    Parameters
    ----------
    axes:
        Where they are.

    Attributes
    ----------
    marks:
        They, from the hindmost to the foremost.
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
        """Show what is seen of the run."""
        for line, losses in ((self.raw, sight.raw), (self.smoothed, sight.smoothed)):
            set_line(line, sight.lrs, self._axes.kept(losses))


class OtherLines:
    """
    The smoothed losses of other runs, and how those that repeat each other spread.

    Parameters
    ----------
    axes:
        Where they are.

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
        """All that is drawn, from the hindmost to the foremost."""
        return [*self._extents.values(), *self.lines]

    def show(self, runs: list[Run], repeated: list[Run]) -> None:
        """
        Have marks for some runs, and no others.

        Parameters
        ----------
        runs:
            Those that have a line each.
        repeated:
            The first of each group that repeats it.
        """
        _drop(self._lines, {run.name for run in runs})
        for spreading in (self.medians, self._extents):
            _drop(spreading, {run.setting for run in repeated})
        for run in runs:
            if run.name not in self._lines:
                self._lines[run.name] = self._line(run)
        for run in repeated:
            if run.setting not in self.medians:
                self.medians[run.setting] = self._median(run)
                self._extents[run.setting] = self._extent(run)

    def draw(self, run: Run, sight: VisibleCurve) -> None:
        """Draw one of the runs."""
        line = self._lines[run.name]
        set_line(line, sight.lrs, self._axes.kept(sight.smoothed))

    def draw_spread(self, run: Run, spread: Spread) -> None:
        """Draw how the runs that repeat one spread."""
        median, extent = self.medians[run.setting], self._extents[run.setting]
        set_line(median, spread.lrs, self._axes.kept(spread.median))
        bounds = self._axes.kept(np.array([spread.low, spread.high]))
        shown = shown_of(spread.lrs, spread.high)
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
            labels=[f"median, {run.setting.label}"],
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


def _drop(marks: dict[Any, bqplot.Lines], wanted: AbstractSet[Hashable]) -> None:
    for key in marks.keys() - wanted:
        marks.pop(key).close()  # without its scales, which others have, too
