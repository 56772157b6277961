"""The curves of all runs and the suggestion in the chart, and their colours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import bqplot
import numpy as np

from lrwidget.curve import drawing
from lrwidget.curve.thinning import thinned

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lrwidget.curve.arrays import FloatArray
    from lrwidget.curve.runs import RepeatKey, Run
    from lrwidget.curve.suggestion import Suggestion
    from lrwidget.ui.axes import Axes
    from lrwidget.ui.view_options import VisibleCurve

# The style sheet sets these variables for each theme; without it, the colours are those
# of pictures, for light themes.
CURVE = f"var(--lrwidget-curve, {drawing.CURVE})"
SUGGESTION = f"var(--lrwidget-suggestion, {drawing.SUGGESTION})"
CHOICE = f"var(--lrwidget-choice, {drawing.CHOICE})"
_OTHERS = tuple(
    f"var(--lrwidget-other-{number}, {colour})"
    for number, colour in enumerate(drawing.OTHERS, 1)
)
RACE_COLOURS = (CURVE, _OTHERS[1], SUGGESTION, CHOICE, _OTHERS[0], _OTHERS[2])
_STYLES = ("dashed", "dotted", "dash_dotted")
_BAND_OPACITY = 0.18

# The points of a line: a column for each four pixels of a wide chart. More points show
# no more detail, and slow the page down. A trend is smoother, and has a band.
_MOST_POINTS, _MOST_OF_TREND = 1000, 500


def look_of_former(number: int) -> tuple[str, str]:
    """Return colour and style of the line of a former run; nine of them differ."""
    style = number + number // len(_OTHERS)
    return _OTHERS[number % len(_OTHERS)], _STYLES[style % len(_STYLES)]


class TrendMarks:
    """A trend, and the band of two standard errors on each side of it."""

    def __init__(
        self, axes: Axes, colour: str, label: str, stroke_width: float
    ) -> None:
        self._axes = axes
        self.line = _line(axes, colour, label, stroke_width=stroke_width)
        look = _area(colour, "between", _BAND_OPACITY)
        self.band = bqplot.Lines(
            x=[], y=[[], []], scales=axes.on_curve, labels=[label], **look
        )

    def draw(self, seen: VisibleCurve) -> None:
        """Show the visible part of a trend; both marks have the same points."""
        line = self._axes.kept(seen.trend)
        shown = thinned(np.log(seen.lrs), line, _MOST_OF_TREND)
        set_points(self.line, seen.lrs[shown], line[shown])
        if seen.band is not None:
            edges = self._axes.kept(seen.band[:, shown])
            set_points(self.band, seen.lrs[shown], edges)
        elif len(self.band.x):
            set_points(self.band, [], np.empty((2, 0)))

    def close(self) -> None:
        """Close both marks, without their scales, which other marks use."""
        self.line.close()
        self.band.close()


class LatestLines:
    """The raw losses of the latest run, and their trend."""

    def __init__(self, axes: Axes) -> None:
        self._axes = axes
        raw = {"stroke_width": 1, "opacities": [drawing.RAW_OPACITY]}
        self.raw = _line(axes, CURVE, "loss", **raw)
        self.trend = TrendMarks(axes, CURVE, "trend", 3)
        self.lines = [self.raw, self.trend.line]

    def draw(self, seen: VisibleCurve) -> None:
        """Show the visible part of the run."""
        set_line(self.raw, np.log(seen.lrs), seen.lrs, self._axes.kept(seen.raw))
        self.trend.draw(seen)


class OtherLines:
    """The trends of other runs, and the common trends of repeated runs."""

    def __init__(self, axes: Axes) -> None:
        self._axes = axes
        self._lines: dict[str, bqplot.Lines] = {}
        self._repeats: dict[RepeatKey, TrendMarks] = {}

    @property
    def lines(self) -> list[bqplot.Lines]:
        """One line for each run, and for each common trend."""
        return [*self._lines.values(), *(x.line for x in self._repeats.values())]

    @property
    def bands(self) -> list[bqplot.Lines]:
        """The band of each common trend."""
        return [repeats.band for repeats in self._repeats.values()]

    def show(self, runs: list[Run], repeated: list[Run]) -> None:
        """Make the marks of runs and of the first of repeated ones; close others."""
        _keep(self._lines, {run.name: run for run in runs}, self._line)
        _keep(self._repeats, {run.key: run for run in repeated}, self._common)

    def draw(self, run: Run, seen: VisibleCurve) -> None:
        """Draw one of the runs."""
        losses = self._axes.kept(seen.trend)
        set_line(self._lines[run.name], np.log(seen.lrs), seen.lrs, losses)

    def draw_repeats(self, run: Run, seen: VisibleCurve) -> None:
        """Draw the common trend of the runs that repeat a run."""
        self._repeats[run.key].draw(seen)

    def _line(self, run: Run) -> bqplot.Lines:
        colour, style = look_of_former(run.number)
        look = {"line_style": style, "stroke_width": 1.5}
        return _line(self._axes, colour, run.name, **look)

    def _common(self, run: Run) -> TrendMarks:
        colour, _style = look_of_former(run.number)
        return TrendMarks(self._axes, colour, f"trend, {run.key.label}", 2.5)


class SuggestionMarks:
    """A diamond on the trend, and a band over the range to try."""

    def __init__(self, axes: Axes, on_pick: Callable[[float], object]) -> None:
        self._on_pick = on_pick
        look = _area(SUGGESTION, "bottom", drawing.BAND_OPACITY)
        self.band = bqplot.Lines(x=[], y=[], scales=axes.on_plot, **look)
        self.dot = bqplot.Scatter(
            x=[],
            y=[],
            scales=axes.on_curve,
            colors=[SUGGESTION],
            marker="diamond",
            default_size=150,
        )
        self.dot.on_element_click(self._on_clicked)

    def draw(self, suggestion: Suggestion, seen: VisibleCurve) -> None:
        """Show a suggestion where its curve is visible; nothing for a rate of None."""
        lr, low, high, _reason = suggestion
        height = None if lr is None else seen.height_at(lr)
        if lr is None or height is None:
            clear(self.dot)
        else:
            set_points(self.dot, [lr], [height])
        if low is None or high is None:
            clear(self.band)
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


def set_line(
    line: bqplot.Lines, places: FloatArray, x: FloatArray, y: FloatArray
) -> None:
    """Set the points of a line; ``places``, as displayed, decide which ones to keep."""
    shown = thinned(places, y, _MOST_POINTS)
    set_points(line, x[shown], y[shown])


def clear(mark: bqplot.Mark) -> None:
    """Remove the points of a mark that has some."""
    if len(mark.x):
        set_points(mark, [], [])


def _line(axes: Axes, colour: str, label: str, **look: object) -> bqplot.Lines:
    return bqplot.Lines(
        x=[], y=[], scales=axes.on_curve, colors=[colour], labels=[label], **look
    )


def _area(colour: str, fill: str, opacity: float) -> dict[str, Any]:
    """Return the look of a mark that is an area without a line."""
    return {
        "colors": [colour],
        "opacities": [0.0],
        "fill": fill,
        "fill_colors": [colour],
        "fill_opacities": [opacity],
    }


def _keep(
    marks: dict[Any, Any], wanted: Mapping[Any, Run], make: Callable[[Run], object]
) -> None:
    """Make the marks that are wanted and missing, and close those not wanted."""
    for key in marks.keys() - wanted.keys():
        marks.pop(key).close()
    for key in wanted:
        if key not in marks:
            marks[key] = make(wanted[key])
