"""The curves of all runs and the suggestion in the chart, and their colours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import bqplot
import numpy as np

from lrwidget.curve import drawing
from lrwidget.curve.thinning import thinned
from lrwidget.curve.ticks import rounded

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
# The colour of the curve; the style sheet draws its dots as outlines.
TRAINING = f"var(--lrwidget-training, {drawing.CURVE})"
SUGGESTION = f"var(--lrwidget-suggestion, {drawing.SUGGESTION})"
CHOICE = f"var(--lrwidget-choice, {drawing.CHOICE})"
_OTHERS = tuple(
    f"var(--lrwidget-other-{number}, {colour})"
    for number, colour in enumerate(drawing.OTHERS, 1)
)
_STYLES = ("dashed", "dotted", "dash_dotted")
_BAND_OPACITY = 0.18
RAW_OPACITY = 0.65
_DOT_SIZE, _SQUARE_SIZE = 20, 30  # square pixels

# The points of a line: a column for each four pixels of a wide chart. More points show
# no more detail, and slow the page down. A trend is smoother, and has a band.
_MOST_POINTS, _MOST_OF_TREND = 1000, 500
MOST_DOTS = 300  # steps of a run that are a dot each
_DOTS = {"marker": "circle", "stroke_width": 0}
_THIN_LINE = {"marker": None, "stroke_width": 1}


def look_of_former(number: int) -> tuple[str, str]:
    """Return colour and style of the line of a former run; nine of them differ."""
    style = number + number // len(_OTHERS)
    return _OTHERS[number % len(_OTHERS)], _STYLES[style % len(_STYLES)]


class LatestLines:
    """The raw losses of the latest run, as dots or as a thin line, and their trend."""

    def __init__(self, axes: Axes) -> None:
        self._axes = axes
        look = {"opacities": [RAW_OPACITY], "marker_size": _DOT_SIZE, **_DOTS}
        self.raw = _line(axes, CURVE, "one batch", **look)
        # Only of a test with a ``val_loader``, whose raw losses are validation losses.
        look = {"marker": "square", "line_style": "dashed", "stroke_width": 0}
        self.training = _line(
            axes, TRAINING, "training loss", marker_size=_SQUARE_SIZE, **look
        )
        self.trend = _trend_line(axes, CURVE, "trend", 3)
        self.lines = [self.raw, self.trend]

    @property
    def dotted(self) -> bool:
        """Whether each raw loss is a dot."""
        return self.raw.marker is not None

    def show_steps(self, planned: int) -> None:
        """Show a run with so many steps by dots, or by a line if these are many."""
        dots = planned <= MOST_DOTS
        if dots == self.dotted:
            return
        look = _DOTS if dots else _THIN_LINE
        with self.raw.hold_sync():
            for name, value in look.items():
                setattr(self.raw, name, value)
        with self.training.hold_sync():
            self.training.marker = "square" if dots else None
            self.training.stroke_width = 0 if dots else 1

    def draw(self, seen: VisibleCurve, training: VisibleCurve | None = None) -> None:
        """Show the visible part of the run, and of its training losses if any."""
        if training is None:
            clear(self.training)
        else:
            losses = self._axes.kept(training.raw)
            places = self._axes.places(training.lrs)
            set_line(self.training, places, training.lrs, losses)
        labels = ["one batch" if training is None else "validation loss"]
        if self.raw.labels != labels:
            self.raw.labels = labels
        places = self._axes.places(seen.lrs)
        set_line(self.raw, places, seen.lrs, self._axes.kept(seen.raw))
        _draw_trend(self.trend, seen, self._axes)


class OtherLines:
    """The trends of other runs, and the common trends of repeated runs."""

    def __init__(self, axes: Axes) -> None:
        self._axes = axes
        self._lines: dict[str, bqplot.Lines] = {}
        self._repeats: dict[RepeatKey, bqplot.Lines] = {}

    @property
    def lines(self) -> list[bqplot.Lines]:
        """One line for each run, and for each common trend."""
        return [*self._lines.values(), *self._repeats.values()]

    def show(self, runs: list[Run], repeated: list[Run]) -> None:
        """Make the marks of runs and of the first of repeated ones; close others."""
        _keep(self._lines, {run.name: run for run in runs}, self._line)
        _keep(self._repeats, {run.key: run for run in repeated}, self._common)

    def draw(self, run: Run, seen: VisibleCurve) -> None:
        """Draw one of the runs."""
        losses = self._axes.kept(seen.trend)
        places = self._axes.places(seen.lrs)
        set_line(self._lines[run.name], places, seen.lrs, losses)

    def draw_repeats(self, run: Run, seen: VisibleCurve) -> None:
        """Draw the common trend of the runs that repeat a run."""
        _draw_trend(self._repeats[run.key], seen, self._axes)

    def _line(self, run: Run) -> bqplot.Lines:
        colour, style = look_of_former(run.number)
        look = {"line_style": style, "stroke_width": 1.5}
        return _line(self._axes, colour, run.name, **look)

    def _common(self, run: Run) -> bqplot.Lines:
        colour, _style = look_of_former(run.number)
        return _trend_line(self._axes, colour, f"trend, {run.key.label}", 2.5)


class SuggestionMarks:
    """A diamond on the trend, and a band over the range to try."""

    def __init__(self, axes: Axes, on_pick: Callable[[float], object]) -> None:
        self._on_pick = on_pick
        look = area(SUGGESTION, "bottom", drawing.BAND_OPACITY)
        self.band = bqplot.Lines(x=[], y=[], scales=axes.on_plot, **look)
        self.dot = bqplot.Scatter(
            x=[],
            y=[],
            scales=axes.on_curve,
            colors=[SUGGESTION],
            marker="diamond",
            default_size=150,
            apply_clip=False,
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
            self._on_pick(rounded(rate))


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


def _trend_line(
    axes: Axes, colour: str, label: str, stroke_width: float
) -> bqplot.Lines:
    """
    Return a mark of a trend and the band of two standard errors on each side of it.

    It is one mark, since each mark costs a message at each draw: its lines are the
    lower edge, the trend and the upper edge, and the space between them is filled.
    """
    return bqplot.Lines(
        x=[],
        y=np.empty((3, 0)),
        scales=axes.on_curve,
        colors=[colour] * 3,
        opacities=[0.0, 1.0, 0.0],
        stroke_width=stroke_width,
        fill="between",
        fill_colors=[colour] * 3,
        fill_opacities=[_BAND_OPACITY, _BAND_OPACITY, 0.0],
        labels=[label] * 3,
    )


def _draw_trend(line: bqplot.Lines, seen: VisibleCurve, axes: Axes) -> None:
    """Show the visible part of a trend; without errors, the band has no width."""
    shown = thinned(axes.places(seen.lrs), axes.kept(seen.trend), _MOST_OF_TREND)
    if len(seen.lrs[shown]) == 1:
        # bqplot would take three rows of one point for one line of three points.
        shown = np.array([0, 0])
    trend = seen.trend[shown]
    low, high = (trend, trend) if seen.band is None else seen.band[:, shown]
    set_points(line, seen.lrs[shown], axes.kept(np.array([low, trend, high])))


def area(colour: str, fill: str, opacity: float) -> dict[str, Any]:
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
