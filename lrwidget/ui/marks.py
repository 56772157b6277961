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
    from lrwidget.curve.spread import Spread
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
_SPREAD_OPACITY = 0.18

# The points of a line: a column for each four pixels of a wide chart. More points show
# no more detail, and slow the page down.
_MOST_POINTS = 1000


def look_of_former(number: int) -> tuple[str, str]:
    """Return colour and style of the line of a former run; nine of them differ."""
    style = number + number // len(_OTHERS)
    return _OTHERS[number % len(_OTHERS)], _STYLES[style % len(_STYLES)]


class LatestLines:
    """The raw and the smoothed losses of the latest run."""

    def __init__(self, axes: Axes) -> None:
        self._axes = axes
        raw = {"stroke_width": 1, "opacities": [drawing.RAW_OPACITY]}
        self.raw = _line(axes, CURVE, "loss", **raw)
        self.smoothed = _line(axes, CURVE, "smoothed loss", stroke_width=3)
        self.marks = [self.raw, self.smoothed]

    def draw(self, seen: VisibleCurve) -> None:
        """Show the visible part of the run."""
        places = np.log(seen.lrs)
        for line, losses in ((self.raw, seen.raw), (self.smoothed, seen.smoothed)):
            if len(places):
                set_line(line, places, seen.lrs, self._axes.kept(losses))
            else:
                clear(line)


class OtherLines:
    """The smoothed losses of other runs, and the spread of repeated runs."""

    def __init__(self, axes: Axes) -> None:
        self._axes = axes
        self._lines: dict[str, list[bqplot.Lines]] = {}
        self._spreads: dict[RepeatKey, list[bqplot.Lines]] = {}  # median and extent

    @property
    def lines(self) -> list[bqplot.Lines]:
        """One line for each run, and for each median."""
        every = [*self._lines.values(), *self._spreads.values()]
        return [line for line, *_extent in every]

    @property
    def marks(self) -> list[bqplot.Lines]:
        """All marks, from the hindmost to the foremost."""
        return [*(extent for _, extent in self._spreads.values()), *self.lines]

    def show(self, runs: list[Run], repeated: list[Run]) -> None:
        """Make the marks of runs and of the first of repeated ones; close others."""
        _keep(self._lines, {run.name: run for run in runs}, self._line)
        _keep(self._spreads, {run.key: run for run in repeated}, self._spread)

    def draw(self, run: Run, seen: VisibleCurve) -> None:
        """Draw one of the runs."""
        (line,) = self._lines[run.name]
        set_line(line, np.log(seen.lrs), seen.lrs, self._axes.kept(seen.smoothed))

    def draw_spread(self, run: Run, spread: Spread) -> None:
        """Draw the spread of the runs that repeat a run."""
        median, extent = self._spreads[run.key]
        lrs, places = spread.lrs, np.log(spread.lrs)
        set_line(median, places, lrs, self._axes.kept(spread.median))
        bounds = self._axes.kept(np.array([spread.low, spread.high]))
        shown = thinned(places, spread.high, _MOST_POINTS)
        set_points(extent, lrs[shown], bounds[:, shown])

    def _line(self, run: Run) -> list[bqplot.Lines]:
        colour, style = look_of_former(run.number)
        look = {"line_style": style, "stroke_width": 1.5}
        return [_line(self._axes, colour, run.name, **look)]

    def _spread(self, run: Run) -> list[bqplot.Lines]:
        colour, _style = look_of_former(run.number)
        label = f"median, {run.key.label}"
        median = _line(self._axes, colour, label, stroke_width=2.5)
        look = _area(colour, "between", _SPREAD_OPACITY)
        scales = self._axes.on_curve
        return [median, bqplot.Lines(x=[], y=[[], []], scales=scales, **look)]


class SuggestionMarks:
    """A diamond on the smoothed line, and a band of the rates that look as good."""

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
    marks: dict[Any, list[bqplot.Lines]],
    wanted: Mapping[Any, Run],
    make: Callable[[Run], list[bqplot.Lines]],
) -> None:
    """Make the marks that are wanted and missing, and close those not wanted."""
    for key in marks.keys() - wanted.keys():
        for mark in marks.pop(key):
            mark.close()  # without its scales, which other marks use
    for key in wanted:
        if key not in marks:
            marks[key] = make(wanted[key])
